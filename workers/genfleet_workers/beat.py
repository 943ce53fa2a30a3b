"""The beat: a thread of the worker's parent that renews leases and does what Redis answers, whatever the children do.

A thread, because Celery's main loop may be busy connecting again when a beat is due.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

import orjson
import structlog

from genfleet.errors import StoreUnavailable
from genfleet.store import capacity, steps, upkeep
from genfleet.store.client import SyncStore
from genfleet_workers.holdings import Holdings
from genfleet_workers.machine import Machine
from genfleet_workers.settings import WorkerSettings

log = structlog.get_logger(__name__)

PERIOD = timedelta(seconds=2)
"""Four beats to a lease."""
AGAIN = timedelta(seconds=0.5)
"""After a beat that failed: the leases run."""


class Phase(StrEnum):
    """What a worker says of itself."""

    READY = "ready"
    DRAINING = "draining"
    """Takes nothing new, and is still at work."""
    DRAINED = "drained"
    """Takes nothing new, and has nothing left: it may be stopped."""


class Beat(threading.Thread):
    """Beats until it is told to end."""

    def __init__(self, settings: WorkerSettings, store: SyncStore, machine: Machine) -> None:
        super().__init__(name="beat", daemon=True)
        self.holdings = Holdings(settings.scratch_dir, settings.stop_grace_seconds, self.soon)
        self.set_consuming: Callable[[bool, Callable[[], None]], None] = lambda _, __: None
        """Starts or stops taking messages, then calls back. Set when the consumer is there."""
        self._settings = settings
        self._store = store
        self._machine = machine
        self._soon = threading.Event()
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

    def stopping(self) -> None:
        """The worker got SIGTERM: what runs may finish within the grace, then it is handed back (NS-009)."""
        self._stop_by = time.monotonic() + self._settings.grace.total_seconds()
        self.soon()

    def end(self) -> None:
        """The worker is leaving: say goodbye."""
        self._over = True
        self.soon()
        self.join(timeout=steps.LEASE.total_seconds())
        try:
            self._deliver_reports()
            # Claimed after SIGTERM: Celery gives no process anything then, and says nothing.
            for held in reversed(self.holdings.leases()):
                self._store.run(steps.hand_back(*held, "its worker stopped before a process had taken it"))
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
        """Beat, do the answer, do chores; wait out an unreachable Redis."""
        while not self._over:
            self._soon.wait((PERIOD if self._turn() else AGAIN).total_seconds())
            self._soon.clear()

    def _turn(self) -> bool:
        """One beat and what comes with it. Whether it went well."""
        try:
            self._beat()
            self._deliver_reports()
            upkeep.do_chores(self._store, self._settings.worker_id)
        except StoreUnavailable as error:
            log.warning("beat_missed", reason=str(error))
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
            elif verdict == "lost":
                self.holdings.kill(held)
        self._follow(drain=answer.drain)
        if self._stop_by is not None and now >= self._stop_by:
            self._hand_back(leases)

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
            self._store.run(steps.hand_back(*held, f"its worker had to stop, and {grace:g} seconds were not enough"))
            self.holdings.kill(held)

    def _deliver_reports(self) -> None:
        for report in self.holdings.reports():
            self._store.run(report)
            self.holdings.delivered(report)

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
                **self._machine.describe(),
            }
        )
