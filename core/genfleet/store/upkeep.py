"""The chores that keep the promises: delays, late retries, deadlines, lost workers, lost messages, old records. Any program that is up does them.

Every program tries once a period; Redis lets one of them do it. So it matters little which programs are up, and a
thousand workers cost what one costs.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import structlog

from genfleet.contract.task_types import QUEUES
from genfleet.errors import StoreUnavailable
from genfleet.store import chores
from genfleet.store.calls import Call
from genfleet.store.client import AsyncStore, SyncStore

log = structlog.get_logger(__name__)

PERIOD = timedelta(seconds=1)
LAST_TRIPS = 5
"""So many answers of Redis tell how quick it is when it is quick: one that stood still for once is not slow."""


class Rounds:
    """The rounds of one program, and how long Redis takes to answer it."""

    def __init__(self, who: str) -> None:
        self.turn = chores.take_upkeep(who, PERIOD)
        """Whether this round falls to this program."""
        self._trips = deque[float](maxlen=LAST_TRIPS)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Around the question for the turn, which costs Redis nothing."""
        began = time.monotonic()
        yield
        self._trips.append(time.monotonic() - began)

    def chores(self) -> Mapping[str, Call[int]]:
        """What is to be done in this one."""
        return {
            "promoted": chores.promote(QUEUES),
            "overdue": chores.end_overdue(),
            "reaped": chores.reap(QUEUES, timedelta(seconds=min(self._trips, default=0.0))),
            "recovered": chores.recover(QUEUES),
            "expired": chores.expire(),
        }


class Upkeep(threading.Thread):
    """Does the chores for as long as a program without an event loop runs: beside its beat, which must not wait for them."""

    def __init__(self, store: SyncStore, who: str, period: timedelta) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._store, self._rounds, self._period = store, Rounds(who), period
        self._over = threading.Event()

    def end(self) -> None:
        """What is under way may go on; nothing more is begun."""
        self._over.set()

    def run(self) -> None:
        """One round after the other; waits out an unreachable Redis."""
        while not self._over.wait(self._period.total_seconds()):
            try:
                self._round()
            except StoreUnavailable as error:
                log.warning("chores_wait", reason=str(error))
            except Exception:
                log.exception("chores_failed")  # as in `keep_up`

    def _round(self) -> None:
        with self._rounds.timed():
            ours = self._store.run(self._rounds.turn)
        if ours:
            due = self._rounds.chores()
            _tell(dict(zip(due, self._store.run_each(list(due.values())), strict=True)))


async def keep_up(store: AsyncStore, who: str) -> None:
    """Does the chores for as long as the program runs; waits out an unreachable Redis."""
    rounds = Rounds(who)
    while True:
        try:
            with rounds.timed():
                ours = await store.run(rounds.turn)
            if ours:
                due = rounds.chores()
                done = await asyncio.gather(*map(store.run, due.values()), return_exceptions=True)
                _tell(dict(zip(due, done, strict=True)))
        except StoreUnavailable as error:
            log.warning("chores_wait", reason=str(error))
        except Exception:
            log.exception("chores_failed")  # the next round may do better; without chores, what is lost stays lost
        await asyncio.sleep(PERIOD.total_seconds())


def _tell(done: Mapping[str, int | BaseException]) -> None:
    for name, result in done.items():
        if isinstance(result, StoreUnavailable):
            raise result
        if isinstance(result, BaseException):
            log.error("chore_failed", chore=name, exc_info=result)
        elif result:
            log.info("chore", chore=name, tasks=result)
