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
WORKERS, PLACES = 2, 6
PEER_S = 60.0
"""How long the peer is watched: with each reset it has more to do, so it may not come to an end."""


def ours(run: Run) -> Finding:
    """Reset them until all tasks have ended."""
    pace = 1.0 if run.trials > PLACES else SHORT
    here = installation(run, workers=WORKERS if run.trials > PLACES else 1, concurrency=PLACES)
    ids = here.submit(run.trials, TASK_S * pace)
    left = list(ids)

    def all_ended() -> bool:
        left[:] = [task_id for task_id in left if ended(here.store, task_id) is None]
        return not left

    resets = 0
    while not comes_true(all_ended, within=EVERY_S * pace) and resets < run.trials:
        here.link.reset_all()
        resets += 1
        run.tell(f"{resets} resets, {len(left)} tasks left")
    found = here.judge(ids)
    ends = here.marks.beyond_one("end", ids)
    return Finding(run.trials, found.failures + ends, f"{found}; {resets} resets of all connections")


def peer(run: Run) -> Finding:
    """The same."""
    redis = run.redis()
    link = run.stack.enter_context(proxy(redis.port))
    direct = Stock(redis, run.folder)
    app = direct.app()
    run.stack.enter_context(Stock(redis, run.folder, broker=link.url).worker(concurrency=PLACES))
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
        trials=72,
        short=PLACES,
        peer=peer,
        peer_trials=12,
    )
]
