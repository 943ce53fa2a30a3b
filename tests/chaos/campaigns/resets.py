"""T6: all connections are reset again and again under long tasks, as by a firewall or a proxy that is restarted.

kombu then delivers every message again that was not acknowledged, also of a task that runs. The claim of the copy is
answered `busy`, and the attempt goes on.
"""

from __future__ import annotations

import time

from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.installation import installation
from tests.chaos.ledger import ended
from tests.chaos.proxy import proxy
from tests.chaos.stock import Stock
from tests.support.waiting import comes_true

TASK_S, EVERY_S = 12.0, 5.0
"""How long a task takes, and how often all connections are reset."""
SHORT = 0.25
"""The short form does the same in a quarter of the time."""
WORKERS, PLACES, TOGETHER = 2, 7, 5
"""Workers, tasks that each can run, and how many it is given: a copy of what runs finds a place."""
AT_MOST = 20
"""Resets until it is given up that a batch ends."""
PEER_S = 60.0
"""How long the peer is watched: with each reset it has more to do, so it may not come to an end."""


def ours(run: Run) -> Finding:
    """Reset them until all tasks have ended, as many at a time as leave places free for copies of what runs."""
    full = run.trials > TOGETHER
    here = installation(run, workers=WORKERS if full else 1, concurrency=PLACES)
    pace = 1.0 if full else SHORT
    ids: list[str] = []
    resets = 0
    while len(ids) < run.trials:
        batch = here.submit(TOGETHER * (WORKERS if full else 1), TASK_S * pace, f"{len(ids)}")
        ids += batch
        for _ in range(AT_MOST):
            if comes_true(lambda: all(ended(here.store, each) for each in batch), within=EVERY_S * pace):  # noqa: B023
                break
            here.link.reset_all()
            resets += 1
        run.tell(f"{len(ids)} of {run.trials} tasks, {resets} resets")
    found = here.judge(ids)
    ends = here.marks.beyond_one("end", ids)
    return Finding(len(ids), found.failures + ends, f"{found}; {resets} resets of all connections")


def peer(run: Run) -> Finding:
    """The same."""
    redis = run.redis()
    link = run.stack.enter_context(proxy(redis.port))
    direct = Stock(redis, run.folder)
    app = direct.app()
    run.stack.enter_context(Stock(redis, run.folder, broker=link.url).worker(concurrency=2 * PLACES))
    ids = [direct.submit(TASK_S, app=app) for _ in range(run.trials)]
    until = time.monotonic() + PEER_S
    while time.monotonic() < until and not comes_true(
        lambda: all(direct.notes("end", task_id) for task_id in ids), within=EVERY_S
    ):
        link.reset_all()
    again = sum(len(direct.notes("start", task_id)) > 1 for task_id in ids)
    twice = sum(len(direct.notes("end", task_id)) > 1 for task_id in ids)
    lost = sum(not direct.notes("start", task_id) for task_id in ids)
    said = f"{len(ids)} tasks, {again} started again, {twice} completed twice or more, {lost} not begun in {PEER_S:g} s"
    return Finding(len(ids), again, said)


CAMPAIGNS = [
    Campaign(
        id="T6",
        promise="Connections that are reset under running tasks make none run or end twice.",
        theme="links",
        ours=ours,
        trials=70,
        short=TOGETHER,
        peer=peer,
        peer_trials=12,
    )
]
