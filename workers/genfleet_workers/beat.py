"""The beat: a thread of the worker's parent that renews leases and does what Redis answers, whatever the children do.

A thread, because Celery's main loop may be busy connecting again when a beat is due. As it keeps everything that is held
here alive, it also watches whether there is something behind it (`watch.py`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

import orjson
import structlog

from genfleet.errors import StoreUnavailable
from genfleet.store import capacity, redis_check, steps
from genfleet.store.calls import Call
from genfleet.store.client import SyncStore
from genfleet.store.redis_check import Teller
from genfleet.store.rights import Program
from genfleet.store.upkeep import Upkeep
from genfleet_workers.family import Family
from genfleet_workers.holdings import Holdings
from genfleet_workers.machine import Machine
from genfleet_workers.settings import WorkerSettings
from genfleet_workers.watch import SLOW, Act, Allowed, Appetite

log = structlog.get_logger(__name__)

PERIOD = timedelta(seconds=2)
"""Four beats to a lease."""
AGAIN = timedelta(seconds=0.5)
"""After a beat that failed: the leases run."""

BROKEN = 75
"""Exit status of a worker that is broken and has to be replaced: trying again helps."""


class Phase(StrEnum):
    """What a worker says of itself."""

    READY = "ready"
    DRAINING = "draining"
    """Takes nothing new, and is still at work."""
    DRAINED = "drained"
    """Takes nothing new, and has nothing left: it may be stopped."""


class Beat(threading.Thread):
    """Beats until it is told to end."""

    def __init__(self, settings: WorkerSettings, store: SyncStore, family: Family, teller: Teller) -> None:
        super().__init__(name="beat", daemon=True)
        self.holdings = Holdings(settings.scratch_dir, settings.stop_grace_seconds, family, self.soon)
        self.set_consuming: Callable[[bool, Callable[[], None]], None] = lambda _, __: None
        """Starts or stops taking messages, then calls back. Set when the consumer is there."""
        self.restart_consuming: Callable[[], None] = lambda: None
        """Starts the consumer anew. Set when it is there, as the next."""
        self.loading: Callable[[], bool] = lambda: False
        """Whether a process still loads its engines."""
        self.asked: Callable[[], int] = lambda: 0
        """Messages that the consumer has taken so far."""
        self._settings = settings
        self._store = store
        self._family = family
        self._machine = Machine(family)
        self._allowed = Allowed(
            settings.patience_seconds,
            SLOW * settings.patience_seconds,
            settings.memory_limit,
            settings.process_limit,
            settings.scratch_limit,
        )
        self._appetite = Appetite(settings.patience_seconds)
        self._trouble = ""
        """Why this worker has to be replaced."""
        self._main_turned = self._turned = time.monotonic()
        """When the main loop was seen to turn, and when this one last did."""
        self._minds_since = self._turned
        """Since when the main loop has looked after its processes, which it doesn't while it connects to Redis."""
        self._teller = teller
        self._soon = threading.Event()
        self._upkeep = Upkeep(store, settings.worker_id, PERIOD)
        self._over = False
        self._consuming = True
        self._quiet = False
        """Whether the main loop has stopped taking messages, and not only been asked to."""
        self._stop_by: float | None = None
        self._heard = time.monotonic()
        """When Redis answered last."""

    def soon(self) -> None:
        """Beat now rather than at the end of the period."""
        self._soon.set()

    def main_turned(self, *, connecting: bool = False) -> None:
        """Called by the main loop while it turns. It watches this thread as this thread watches it."""
        now = time.monotonic()
        if connecting:
            self._minds_since = now
        if now - self._main_turned > self._settings.patience_seconds:
            self._turned = now  # the machine was paused, and this thread with it
        self._main_turned = now
        still = now - self._turned
        if self.ident and not self._over and still > SLOW * self._settings.patience_seconds:
            log.critical("beat_stands_still", seconds=round(still))
            self.leave()

    def stopping(self) -> None:
        """The worker got SIGTERM: what runs may finish within the grace, then it is handed back (NS-009)."""
        self._stop_by = time.monotonic() + self._settings.grace.total_seconds()
        self.soon()

    def end(self) -> None:
        """The worker is leaving: say goodbye."""
        self._over = True
        self._upkeep.end()
        self.soon()
        if self.ident:  # Redis was there, and it was started
            self.join(timeout=steps.LEASE.total_seconds())
        try:
            self._deliver_last_reports()
            # Claimed after SIGTERM: Celery gives no process anything then, and says nothing.
            for held in reversed(self.holdings.leases()):
                self._tell(steps.hand_back(*held, "its worker stopped before a process had taken it"))
            self._store.run(capacity.depart(self._settings.worker_id, self._settings.queue))
        except StoreUnavailable as error:
            log.warning("left_without_goodbye", reason=str(error))

    def first(self) -> None:
        """Hear what was said to us while we started, before the first message is taken."""
        try:
            self._beat()
        except StoreUnavailable as error:
            log.warning("beat_missed", reason=str(error))

    def run(self) -> None:
        """Beat, and do the answer; wait out an unreachable Redis."""
        self._upkeep.start()
        while not self._over:
            self._soon.wait((PERIOD if self._turn() else AGAIN).total_seconds())
            self._soon.clear()

    def _turn(self) -> bool:
        """One beat and what comes with it. Whether it went well."""
        now = time.monotonic()
        if now - self._turned > PERIOD.total_seconds() + self._settings.patience_seconds / 2:
            self._main_turned = now  # the machine was paused, and the main loop with it
        self._turned = now
        try:
            self._watch()
            self._beat()
            self._deliver_reports()
            if self._trouble and not self.holdings.at_work():
                self.leave()
            if self._teller.is_due:
                self._teller.tell(redis_check.look(self._store, Program.WORKER, now=None))
        except StoreUnavailable as error:
            self._teller.is_due = True
            log.warning("beat_missed", reason=str(error))
            self._appetite.blind()
            self._leave_in_time()
            return False
        except Exception:
            log.exception("beat_failed")  # the next one may do better; without beats all work here is lost
            return False
        return True

    def _beat(self) -> None:
        leases = self.holdings.leases()
        answer = self._store.run(
            steps.renew(self._settings.worker_id, self._settings.queue, self._about(len(leases)), leases)
        )
        self._heard = now = time.monotonic()
        for held, verdict in zip(leases, answer.verdicts, strict=True):
            if verdict == "stop":
                self.holdings.stop(held, now)
            elif verdict == "done":
                self.holdings.settled(held)
            elif verdict == "lost":
                self.holdings.kill(held)
        self._follow(drain=answer.drain or bool(self._trouble))
        self._feed(now, answer.waiting, len(leases))
        if self._stop_by is not None and now >= self._stop_by:
            self._hand_back(leases)
            self._deliver_reports()
            self.leave(0)  # Celery would still wait for the pool, second after second

    def _watch(self) -> None:
        """Take away what makes no move. If the fault is the worker's own, it had better be replaced."""
        now = time.monotonic()
        minds = now - self._minds_since > self._settings.patience_seconds
        allowed = replace(self._allowed, take_s=self._settings.load_seconds) if self.loading() else self._allowed
        for verdict in self.holdings.judge(allowed, self._family.look(), now):
            if verdict.broken and minds:
                self._retire(verdict.why)
        still = now - self._main_turned
        if self._stop_by is None and still > self._settings.patience_seconds:
            self._retire(f"its main loop has not turned for {still:.0f} s")

    def _feed(self, now: float, waiting: int, held: int) -> None:
        """Notice a consumer that takes nothing although there is room, and messages wait."""
        takes = self._consuming and self._stop_by is None
        could = takes and waiting > 0 and held < self._settings.concurrency
        match self._appetite.look(now, self.asked(), could=could):
            case Act.RESTART:
                log.error("consumer_stands_still", waiting=waiting, seconds=self._settings.patience_seconds)
                self.restart_consuming()
            case Act.LEAVE:
                self._retire("its consumer takes no messages, and did not when it was started anew")

    def _retire(self, why: str) -> None:
        """This worker is broken: it takes nothing more, what runs may end, and then it goes, so that another is started."""
        if self._trouble:
            return
        self._trouble = why
        log.critical("worker_is_broken", reason=why)
        self.holdings.give_up_unstarted(f"its worker is broken: {why}")
        self.soon()

    def leave(self, status: int = BROKEN) -> None:
        """At once. Not by Celery's way out, which is slow, or may be what is broken."""
        with suppress(StoreUnavailable):
            self._store.run(capacity.depart(self._settings.worker_id, self._settings.queue))
        self._family.end()
        self.holdings.clean_up()
        os._exit(status)

    def _leave_in_time(self) -> None:
        """Without Redis nothing can be settled or handed back. It is left to the leases, which ran out, and we go."""
        now = time.monotonic()
        if self._stop_by is None or now < min(self._stop_by, self._heard + self._settings.give_up_seconds):
            return
        for held in self.holdings.leases():
            self.holdings.kill(held)

    def _follow(self, *, drain: bool) -> None:
        """Take messages or not, as the fleet controller wants."""
        if self._stop_by is None and drain == self._consuming:
            self._consuming, self._quiet = not drain, False
            self.set_consuming(self._consuming, self._followed)
            self.soon()

    def _followed(self) -> None:
        """Called by the main loop, which has stopped taking messages or takes them again."""
        self._quiet = not self._consuming
        self.soon()

    def _hand_back(self, leases: list[tuple[str, int]]) -> None:
        grace = self._settings.grace.total_seconds()
        for held in reversed(leases):  # each becomes next in line, so the first one last
            # before the kill, so that the child cannot settle what it loses
            self._tell(steps.hand_back(*held, f"its worker had to stop, and {grace:g} seconds were not enough"))
            self.holdings.kill(held)

    def _deliver_reports(self) -> None:
        for report in self.holdings.reports():
            self._tell(report)
            self.holdings.delivered(report)

    def _tell(self, call: Call[Any]) -> None:
        """Raises StoreUnavailable. A record that is broken keeps nobody from hearing of the others."""
        try:
            self._store.run(call)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("report_not_taken")

    def _deliver_last_reports(self) -> None:
        """There may be finished work among them: that is worth some patience with a Redis that does not answer."""
        until = self._heard + self._settings.give_up_seconds
        while True:
            try:
                return self._deliver_reports()
            except StoreUnavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(AGAIN.total_seconds())

    def _phase(self, running: int) -> Phase:
        if self._consuming and self._stop_by is None:
            return Phase.READY
        settled = self._quiet or self._stop_by is not None
        return Phase.DRAINED if settled and not running else Phase.DRAINING

    def _about(self, running: int) -> bytes:
        return orjson.dumps(
            {
                "phase": self._phase(running),
                "running": running,
                "concurrency": self._settings.concurrency,
                "consumer_restarts": self._appetite.restarts,
                **({"trouble": self._trouble} if self._trouble else {}),
                **self._machine.describe(),
            }
        )
