"""Asks the store for the task of a message, and knows what to do with each answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from genfleet.contract.measures import Cause
from genfleet.contract.task_types import DEFAULT_PRIORITY, TASK_TYPES
from genfleet.errors import StoreUnavailable
from genfleet.store import dead_letters, steps
from genfleet.store.client import SyncStore
from genfleet.store.records import Lease, NewTask
from genfleet_workers.deaths import Deaths
from genfleet_workers.holdings import Holdings
from genfleet_workers.watch import hard_limit_passed

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Claims:
    """The worker's parent, as seen from a request."""

    store: SyncStore
    holdings: Holdings
    worker: str
    queue: str
    """The queue of this worker; the broker may have other names for it."""
    gpus: float = 0
    """Those of this worker."""
    deaths: Deaths = field(default_factory=Deaths)
    asked: int = 0
    """Messages that came so far: how the consumer shows that it consumes."""

    def claim(
        self, task_id: str, name: str, headers: Mapping[str, Any], nonce: str, hard_limit_s: float
    ) -> Lease | None:
        """The right to run a message's task, or None: then the message is of no more use.

        Raises StoreUnavailable: then nothing is known, and the message goes back to its queue with the connection.
        """
        self.asked += 1
        token = headers.get("token", "")
        call = steps.claim(task_id, str(token), self.worker, nonce, self.gpus)
        answer = self.store.run(call)
        if answer.verdict == "unknown" and token == "":
            self.store.run(steps.submit(_adopted(task_id, name, headers)))
            answer = self.store.run(call)
        if answer.lease is None:
            log.info("message_dropped", task_id=task_id, task_type=name, verdict=answer.verdict)
            return None
        log.info("claimed", **answer.lease.names)
        self.holdings.take(answer.lease, hard_limit_s)
        return answer.lease

    def timed_out(self, lease: Lease, seconds: float) -> None:
        """It ran past its hard limit, and its process is about to be killed (TS-109, PI-016).

        Told at once, before the process hears SIGTERM and hands its task back.
        """
        failed = steps.fail(lease.task_id, lease.token, hard_limit_passed(seconds), cause=Cause.TIMEOUT)
        report = self.holdings.outcome(lease) or failed
        try:
            self.store.run(report)
        except StoreUnavailable:
            self.holdings.report(report)

    def died(self, lease: Lease, error: Exception) -> None:
        """Its process is gone. What it had done already counts; else the task starts again, or is given up."""
        why = self.deaths.tell(error)
        self.holdings.report(self.holdings.outcome(lease) or steps.lose(lease.task_id, lease.token, why))

    def set_aside(self, reason: str, message: bytes, broker_list: str, **known: str) -> None:
        """Keep a message that could not be judged, with its reason, where people find it.

        Whatever comes in the way: the worker goes on.
        """
        log.warning("message_set_aside", reason=reason, size=len(message), **known)
        call = dead_letters.set_message_aside(
            reason, message, broker_list=broker_list, queue=self.queue, worker=self.worker, **known
        )
        try:
            self.store.run(call)
        except StoreUnavailable:
            self.holdings.report(call)  # the beat tells it when Redis is back
        except Exception:
            log.exception("not_set_aside", **known)


def _adopted(task_id: str, name: str, headers: Mapping[str, Any]) -> NewTask:
    """The record of a task that another producer enqueued with Celery alone, with arguments of its own."""
    args, kwargs = headers.get("args") or (), headers.get("kwargs") or {}
    data = kwargs.get("task_data") or next((argument for argument in args if isinstance(argument, dict)), kwargs)
    project = str(kwargs.get("project_id") or "unknown")
    log.info("task_adopted", task_id=task_id, project_id=project, task_type=name)
    return NewTask(
        id=task_id,
        project=project,
        type=name,
        queue=TASK_TYPES[name].queue,
        priority=DEFAULT_PRIORITY,
        data=orjson.dumps(data),
        metadata=orjson.dumps(kwargs.get("metadata") or {}),
    )
