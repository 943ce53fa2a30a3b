"""T17: a queue that is far longer than any plan, and what it costs: memory, looks at it, chores, the speed of the workers.

Nothing on the way of a task may grow with the length of its queue.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

from bench.submit import LIMITS
from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.contract.task_types import QUEUES
from genfleet.store import capacity, chores, steps
from genfleet.store.client import AsyncStore
from genfleet.store.records import NewTask
from genfleet_client import Client
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.installation import counted
from tests.chaos.stock import Stock
from tests.support.servers import KEY, Redis, Site
from tests.support.tasks import new_task, queue_seen
from tests.support.waiting import wait_for

PROJECT = "chaos"
AT_ONCE = 500
"""Submissions in one write."""
PROMPT = "a fox " * 170
"""1 KiB."""
LOOKS = 50
SHARE = 1_000
"""One task in so many is done."""
REQUESTS = 4
"""To cancel the oldest of the others, 5,000 in each."""
PEER_SHARE = 250
PLACES = 2


def ours(run: Run) -> Finding:
    """Fill it, look at it, let workers have some of it, cancel the rest."""
    redis = run.redis("--hash-max-ziplist-value", "4096")  # as ours are set up, see docs/redis.md
    site = run.site(redis)
    store = run.store(redis)
    api = run.stack.enter_context(site.api(**LIMITS))
    some = max(1, run.trials // SHARE)
    asyncio.run(_fill(redis.url, 2 * some, first=run.trials))
    before = _drained(site, redis, some)
    empty = _memory(redis)
    asyncio.run(_fill(redis.url, run.trials))
    bytes_each = (_memory(redis) - empty) / run.trials
    depth_ms = _median_ms(lambda: store.run(capacity.observe(QUEUES)))
    wait_for("all wait", lambda: queue_seen(store).waiting >= run.trials)
    status_ms = _median_ms(lambda: api.get(f"/api/v1/tasks/many-{run.trials // 2}/status").raise_for_status())
    chore_ms = max(
        _median_ms(lambda: store.run(chore))  # noqa: B023
        for chore in (chores.reap(QUEUES), chores.recover(QUEUES), chores.promote(QUEUES))
    )
    run.tell(f"{bytes_each / 1024:.2f} KiB a task, a look {depth_ms:.1f} ms, a chore {chore_ms:.1f} ms")
    after = _drained(site, redis, some)
    began, cancelled = time.monotonic(), 0
    with Client(str(api.base_url), KEY) as client:
        for _ in range(REQUESTS):
            cancelled += client.cancel_tasks(PROJECT)["done"]
    speed = cancelled / (time.monotonic() - began)
    ends = counted(redis, "completed_tasks") + counted(redis, "cancelled_tasks")
    lost = counted(redis, "total_tasks") - ends - _in_progress(redis)
    said = (
        f"{run.trials:,} tasks, {abs(lost)} lost: {bytes_each / 1024:.2f} KiB each; depth in {depth_ms:.1f} ms, status in "
        f"{status_ms:.1f} ms, chores in {chore_ms:.1f} ms; {after:.0f} tasks/s, {before:.0f} from a short queue; "
        f"{speed:,.0f} a second cancelled"
    )
    return Finding(run.trials, abs(lost), said)


async def _fill(url: str, number: int, first: int = 0) -> None:
    store = AsyncStore(url)
    for start in range(first, first + number, AT_ONCE):
        await store.run_all([steps.submit(_task(each)) for each in range(start, min(start + AT_ONCE, first + number))])
    await store.close()


def _task(number: int) -> NewTask:
    return new_task(f"many-{number}", project=PROJECT, prompt=PROMPT)


def _median_ms(look: Callable[[], object]) -> float:
    took = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        look()
        took.append(time.perf_counter() - began)
    return 1000 * statistics.median(took)


def _in_progress(redis: Redis) -> int:
    with redis.client as look:
        return sum(int(look.zcard(key("index", state, "*", PROJECT))) for state in (State.QUEUED, State.PROCESSING))


def _memory(redis: Redis) -> int:
    with redis.client as look:
        return int(look.info("memory")["used_memory"])


def _drained(site: Site, redis: Redis, number: int) -> float:
    """Tasks a second of a worker, over so many."""
    before = counted(redis, "completed_tasks")
    with site.worker(concurrency=PLACES):
        return _speed(lambda: counted(redis, "completed_tasks") - before, number)


def _speed(done: Callable[[], int], number: int) -> float:
    """From the first that is done; a few may have been done before anybody looked."""
    wait_for("the first task is done", lambda: done() > 0, within=60)
    began, first = time.monotonic(), done()
    whole = min(first, number) + number  # of a queue of twice as many, more than half may be done when we look first
    wait_for("tasks are done", lambda: done() >= whole, within=120)
    return (done() - first) / (time.monotonic() - began)


def peer(run: Run) -> Finding:
    """The same, as far as there is anything to compare: nothing cancels what waits."""
    redis = run.redis()
    stock = Stock(redis, run.folder)
    app = stock.app()
    look = run.stack.enter_context(redis.client)
    some = max(1, run.trials // PEER_SHARE)

    def fill(number: int) -> None:
        with app.producer_pool.acquire(block=True) as producer:
            for _ in range(number):
                app.send_task("stock.nothing", args=(PROMPT,), producer=producer)

    def speed() -> float:
        before = int(look.llen("celery"))
        with stock.worker(concurrency=PLACES):
            return _speed(lambda: before - int(look.llen("celery")), some)

    fill(2 * some)
    before = speed()
    empty = _memory(redis)
    fill(run.trials)
    bytes_each = (_memory(redis) - empty) / run.trials
    depth_ms = _median_ms(lambda: look.llen("celery"))
    after = speed()
    said = (
        f"{run.trials:,} tasks: {bytes_each / 1024:.2f} KiB each, without a status; depth in {depth_ms:.1f} ms; "
        f"{after:.0f} tasks/s, {before:.0f} from a short queue"
    )
    return Finding(run.trials, 0, said)


CAMPAIGNS = [
    Campaign(
        id="T17",
        promise="A queue of 200,000 tasks costs memory, and nothing else: looks, chores and workers are as quick as ever.",
        theme="queue",
        ours=ours,
        trials=200_000,
        short=2_000,
        peer=peer,
        peer_trials=50_000,
        minutes=4,
        alone=True,
    )
]
