"""T13: the clocks of workers and of the API are wrong by an hour and more, in both directions, and jump.

No clock but that of Redis decides anything. kombu compares the clocks of workers: one that is ahead takes for forgotten what the
others run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.submit import LIMITS
from genfleet.store.client import SyncStore
from genfleet_client import Client
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.installation import counted
from tests.chaos.ledger import ended, verdict
from tests.chaos.marks import Marks
from tests.chaos.stock import Stock
from tests.support.servers import KEY, ROOT
from tests.support.tasks import record, submitted
from tests.support.waiting import comes_true, wait_for

AHEAD_S, BEHIND_S = 3700.0, -3700.0
"""More than the hour after which stock Celery offers a message again."""
LONG_S = 12.0
"""Longer than a lease lasts."""
LONG, PLACES = 4, 8
"""Tasks of that length; places of a worker."""
SHORT, SHORT_S = 8, 3.0
"""In the short form: how many tasks, and how long the long ones take."""
LEASE_S = (6.0, 20.0)
"""Between these a lost worker's task goes on: its lease of 8 s, less a beat, and what a busy machine needs."""
LATE_S = 5.0
"""A delayed task that starts later than that is late by more than a busy machine explains."""
DELAYS_S = (1.0, 6.0)


@dataclass(frozen=True, slots=True)
class Clock:
    """A wall clock that is wrong, for programs to go by."""

    file: Path

    def set(self, wrong_by: float) -> None:
        """It jumps."""
        whole = self.file.with_suffix(".new")
        whole.write_text(str(wrong_by))
        whole.replace(self.file)

    @property
    def environment(self) -> dict[str, str]:
        """For a program that goes by it."""
        return {"CHAOS_CLOCK": str(self.file), "PYTHONPATH": f"{ROOT / 'tests' / 'chaos' / 'skewed'}:{ROOT}"}


def ours(run: Run) -> Finding:
    """Workers and APIs that are ahead and behind; the clocks of the workers change places while both are at work."""
    full = run.trials > SHORT
    redis = run.redis()
    site = run.site(redis)
    store = run.store(redis)
    marks = Marks(run.folder / "marks")
    clocks = {f"{name}@test": _clock(run, name, wrong) for name, wrong in (("ahead", AHEAD_S), ("behind", BEHIND_S))}
    clients = []
    for hour in (3600.0, -3600.0) if full else (3600.0,):
        api = run.stack.enter_context(site.api(**LIMITS, **_clock(run, f"api{hour:g}", hour).environment))
        clients.append(run.stack.enter_context(Client(str(api.base_url), KEY)))
    workers = {
        name: run.stack.enter_context(site.worker(name=name[:-5], concurrency=PLACES, **clock.environment))
        for name, clock in clocks.items()
    }
    data = {"prompt": "a fox", "marks": str(marks.file)}
    ids = [submitted(store, **data, seconds=LONG_S if full else SHORT_S) for _ in range(LONG)]
    wait_for("all run", lambda: len(marks.count("start")) == LONG, within=30)
    due = {}
    for number in range(run.trials - LONG):
        delay = round(run.chance.uniform(*DELAYS_S), 2)
        client = clients[number % len(clients)]
        due[client.submit("chaos", "generate_image", data, delay_seconds=delay)["task_id"]] = delay
    ids += due
    clocks["ahead@test"].set(BEHIND_S)
    clocks["behind@test"].set(AHEAD_S)
    found = verdict(redis, store, ids, within=90)
    again, reaped = marks.beyond_one("start", ids), counted(redis, "lost_workers")
    late = sorted(_late(store, task_id, delay) for task_id, delay in due.items())
    wrong = sum(not 0 <= each <= LATE_S for each in late)
    said = f"{found}, {again} started again; {len(late)} delayed tasks began {late[0]:.2f} to {late[-1]:.2f} s after their time"
    if full:
        lease = _lease(store, workers)
        wrong += not LEASE_S[0] <= lease <= LEASE_S[1]
        said += f"; a lost worker's task went on after {lease:.1f} s"
    return Finding(run.trials + full, found.failures + again + reaped + wrong, said)


def _clock(run: Run, name: str, wrong_by: float) -> Clock:
    clock = Clock(run.folder / f"{name}.clock")
    clock.set(wrong_by)
    return clock


def _late(store: SyncStore, task_id: str, delay: float) -> float:
    """Seconds between its time and its start, by the clock of Redis, which is right."""
    task = record(store, task_id)
    return ((task.started_ms or 0) - task.created_ms) / 1000 - delay


def _lease(store: SyncStore, workers: dict[str, subprocess.Popen[bytes]]) -> float:
    """Seconds from the death of a worker to the next attempt at its task."""
    task_id = submitted(store, seconds=60, later=0)
    worker = wait_for("it runs", lambda: record(store, task_id).worker, within=30)
    os.killpg(workers[worker].pid, signal.SIGKILL)
    killed = time.monotonic()
    comes_true(lambda: ended(store, task_id), within=60)
    return time.monotonic() - killed


def peer(run: Run) -> Finding:
    """A second worker that is ahead joins one that is right; tasks are delayed by a client that is ahead."""
    redis = run.redis()
    stock = Stock(redis, run.folder)
    app = stock.app()
    run.stack.enter_context(stock.worker("right", concurrency=PLACES))
    ids = [stock.submit(LONG_S, app=app) for _ in range(LONG)]
    wait_for("all run", lambda: all(stock.notes("start", each) for each in ids), within=30)
    # As `countdown` has it, where the client's clock is an hour ahead.
    fast = [f"fast-{number}" for number in range(run.trials - LONG)]
    for task_id in fast:
        eta = datetime.now(UTC) + timedelta(seconds=3600 + DELAYS_S[0])
        app.send_task("stock.work", args=(0,), task_id=task_id, eta=eta)
    run.stack.enter_context(stock.worker("ahead", concurrency=PLACES, **_clock(run, "ahead", AHEAD_S).environment))
    comes_true(lambda: all(stock.notes("end", each) for each in fast), within=DELAYS_S[1] + LATE_S)
    time.sleep(LONG_S)
    again = sum(len(stock.notes("start", each)) > 1 for each in ids)
    waiting = sum(not stock.notes("start", each) for each in fast)
    said = f"{again} of {LONG} running tasks started again; {waiting} of {len(fast)} delayed tasks wait for an hour"
    return Finding(run.trials, again + waiting, said)


CAMPAIGNS = [
    Campaign(
        id="T13",
        promise="Clocks that are wrong by an hour, or jump, start no task too early, too late or twice, and take none away.",
        theme="slow",
        ours=ours,
        trials=60,
        short=SHORT,
        peer=peer,
        peer_trials=LONG + 4,
    )
]
