"""T2: only the process that runs a task is killed; its worker lives."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from genfleet.contract.keys import key
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.figures import spread
from tests.chaos.ledger import verdict
from tests.chaos.stock import Stock
from tests.support.tasks import record, submitted
from tests.support.waiting import comes_true, wait_for

AT_ONCE = 4


def ours(run: Run) -> Finding:
    """Four at a time."""
    redis = run.redis()
    store = run.store(redis)
    run.stack.enter_context(run.site(redis).worker(concurrency=AT_ONCE))
    marks = run.folder / "marks"
    killed: dict[str, float] = {}
    while len(killed) < run.trials:
        batch = [
            submitted(store, seconds=600, later=0, marks=str(marks))
            for _ in range(min(AT_ONCE, run.trials - len(killed)))
        ]
        for task_id in batch:
            os.kill(wait_for("it runs", lambda: _process(marks, task_id), within=60), signal.SIGKILL)  # noqa: B023
            killed[task_id] = time.time()
        verdict(redis, store, batch)
        run.tell(f"{len(killed)} of {run.trials} killed")
    found = verdict(redis, store, list(killed))
    back = [
        (record(store, task_id).finished_ms or 0) / 1000 - at
        for task_id, at in killed.items()
        if task_id not in found.lost
    ]
    counted = int(redis.client.hget(key("counters"), "lost_workers") or 0)
    wrong = abs(counted - len(killed))
    said = f"{found}; completed by the next attempt after {spread(back)}; each kill counted {'once' if not wrong else f'wrongly: {counted}'}"
    return Finding(len(killed), found.failures + wrong, said)


def _process(marks: Path, task_id: str) -> int:
    lines = marks.read_text().splitlines() if marks.exists() else []
    return next((int(line.split()[3]) for line in lines if line.startswith(f"start {task_id} ")), 0)


def peer(run: Run) -> Finding:
    """The same; what it starts again takes a second."""
    stock = Stock(run.redis(), run.folder)
    run.stack.enter_context(stock.worker(concurrency=AT_ONCE))
    killed: dict[str, float] = {}
    while len(killed) < run.trials:
        batch = [stock.submit(1.0) for _ in range(min(AT_ONCE, run.trials - len(killed)))]
        for task_id in batch:
            os.kill(wait_for("it runs", lambda: next(iter(stock.pids(task_id)), 0), within=60), signal.SIGKILL)  # noqa: B023
            killed[task_id] = time.time()
        comes_true(lambda: all(stock.notes("end", task_id) for task_id in batch), within=30)  # noqa: B023
    ends = {task_id: stock.notes("end", task_id) for task_id in killed}
    lost = sum(not noted for noted in ends.values())
    doubled = sum(len(noted) > 1 for noted in ends.values())
    back = [
        stock.notes("start", task_id)[1] - at
        for task_id, at in killed.items()
        if len(stock.notes("start", task_id)) > 1
    ]
    return Finding(
        len(killed), lost + doubled, f"{lost} lost, {doubled} ended twice; started again after {spread(back)}"
    )


CAMPAIGNS = [
    Campaign(
        id="T2",
        promise="When only the process of a task is killed, the task starts again within seconds, and one lost worker is counted.",
        theme="worker",
        ours=ours,
        trials=100,
        short=8,
        peer=peer,
        peer_trials=40,
        minutes=4,
    )
]
