"""The seam in Celery: between a message that was received and the process that runs it.

Celery asks a request whether it was revoked just before it gives it to a process. There the worker asks the store for
the task, so a task is claimed when it can start and not before. When its process is done, Celery acknowledges; there
the worker lets go of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from billiard.exceptions import TimeLimitExceeded
from celery.worker.request import Request as CeleryRequest
from redis.exceptions import ResponseError

from genfleet.contract.keys import broker_list
from genfleet.contract.measures import Cause, Outcome
from genfleet.errors import StoreUnavailable
from genfleet.traces import NOTHING, Span
from genfleet_workers import tracing

if TYPE_CHECKING:
    from genfleet.store.records import Lease
    from genfleet_workers.claims import Claims

log = structlog.get_logger(__name__)


class Request(CeleryRequest):  # type: ignore[misc]  # Celery ships no types
    """A message on its way to a process."""

    lease: Lease | None = None
    """What the store granted for this message."""
    on_success: Callable[..., None]
    span: Span = NOTHING
    """Of its attempt, where that is traced."""

    @property
    def _claims(self) -> Claims:
        claims: Claims = self.task.app.claims
        return claims

    @property
    def _names(self) -> dict[str, Any]:
        """Whose message it is, for the log."""
        return self.lease.names if self.lease else {"task_id": self.id, "task_type": self.type}

    def revoked(self) -> bool:
        """Whether this message is to be dropped: it is too late for it, or the store does not give its task to us."""
        if self.lease:
            return False  # Celery asks twice about a message that may expire
        if self.expires and super().revoked():
            return True
        if self.eta and self.eta > self.app.now():
            return False  # another producer's, for later: Celery asks again when its time has come
        self.lease = self._claimed()
        if self.lease is None:
            self.acknowledge()
            return True
        self._follow(self.lease)
        self.request_dict["lease"] = self.lease
        return False

    def _claimed(self) -> Lease | None:
        try:
            # A nonce of this very request. Not the broker's delivery tag: after a reconnect kombu delivers a message
            # again under the same one, although its task still runs here.
            hard_limit = self.time_limits[0] or self.task.time_limit  # another producer's message may have its own
            return self._claims.claim(self.id, self.type, self.request_dict, uuid.uuid4().hex, hard_limit)
        except StoreUnavailable as error:
            # What Celery knows how to survive: it connects again, and the message goes back to its queue.
            raise ConnectionError(str(error)) from error
        except Exception as error:
            # Nothing that a message or a record holds may end the worker.
            log.exception("claim_failed", **self._names)
            self._set_aside(f"{type(error).__name__}: {error}")
            return None

    def _set_aside(self, reason: str) -> None:
        sent = self.message.serializable()
        properties = sent["properties"]  # as `messages.judge` made them
        self._claims.set_aside(
            reason,
            orjson.dumps(sent),
            broker_list(properties["delivery_info"]["routing_key"], properties["priority"]),
            task_id=self.id,
            task_type=self.type,
            tag=properties["delivery_tag"],
        )

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """A process has taken the task."""
        if self.lease:
            self._claims.holdings.started(self.lease, pid)
        super().on_accepted(pid, time_accepted)

    def _follow(self, lease: Lease) -> None:
        """Have the span of the attempt end with it, if it is traced."""
        self.lease, self.span = tracing.begin(lease, self._claims.queue)
        if self.span is NOTHING:
            return
        # Celery makes a class of this one for each task type, with an `on_success` of its own.
        then = self.on_success

        def succeeded(failed__retval__runtime: Any, **more: Any) -> None:
            tracing.end(self.span, str(failed__retval__runtime[1]).strip("'"))  # as Python writes it
            then(failed__retval__runtime, **more)

        self.on_success = succeeded

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """The process gave no answer: attempts settle themselves, so it died, or was killed at the hard limit."""
        error = exc_info.exception
        error = getattr(error, "exc", error)  # billiard wraps it with its traceback
        log.warning("process_lost", **self._names, reason=repr(error))
        timed_out = isinstance(error, TimeLimitExceeded)
        tracing.end(self.span, f"{Outcome.FAILED} {Cause.TIMEOUT}" if timed_out else f"{Outcome.LOST} {Outcome.LOST}")
        if self.lease and timed_out:
            self._claims.timed_out(self.lease, error.args[0])
        elif self.lease:
            self._claims.died(self.lease, error)
        if isinstance(error, MemoryError):
            self.acknowledge()  # Celery would end the whole worker
            return
        super().on_failure(exc_info, send_failed_event, return_ok)

    def acknowledge(self) -> None:
        """The message has served. What it was granted, if anything, is no longer in our hands."""
        if self.lease:
            self._claims.holdings.finished(self.lease)
        try:
            super().acknowledge()
        except ResponseError as error:
            # Redis is full, or no longer the primary. Its task is settled: whoever is given this message again drops it.
            log.warning("not_acknowledged", **self._names, reason=str(error))
