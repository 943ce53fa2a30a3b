"""The seam in Celery: between a message that was received and the process that runs it.

Celery asks a request whether it was revoked just before it gives it to a process. There the worker asks the store for
the task, so a task is claimed when it can start and not before. When its process is done, Celery acknowledges; there
the worker lets go of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from billiard.exceptions import TimeLimitExceeded
from celery.worker.request import Request as CeleryRequest

from genfleet.errors import StoreUnavailable

if TYPE_CHECKING:
    from genfleet_workers.claims import Claims

log = structlog.get_logger(__name__)


class Request(CeleryRequest):  # type: ignore[misc]  # Celery ships no types
    """A message on its way to a process."""

    @property
    def _claims(self) -> Claims:
        claims: Claims = self.task.app.claims
        return claims

    def revoked(self) -> bool:
        """Whether this message is to be dropped: the store does not give its task to us."""
        try:
            lease = self._claims.claim(self.id, self.name, self.request_dict, self.delivery_tag)
        except StoreUnavailable as error:
            # What Celery knows how to survive: it connects again, and the message goes back to its queue.
            raise ConnectionError(str(error)) from error
        except Exception:
            # Nothing a message or a record holds may end the worker. If the task can run at all, it gets another one.
            log.exception("claim_failed", task_id=self.id)
            lease = None
        if lease is None:
            self.acknowledge()
            return True
        self.request_dict["lease"] = lease
        return False

    @property
    def delivery_tag(self) -> str:
        """The broker's name of this delivery."""
        return str(self.message.delivery_tag)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """A process has taken the task."""
        self._claims.holdings.started(self.id, pid)
        super().on_accepted(pid, time_accepted)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """The process gave no answer: attempts settle themselves, so it died, or was killed at the hard limit."""
        error = exc_info.exception
        error = getattr(error, "exc", error)  # billiard wraps it with its traceback
        log.warning("process_lost", task_id=self.id, reason=repr(error))
        if isinstance(error, TimeLimitExceeded):
            self._claims.holdings.timed_out(self.id, error.args[0])
        else:
            self._claims.holdings.died(self.id, str(error))
        if isinstance(error, MemoryError):
            self.acknowledge()  # Celery would end the whole worker
            return
        super().on_failure(exc_info, send_failed_event, return_ok)

    def acknowledge(self) -> None:
        """The message has served, and the task is no longer in our hands."""
        self._claims.holdings.finished(self.id)
        super().acknowledge()
