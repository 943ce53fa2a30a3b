"""T14: workers are stopped for longer than their leases last, and go on as if nothing had happened."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from subprocess import Popen

import psutil

from genfleet.store import capacity
from genfleet.store.client import SyncStore
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.figures import spread
from tests.chaos.ledger import verdict
from tests.chaos.stock import Stock
from tests.support.servers import Site
from tests.support.tasks import queue_seen, record, submitted
from tests.support.waiting import comes_true, wait_for

AT_ONCE = 10
"""Workers that are stopped together."""
HEALTHY = "healthy@test"


def ours(run: Run) -> Finding:
    """Half of the attempts are over the moment their process goes on, so that they come up with a stale result."""
    redis = run.redis()
    store = run.store(redis)
    site = run.site(redis)
    number = min(AT_ONCE, run.trials)
    zombies = _start(run, site, number)
    run.stack.enter_context(site.worker(name="healthy", concurrency=2))
    marks = run.folder / "marks"
    ids: list[str] = []
    stopped_after: list[float] = []
    stale = 0
    while len(ids) < run.trials:
        store.run(capacity.drain(HEALTHY))
        wait_for("the healthy one takes nothing", lambda: _is_drained(store))
        batch = [submitted(store, seconds=6 if each % 2 else 600, later=0, marks=str(marks)) for each in range(number)]
        attempts = wait_for("each of them runs one", lambda: _started(marks, batch), within=60)  # noqa: B023
        _signal(zombies, signal.SIGSTOP)
        store.run(capacity.resume(HEALTHY))
        found = verdict(redis, store, [*ids, *batch])
        results = {task_id: record(store, task_id).result for task_id in batch}
        began = time.monotonic()
        _signal(zombies, signal.SIGCONT)
        comes_true(lambda: not queue_seen(store).running and _are_over(site, attempts, batch), within=30)  # noqa: B023
        stopped_after.append(time.monotonic() - began)
        stale += sum(record(store, task_id).result != results[task_id] for task_id in batch)
        stale += sum(record(store, task_id).worker != HEALTHY for task_id in batch)
        stale += not _are_over(site, attempts, batch)
        ids += batch
        run.tell(f"{len(ids)} of {run.trials}")
    found = verdict(redis, store, ids)
    gone = sum(zombie.poll() is not None for zombie in zombies)
    ends = sum(line.split()[0] == "end" and line.split()[2] == "1" for line in marks.read_text().splitlines())
    said = (
        f"{found}; {stale} stale results taken, of {ends} attempts that came to their end after all; every process of a zombie was "
        f"stopped, or turned away, after {spread(stopped_after)}"
    )
    return Finding(len(ids), found.failures + stale + gone, said)


def _start(run: Run, site: Site, number: int) -> list[Popen[bytes]]:
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda each: run.stack.enter_context(site.worker(name=f"zombie-{each}")), range(number)))


def _started(marks: Path, batch: list[str]) -> list[psutil.Process] | None:
    """The processes of their first attempts, once all have begun."""
    lines = [line.split() for line in marks.read_text().splitlines()] if marks.exists() else []
    pids = {line[1]: int(line[3]) for line in lines if line[0] == "start" and line[1] in batch and line[2] == "1"}
    return [psutil.Process(pid) for pid in pids.values()] if len(pids) == len(batch) else None


def _is_drained(store: SyncStore) -> bool:
    return any(worker.id == HEALTHY and worker.about["phase"] == "drained" for worker in queue_seen(store).workers)


def _signal(zombies: list[Popen[bytes]], number: signal.Signals) -> None:
    """To each worker with all its processes, as when a machine stops."""
    for zombie in zombies:
        worker = psutil.Process(zombie.pid)
        for process in (*worker.children(recursive=True), worker):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def _are_over(site: Site, attempts: list[psutil.Process], batch: list[str]) -> bool:
    """Whether each stale attempt has been killed with its process, or was turned away when it wanted to settle."""
    alive = sum(process.is_running() for process in attempts)
    if not alive:
        return True
    time.sleep(0.2)  # the logs are long, and the processors few
    logs = "".join(log.read_text() for log in site.folder.glob("zombie-*.log"))
    refused = [line for line in logs.splitlines() if "accepted=False" in line]
    return sum(f"task_id={each} " in f"{line} " for line in refused for each in batch) >= alive


def peer(run: Run) -> Finding:
    """Its task waits for the one that sleeps, however long that is: an hour, by default."""
    stock = Stock(run.redis(), run.folder)
    zombies = [run.stack.enter_context(stock.worker(name=f"zombie-{each}")) for each in range(run.trials)]
    ids = [stock.submit(3.0) for _ in zombies]
    wait_for("they run", lambda: all(stock.notes("start", task_id) for task_id in ids), within=60)
    _signal(zombies, signal.SIGSTOP)
    with stock.worker(name="healthy", concurrency=run.trials):
        comes_true(lambda: all(stock.notes("end", task_id) for task_id in ids), within=30)
        waits = sum(not stock.notes("end", task_id) for task_id in ids)
        _signal(zombies, signal.SIGCONT)
    return Finding(len(ids), waits, f"{waits} of {len(ids)} not started elsewhere within 30 s (3600 s by default)")


CAMPAIGNS = [
    Campaign(
        id="T14",
        promise="A worker that stands still for longer than its leases last, and then goes on, changes nothing: its tasks are done by "
        "others, what it comes up with is refused, and its processes are stopped.",
        theme="worker",
        ours=ours,
        trials=50,
        short=2,
        peer=peer,
        peer_trials=4,
        minutes=7,
    )
]
