"""Brings reports to where people read them: status and Events in the cluster, the last decision in Redis.

The newest report of a queue replaces an older one that was not written yet. What people act on is written at once, mere
numbers every few seconds, and all of it at a bounded rate: a thousand queues must not keep the API server busy.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from genfleet.contract.reasons import Reason
from genfleet.contract.status import QueueStatus
from genfleet.errors import StoreUnavailable
from genfleet.scaling.decide import Decision
from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from genfleet_operator import metrics, report
from genfleet_operator.fleet import Fleet
from genfleet_operator.kube import Cluster, ClusterRefused, ClusterUnavailable
from genfleet_operator.report import Fault, Notice, Trouble
from genfleet_operator.world import Key

log = structlog.get_logger(__name__)

ROUND_S = 0.25
"""Between two rounds of writing."""
WRITES_A_ROUND = 16
"""At most: 64 a second."""
NUMBERS_EVERY_S = 5.0
"""How often numbers alone are written."""
EVENT_GAP_S = 5.0
"""Between two Events about one queue's size; what happens between them is told in one."""
WARN_AGAIN_S = 300.0
"""Between two Events about the same fault of a queue."""
WELL_AFTER_S = 5.0
"""Without a fault, until an Event says so."""
STAYS_UP_AFTER_S = 60.0
"""The same for workers that failed: one that crashes comes up in between."""
TELL_REDIS_EVERY_S = 1.0
KEEP_IN_REDIS_S = capacity.FLEET_KEPT.total_seconds() / 3
"""An unchanged decision is kept in Redis again this often, or it would expire."""


@dataclass(slots=True)
class _Page:
    """What is to be told of one queue, and what was."""

    status: QueueStatus
    trouble: Trouble = field(default_factory=Trouble)
    written: QueueStatus | None = None
    written_at: float = 0.0
    shown: bytes | None = None
    queue: str = ""
    kept: bytes | None = None
    kept_at: float = 0.0
    announced: int | None = None
    """Size that the last Event told of."""
    announced_at: float = 0.0
    troubled: Fault | None = None
    """The fault that an Event told of last, until one tells that it is over."""
    seen_at: float = 0.0
    """When it was seen last (monotonic)."""
    warned: dict[Fault, float] = field(default_factory=dict)
    """When an Event told of a fault."""
    not_before: float = 0.0
    last: tuple[Fleet, Decision | None] | None = None
    """Who reported last, and what was decided."""


