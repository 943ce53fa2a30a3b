"""T12: Redis is slow, or stands still for longer than a lease lasts.

Nobody is to take that for the loss of a worker: a beat that is late renews its lease all the same, and when nobody could
beat, everyone gets one lease of grace.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.installation import installation
from tests.chaos.proxy import Proxy, proxy
from tests.chaos.stock import Stock
from tests.support.servers import Redis
from tests.support.waiting import comes_true, wait_for

TASK_S, SHORT_S = 12.0, 9.0
"""Both longer than a lease lasts; the second in the short form."""
STILL_S = 10.0
"""Longer than a lease lasts, too. As `DEBUG SLEEP` does it, which Redis refuses by default since version 7."""
PLACES = 6


@dataclass(frozen=True, slots=True)
class Slowness:
    """One way to be slow."""

    name: str
    delay: float = 0.0
    """Seconds, each way."""
    still: float = 0.0
    """Seconds for which the server does nothing, while the tasks run."""

    @contextmanager
    def holds(self, link: Proxy, redis: Redis, all_run: Callable[[], bool]) -> Iterator[None]:
        """While this holds, Redis is slow. It stands still once all tasks run."""
        link.delay = self.delay
        if self.still:
            wait_for("all tasks run", all_run, within=60)
            assert redis.process is not None
            redis.process.send_signal(signal.SIGSTOP)
            time.sleep(self.still)
            redis.process.send_signal(signal.SIGCONT)
        yield
        link.delay = 0.0


SLOW = (
    Slowness("1000 ms", delay=1.0),
    Slowness(f"stands still for {STILL_S:g} s", still=STILL_S),
    Slowness("200 ms", delay=0.2),
    Slowness("50 ms", delay=0.05),
)
"""The worst first: it is the short form."""


def ours(run: Run) -> Finding:
    """Let tasks run while Redis is slow, in one way after the other."""
    here = installation(run, concurrency=min(PLACES, run.trials))
    ids: list[str] = []
    seconds = TASK_S if run.trials > PLACES else SHORT_S
    for slow in SLOW[: -(-run.trials // PLACES)]:
        ids += (batch := here.submit(min(PLACES, run.trials), seconds, slow.name.replace(" ", "-")))
        with slow.holds(here.link, here.redis, lambda: set(batch) <= set(here.marks.count("start"))):
            found = here.judge(ids, within=90)
        run.tell(f"{slow.name}: {found}")
    return Finding(len(ids), found.failures, str(found))


def peer(run: Run) -> Finding:
    """The same."""
    redis = run.redis()
    link = run.stack.enter_context(proxy(redis.port))
    direct = Stock(redis, run.folder)
    app = direct.app()
    run.stack.enter_context(Stock(redis, run.folder, broker=link.url).worker(concurrency=PLACES))
    ids: list[str] = []
    for slow in SLOW[: run.trials // PLACES]:
        ids += (batch := [direct.submit(TASK_S, app=app) for _ in range(PLACES)])
        with slow.holds(link, redis, lambda: all(direct.notes("start", each) for each in batch)):
            comes_true(lambda: all(direct.notes("end", each) for each in batch), within=60)
    lost = sum(not direct.notes("end", task_id) for task_id in ids)
    again = sum(len(direct.notes("start", task_id)) > 1 for task_id in ids)
    return Finding(len(ids), lost + again, f"{len(ids)} tasks, {lost} lost, {again} started again")


CAMPAIGNS = [
    Campaign(
        id="T12",
        promise="A Redis that is slow, or stands still, costs no worker a task, and no task runs twice.",
        theme="slow",
        ours=ours,
        trials=PLACES * len(SLOW),
        short=1,
        peer=peer,
        fell_short=(
            (
                "At a second each way a worker's beat waited for the chores of the whole fleet, for longer than a lease lasts, "
                "and looks at the leases came so late that each was taken for the end of an outage: lost workers were never "
                "noticed. Chores have a thread of their own now, take one round trip, and know how slow Redis is."
            ),
            (
                "A message that was on its way from its list to a claim was taken for lost, and made again: each task cost a "
                "worker two messages. Now it has to be missing for five seconds."
            ),
            "A beat between the settlement of a task and the end of its process killed that process, which had done its work.",
        ),
    )
]
