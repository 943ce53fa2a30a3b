"""How long a task is away when its worker is killed: from SIGKILL to completed, again and again.

Two workers with real leases; the one that runs the task is killed with all its processes, and another takes its place.
Every task must be completed once, with one result and one count.

    python -m bench.lost_worker [TRIALS]
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import table
from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from tests.support.servers import Redis, Site, free_port
from tests.support.tasks import record, submitted
from tests.support.waiting import wait_for

TRIALS = 20


class Fleet:
    """Two workers at any time, each under a name of its own."""

    def __init__(self, site: Site, stack: contextlib.ExitStack) -> None:
        self._site = site
        self._stack = stack
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._next = 0

    def fill(self) -> None:
        """Start what is missing."""
        while len(self._workers) < 2:
            self._next += 1
            name = f"worker-{self._next}"
            self._workers[f"{name}@test"] = self._stack.enter_context(self._site.worker(name=name))

    def kill(self, worker: str) -> None:
        """SIGKILL a worker and all its processes."""
        os.killpg(self._workers.pop(worker).pid, signal.SIGKILL)


def trial(store: SyncStore, fleet: Fleet) -> float:
    """Seconds from the kill to the completion."""
    fleet.fill()
    task_id = submitted(store, seconds=600, later=1)
    wait_for("it runs", lambda: record(store, task_id).step == "first_half")
    fleet.kill(record(store, task_id).worker or "")
    killed = time.monotonic()
    wait_for("it ends", lambda: record(store, task_id).finished_ms, within=30)
    took = time.monotonic() - killed
    assert record(store, task_id).state is State.COMPLETED
    return took


def main(trials: int = TRIALS) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        redis = Redis(Path(folder), free_port())
        redis.start()
        stack.callback(redis.stop)
        store = SyncStore(redis.url)
        stack.callback(store.close)
        fleet = Fleet(Site(redis, Path(folder)), stack)
        away = []
        for number in range(1, trials + 1):
            away.append(trial(store, fleet))
            sys.stderr.write(f"trial {number} of {trials}: {away[-1]:.1f} s\n")
        counters = redis.client.hgetall(key("counters"))
        completed, lost = int(counters[b"completed_tasks"]), int(counters[b"lost_workers"])
    assert completed == trials, f"{completed} completions counted for {trials} tasks"
    rows = [(trials, lost, completed, f"{statistics.median(away):.1f}", f"{max(away):.1f}")]
    sys.stdout.write(table(("kills", "workers lost", "tasks completed, counted once", "median s", "worst s"), rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
