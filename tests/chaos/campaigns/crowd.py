"""C: what a thousand idle workers cost the Redis that they share.

Ours: twelve real ones, measured alone, and then as many more as make a thousand, which only pretend: each has the two
connections that are busy in a worker at rest, and does on them what a worker does, a beat every two seconds and a fetch that
waits a second. The peer is measured with six and with twelve, as its cost grows with the square of their number.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import redis.asyncio

from genfleet.contract.keys import PRIORITY_STEPS, broker_list
from genfleet.contract.task_types import broker_queues
from genfleet.store import chores, steps
from genfleet.store.client import AsyncStore
from genfleet.store.upkeep import PERIOD
from genfleet_workers.beat import PERIOD as BEAT
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.stock import Stock
from tests.support.servers import Redis

QUEUE = "gpu_medium"
REAL = 12
OBSERVED_S = 20.0
SETTLING_S = 10.0
CPU_MOST, OUT_MOST, CLIENTS_MOST = 0.10, 1024.0, 4.0
"""Of one core, KiB/s, and connections of one worker."""
ABOUT = b'{"phase":"ready","running":0,"concurrency":1,"host":"simulated","pid":1,"cpu_percent":1.5,"memory_percent":40.1,"gpu_utilization":[],"memory_bytes":{"1":90000000,"2":90000000}}'


@dataclass(frozen=True, slots=True)
class Cost:
    """What some workers cost in the time that they were watched."""

    cpu: float
    """Of one core."""
    out_kib: float
    """That Redis sent, KiB/s."""
    clients: int
    """Connections of other processes than this one."""


def measured(server: Redis, meanwhile: Callable[[], object]) -> Cost:
    """Watch Redis while something goes on that lasts as long."""
    with server.client as client:
        before, began = client.info(), time.monotonic()
        meanwhile()
        took, after = time.monotonic() - began, client.info()
    cpu = sum(after[name] - before[name] for name in ("used_cpu_sys", "used_cpu_user")) / took
    out = (after["total_net_output_bytes"] - before["total_net_output_bytes"]) / 1024 / took
    return Cost(cpu, out, _clients_of_others(server))


def _clients_of_others(server: Redis) -> int:
    """Connections to this Redis that are not of this process."""
    ours = {each.laddr.port for each in psutil.Process().net_connections("tcp")}
    with server.client as client:
        return sum(int(each["addr"].rpartition(":")[2]) not in ours for each in client.client_list())


def ours(run: Run) -> Finding:
    """Twelve alone, then a crowd."""
    server = run.redis()
    site = run.site(server)
    real = min(REAL, run.trials)
    for number in range(real):
        run.stack.enter_context(site.worker(QUEUE, name=f"real-{number}"))
    few = measured(server, lambda: time.sleep(OBSERVED_S / 4))
    run.tell(f"{real} real workers: {few}")
    many = asyncio.run(_crowd(server, run.trials - real)) if run.trials > real else few
    each = few.clients / real
    broken = (many.cpu > CPU_MOST) + (many.out_kib > OUT_MOST) + (each > CLIENTS_MOST)
    said = f"{run.trials:,} workers at rest: {many.cpu:.0%} of a core of Redis, {many.out_kib:.0f} KiB/s out; {each:.1f} connections each"
    return Finding(run.trials, broken, said)


async def _crowd(server: Redis, size: int) -> Cost:
    """They come one after the other, so that their beats are spread as those of real ones are."""
    resting: list[asyncio.Task[None]] = []
    for number in range(size):
        later = BEAT.total_seconds() * number / size
        resting += map(asyncio.create_task, (_rest(server, f"simulated-{number}", later), _fetch(server, later)))
    await asyncio.sleep(SETTLING_S)
    cost = await asyncio.to_thread(measured, server, lambda: time.sleep(OBSERVED_S))
    assert not any(task.done() for task in resting), "a simulated worker ended"
    await _end(resting)
    return cost


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Until they are: a cancellation that comes as an answer does is swallowed by `wait_for` of Python 3.11."""
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=1)


async def _rest(server: Redis, name: str, later: float) -> None:
    """One worker with nothing to do."""
    await asyncio.sleep(later)
    store = AsyncStore(server.url)
    try:
        while True:
            await store.run(steps.renew(name, QUEUE, ABOUT, []))
            await store.run(chores.take_upkeep(name, PERIOD))
            await asyncio.sleep(BEAT.total_seconds())
    finally:
        await store.close()


async def _fetch(server: Redis, later: float) -> None:
    await asyncio.sleep(later)
    lists = [broker_list(queue, step) for queue in broker_queues(QUEUE) for step in PRIORITY_STEPS]
    async with redis.asyncio.Redis.from_url(server.url) as client:
        while True:
            await client.brpop(lists, timeout=1)


def peer(run: Run) -> Finding:
    """Six, then twelve; what grows with the square is told from what grows with the number by the two."""
    server = run.redis()
    stock = Stock(server, run.folder)
    half = REAL // 2
    for number in range(half):
        run.stack.enter_context(stock.worker(f"stock-{number}"))
    time.sleep(SETTLING_S)
    few = measured(server, lambda: time.sleep(OBSERVED_S))
    for number in range(half, REAL):
        run.stack.enter_context(stock.worker(f"stock-{number}"))
    time.sleep(SETTLING_S)
    many = measured(server, lambda: time.sleep(OBSERVED_S))
    square = (many.out_kib / REAL - few.out_kib / half) / half
    each = many.out_kib / REAL - square * REAL
    thousand = (square * 1_000 + each) * 1_000
    said = (
        f"{half} send {few.out_kib:.0f} KiB/s, {REAL} send {many.out_kib:.0f}: 1,000 would send "
        f"{thousand / 1024:.0f} MiB/s; {many.clients / REAL:.1f} connections each"
    )
    return Finding(REAL, int(thousand > OUT_MOST), said)


CAMPAIGNS = [
    Campaign(
        id="C",
        promise=f"A thousand workers at rest cost Redis less than {CPU_MOST:.0%} of a core and 1 MiB/s, and {CLIENTS_MOST:g} connections each.",
        theme="store",
        ours=ours,
        trials=1_000,
        short=2,
        peer=peer,
        peer_trials=REAL,
        minutes=3,
        alone=True,
    )
]
