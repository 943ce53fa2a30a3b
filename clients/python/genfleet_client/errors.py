"""What goes wrong: refusals of the service (`ApiError` and below), and ends of a task that nobody hoped for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genfleet_client.bodies import StatusBody


class ApiError(Exception):
    """The service refused. Subclasses say in which way; catch this one for all of them."""

    def __init__(self, status: int, body: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.message = str(body.get("message") or body.get("detail") or f"HTTP {status}")
        """What went wrong, in a sentence; the text of the exception has the details, too."""
        self.details: dict[str, str] = body.get("details") or {}
        """A sentence for each wrong field, under its dotted path."""
        faults = "; ".join(f"{field}: {fault}" for field, fault in self.details.items())
        super().__init__(f"{self.message}: {faults}" if faults else self.message)
        self.status = status
        """Of HTTP; 0 where nobody answered, or none of ours."""
        self.body = dict(body)
        self.error = str(body.get("error", ""))
        """The kind of error in one word, such as `validation_error`."""
        self.retry_after = retry_after
        """Seconds after which the same request may do better, where the service said so."""


class Unreachable(ApiError):
    """Nobody answered, or somebody who is not genfleet."""


class InvalidRequest(ApiError):
    """400, 413, 422: the request itself has to change."""


class Unauthorized(ApiError):
    """401: the key is missing or wrong."""


class Forbidden(ApiError):
    """403: the key is not for this."""


class NotFound(ApiError):
    """404: there is no such task, or it has expired."""


class TooManyRequests(ApiError):
    """429: over a limit, also after waiting for it."""


class ServiceUnavailable(ApiError):
    """5xx: the service or its Redis is down. The same request may do better later."""


_CLASSES: Mapping[int, type[ApiError]] = {
    0: Unreachable,
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    413: InvalidRequest,
    422: InvalidRequest,
    429: TooManyRequests,
}


def refusal(status: int, body: Mapping[str, Any], retry_after: float | None = None) -> ApiError:
    """The error of an answer."""
    kind = ServiceUnavailable if status >= 500 else _CLASSES.get(status, ApiError)
    return kind(status, body, retry_after)


class TaskFailed(Exception):
    """The task has ended without a result. The service has already done all its automatic attempts (TS-114, TS-162)."""

    def __init__(self, status: StatusBody) -> None:
        super().__init__(f"Task failed: {status.get('error') or 'Unknown error'}")
        self.status = status


class TaskCancelled(Exception):
    """Somebody cancelled the task (TS-162)."""

    def __init__(self, status: StatusBody) -> None:
        super().__init__("Task was cancelled")
        self.status = status


class TaskTimeout(TimeoutError):
    """It took longer than the caller would wait. The task itself goes on (TS-162)."""

    def __init__(self, seconds: float, status: StatusBody) -> None:
        super().__init__(f"Task timeout after {seconds:g} seconds")
        self.status = status


def completed(status: StatusBody) -> StatusBody:
    """A status that is final, if it is the good one. Raises TaskFailed, TaskCancelled."""
    match status["status"]:
        case "failed":
            raise TaskFailed(status)
        case "cancelled":
            raise TaskCancelled(status)
        case _:
            return status
