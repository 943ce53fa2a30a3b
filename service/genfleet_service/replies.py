"""The documented bodies of errors (requirements 2.16), and how a reply is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

RETRY_SOON = 5
"""Seconds that a client is told to wait while Redis cannot be reached."""


def json_reply(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


class Refusal(Exception):
    """A request that is answered with an error. Raised anywhere below a route."""

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": error, "message": message, **more}
        self.headers = headers

    def reply(self) -> Response:
        """As it goes out."""
        return json_reply(self.body, self.status, self.headers)


def invalid(details: Mapping[str, str], message: str = "Invalid task data") -> Refusal:
    """TS-146. Keys of `details` are dotted paths."""
    return Refusal(400, "validation_error", message, details=dict(details))


def not_allowed_now(message: str) -> Refusal:
    """A refusal for the state that a task is in: `detail` as documented, and the common shape as well (PI-009)."""
    return Refusal(400, "validation_error", message, detail=message)


def unauthorized() -> Refusal:
    """TS-144."""
    return Refusal(401, "authentication_failed", "Invalid or missing API key")


def forbidden(message: str) -> Refusal:
    """The key is good, but not for this (NS-012). The message names what it lacks."""
    return Refusal(403, "forbidden", message)


def no_such_task(task_id: str) -> Refusal:
    """TS-145, TS-027."""
    return Refusal(404, "task_not_found", f"Task with ID '{task_id}' not found")


def unavailable() -> Refusal:
    """TS-147: Redis cannot be reached. It may have got what it was asked to do, and only its answer be lost."""
    return Refusal(
        503,
        "service_unavailable",
        "Redis cannot be reached, please try again later",
        retry_after=RETRY_SOON,
        headers={"Retry-After": str(RETRY_SOON)},
    )


def busy(wait_s: int, headers: Mapping[str, str]) -> Refusal:
    """TS-147: more waits in the queue than may. Nothing was done."""
    message = "All workers are busy, please try again later"
    return Refusal(503, "service_unavailable", message, retry_after=wait_s, headers=headers)


def rate_limited(message: str, wait_s: int, headers: Mapping[str, str]) -> Refusal:
    """TS-154: over a limit. Nothing was done."""
    return Refusal(429, "rate_limit_exceeded", message, retry_after=wait_s, headers=headers)


def too_many_listeners(most: int) -> Refusal:
    """The key has as many streams and waits open as it may in one process."""
    message = f"This API key has {most} event streams and waits open here: end some, or try again later"
    return rate_limited(message, RETRY_SOON, {"Retry-After": str(RETRY_SOON)})


def reused_key() -> Refusal:
    """NS-005: two different requests under one Idempotency-Key."""
    message = "This Idempotency-Key came before, with another request: a new request needs a new one"
    return Refusal(422, "idempotency_key_reused", message)


def no_such_key(key_id: str) -> Refusal:
    """NS-012."""
    return Refusal(404, "key_not_found", f"API key with ID '{key_id}' not found")


def not_in_quarantine(task_id: str) -> Refusal:
    """Whether there is no such task, or it is elsewhere, or of a project that the key may not see."""
    return Refusal(404, "not_in_quarantine", f"Task with ID '{task_id}' is not in quarantine")


def no_such_letter(letter_id: int) -> Refusal:
    """It was never there, or is gone."""
    return Refusal(404, "dead_letter_not_found", f"Dead letter {letter_id} not found")


def changed_meanwhile() -> Refusal:
    """Two people changed the same at once, and the other was faster."""
    return Refusal(409, "conflict", "Somebody else changed this just now: look at it, and try again")


def incomplete() -> Refusal:
    """The client went before its request was complete."""
    return Refusal(400, "incomplete_request", "The request ended before its body was complete")


def too_large(limit: int) -> Refusal:
    """A body over the limit (NS-006)."""
    message = (
        f"The request body may have at most {limit} bytes; put large files where an https:// URL leads to them "
        "(GENFLEET_BODY_LIMIT of the service raises the limit)"
    )
    return Refusal(413, "payload_too_large", message)


def broken() -> Refusal:
    """TS-149: our fault, and no traceback."""
    return Refusal(500, "internal_error", "Something went wrong on our side; the log of the service says what")
