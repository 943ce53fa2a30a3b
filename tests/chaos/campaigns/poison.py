"""T3: tasks that take the process they run in with them, again and again, with others beside them."""

from __future__ import annotations

import time
from itertools import cycle, islice
from typing import Any

import psutil

from genfleet.contract.states import State
from genfleet.store.records import TaskRecord
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.figures import spread
from tests.chaos.ledger import verdict
from tests.chaos.stock import Stock
from tests.support.poison import AT_ONCE, DEADLY, LIMITS
from tests.support.tasks import record, submitted

ENGINES: dict[str, Any] = {"GENFLEET_ENGINES": "tests.support.poison:engines"}
WATCHED_S = 30.0
"""How long the peer's poison is watched: it has no end."""
HARMS_PEER = ("kills itself", "segfaults", "exits")
"""What is done to the peer: it has no limit to stop the rest."""


def ours(run: Run) -> Finding:
    """Each kind in turn; two harmless tasks for each."""
    redis = run.redis()
    store = run.store(redis)
    site = run.site(redis)
    worker = run.stack.enter_context(site.worker(concurrency=4, **ENGINES, **LIMITS))
    kinds = list(islice(cycle(DEADLY), run.trials))
    poison, others = [], []
    for kind in kinds:
        poison.append(submitted(store, poison=kind))
        others += [submitted(store, seconds=0.1) for _ in range(2)]
    found = verdict(redis, store, [*poison, *others], within=60 + 10.0 * run.trials)
    wrong = [
        f"{kind}: {[chapter.why for chapter in record(store, task_id).story]}"
        for kind, task_id in zip(kinds, poison, strict=True)
        if not _is_told(record(store, task_id), DEADLY[kind][1])
    ]
    harmed = sum(record(store, task_id).state is not State.COMPLETED for task_id in others)
    up = worker.poll() is None
    left = _left(worker.pid, 4) if up else 0
    for sentence in wrong:
        run.tell(sentence)
    waits = [
        (record(store, task_id).finished_ms or 0) / 1000 - record(store, task_id).created_ms / 1000
        for task_id in others
    ]
    said = (
        f"{len(kinds) - len(wrong)} of {len(kinds)} in quarantine after 3 attempts each with what they died of; "
        f"{len(others) - harmed} of {len(others)} others completed, after {spread(waits)}; "
        f"worker {'up' if up else 'ended'}, {left} processes left"
    )
    return Finding(len(kinds), found.failures + len(wrong) + harmed + (not up) + left, said)


def _is_told(task: TaskRecord, reason: str) -> bool:
    """Three attempts, each with the reason; it has failed, and is in quarantine."""
    told = [reason in str(chapter.why) or chapter.why == AT_ONCE for chapter in task.story]
    return task.state is State.FAILED and task.quarantined_ms is not None and told == [True] * 3


def _left(worker: int, places: int) -> int:
    """Processes below a worker beyond its places, after a moment to notice them."""
    until = time.monotonic() + 10
    while (left := len(psutil.Process(worker).children(recursive=True)) - places) > 0 and time.monotonic() < until:
        time.sleep(0.2)
    return max(left, 0)


def peer(run: Run) -> Finding:
    """The kinds that end by themselves. What counts: did it ever stop?"""
    stock = Stock(run.redis(), run.folder)
    run.stack.enter_context(stock.worker(concurrency=4))
    poison = {act: stock.harm(act) for act in HARMS_PEER}
    others = [stock.submit(0.1) for _ in range(6)]
    began = time.monotonic()
    while time.monotonic() - began < WATCHED_S:
        time.sleep(0.5)
    attempts = {act: len(stock.notes("start", task_id)) for act, task_id in poison.items()}
    endless = sum(number > 3 for number in attempts.values())
    done = sum(bool(stock.notes("end", task_id)) for task_id in others)
    counted = ", ".join(f"{act}: {number}" for act, number in attempts.items())
    said = f"{endless} of {len(poison)} run again without end (attempts in {WATCHED_S:g} s: {counted}); {done} of {len(others)} others done"
    return Finding(len(poison), endless + len(others) - done, said)


CAMPAIGNS = [
    Campaign(
        id="T3",
        promise="A task that kills its process, or takes more memory, disk or processes than it may, has three attempts; then it is "
        "in quarantine, with what it died of. Others and the worker go on, and nothing is left of it.",
        theme="worker",
        ours=ours,
        trials=3 * len(DEADLY),
        short=len(DEADLY),
        peer=peer,
        peer_trials=len(HARMS_PEER),
        minutes=5,
        fell_short=(
            (
                "A process that died before Celery's pool had heard that it took the task: the pool gave the same attempt to another, "
                "counted by nobody, and that one failed for good on what the first had left. Such an attempt now counts as lost."
            ),
            "Whatever an engine had started went on when its process was killed; orphans are now found and killed.",
            (
                "An error whose text cannot be read, and a result that is no JSON, were taken for lost workers; now they are failures, "
                "with a sentence. A result of 50 MB was kept; now more than 1 MiB is refused."
            ),
        ),
    )
]