class Reporter:
    """Writes what the controller takes note of."""

    def __init__(self, cluster: Cluster, store: AsyncStore, clock: Callable[[], datetime]) -> None:
        self._cluster, self._store, self._clock = cluster, store, clock
        self._pages: dict[Key, _Page] = {}
        self._events: list[tuple[Key, dict[str, Any]]] = []
        self._numbers = itertools.count()

    def take(
        self, fleet: Fleet, status: QueueStatus, decision: Decision | None, trouble: Trouble, shown: bytes | None
    ) -> None:
        """The newest report of a queue. No decision: it could not be acted on."""
        page = self._pages.get(fleet.key)
        if page is None:
            page = self._pages[fleet.key] = _Page(status)
        page.status, page.shown, page.last = status, shown, (fleet, decision)
        page.trouble = trouble
        if fleet.resource:
            page.queue = fleet.resource.spec.queue
        self._announce(fleet, page, decision)
        self._warn(fleet, page, trouble)

    def repeat(self, key: Key) -> None:
        """The last report of a queue is still true: tell what had to wait."""
        page = self._pages.get(key)
        if page and page.last:
            self._announce(page.last[0], page, page.last[1])
            self._warn(page.last[0], page, page.trouble)

    def forget(self, key: Key) -> None:
        """A queue is no more."""
        self._pages.pop(key, None)

    async def run(self) -> None:
        """Write for as long as the program runs. An API server that does not answer keeps nothing from Redis."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell_cluster())
            group.create_task(self._tell_redis())

    async def _tell_cluster(self) -> None:
        while True:
            await self._write_statuses()
            await self._send_events()
            await asyncio.sleep(ROUND_S)

    async def _tell_redis(self) -> None:
        while True:
            await self._keep_in_redis()
            await asyncio.sleep(TELL_REDIS_EVERY_S)

    # -- status --------------------------------------------------------------------------------------------------------

    async def _write_statuses(self) -> None:
        now = time.monotonic()
        due = [(key, page) for key, page in self._pages.items() if now >= page.not_before and _is_due(page, now)]
        due.sort(key=lambda one: (not _is_urgent(one[1]), one[1].written_at))
        await asyncio.gather(*(self._write_status(key, page) for key, page in due[:WRITES_A_ROUND]))

    async def _write_status(self, key: Key, page: _Page) -> None:
        status = page.status
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            await self._cluster.set_status(*key, body)
        except ClusterUnavailable as error:
            page.not_before = time.monotonic() + NUMBERS_EVERY_S
            log.warning("status_not_written", queue="/".join(key), reason=str(error))
        except ClusterRefused as error:
            page.not_before = time.monotonic() + NUMBERS_EVERY_S
            if not error.gone:
                log.warning("status_refused", queue="/".join(key), reason=str(error))
        else:
            page.written, page.written_at = status, time.monotonic()

    # -- events --------------------------------------------------------------------------------------------------------

    def _announce(self, fleet: Fleet, page: _Page, decision: Decision | None) -> None:
        """One Event for a change of size."""
        if decision is None or decision.replicas == page.announced:
            return
        now = time.monotonic()
        if page.announced is None:
            page.announced = page.status.replicas
        if decision.replicas != page.announced and now - page.announced_at >= EVENT_GAP_S:
            reason = decision.reason
            if reason is Reason.STEADY:  # by now; what is told is how it came to that
                reason = Reason.DEMAND_ROSE if decision.replicas > page.announced else Reason.DEMAND_FELL
            note = f"{page.announced} → {decision.replicas} workers. {decision.explanation}"
            self.tell(fleet, Notice(reason=reason.value, note=note))
            page.announced, page.announced_at = decision.replicas, now

    def _warn(self, fleet: Fleet, page: _Page, trouble: Trouble) -> None:
        """One Event for a fault, and one when it has been gone for a while: a worker that crashes comes up in between."""
        now = time.monotonic()
        if trouble.fault is not Fault.NONE:
            page.troubled, page.seen_at = trouble.fault, now
            if now - page.warned.get(trouble.fault, -math.inf) >= WARN_AGAIN_S:
                page.warned[trouble.fault] = now
                self.tell(fleet, Notice(reason=trouble.fault.value, note=trouble.message, warning=True))
        elif page.troubled and now - page.seen_at >= _well_after(page.troubled):
            self.tell(fleet, Notice(reason="Recovered", note=f"No more {page.troubled}."))
            page.troubled = None

    def tell(self, fleet: Fleet, notice: Notice) -> None:
        """An Event about a queue."""
        event = report.event(fleet.key, fleet.document.uid, notice, self._clock(), next(self._numbers))
        self._events.append((fleet.key, event))
        del self._events[:-1000]  # the newest, if the API server takes none for long

    async def _send_events(self) -> None:
        """Events are told once at most: one that the API server does not take is in the log and the status all the same."""
        sending, self._events = self._events[:WRITES_A_ROUND], self._events[WRITES_A_ROUND:]
        results = await asyncio.gather(*(self._cluster.tell(event) for _, event in sending), return_exceptions=True)
        for (key, _), result in zip(sending, results, strict=True):
            if isinstance(result, ClusterUnavailable | ClusterRefused):
                log.warning("event_not_sent", queue="/".join(key), reason=str(result))
            elif isinstance(result, BaseException):
                raise result

    # -- Redis ---------------------------------------------------------------------------------------------------------

    async def _keep_in_redis(self) -> None:
        now = time.monotonic()
        due = [
            page
            for page in self._pages.values()
            if page.shown is not None and (page.shown != page.kept or now - page.kept_at >= KEEP_IN_REDIS_S)
        ]
        if not due:
            return
        metrics.REDIS_ROUND_TRIPS.inc()
        try:
            await self._store.run_all([capacity.report(page.queue, page.shown or b"") for page in due])
        except StoreUnavailable as error:
            metrics.REDIS_ERRORS.inc()
            log.debug("not_reported", reason=str(error))  # the controller says that Redis is away
            return
        for page in due:
            page.kept, page.kept_at = page.shown, now


def _well_after(fault: Fault) -> float:
    return STAYS_UP_AFTER_S if fault is Fault.WORKERS_FAILING else WELL_AFTER_S


def _is_due(page: _Page, now: float) -> bool:
    if page.status == page.written:
        return False
    return _is_urgent(page) or now - page.written_at >= NUMBERS_EVERY_S


def _is_urgent(page: _Page) -> bool:
    """Whether something changed that people or tools wait for, rather than a count."""
    return page.written is None or _essence(page.status) != _essence(page.written)


def _essence(status: QueueStatus) -> tuple[object, ...]:
    conditions = tuple((one.type, one.status, one.reason) for one in status.conditions)
    return status.observed_generation, status.desired, status.ready, status.replicas, conditions
