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


def forbidden(scope: str) -> Refusal:
    """The key is a good one, and not good for this."""
    return Refusal(403, "forbidden", f"This API key may not do that: it needs the scope '{scope}'")


def no_such_task(task_id: str) -> Refusal:
    """TS-145, TS-027."""
    return Refusal(404, "task_not_found", f"Task with ID '{task_id}' not found")


def unavailable() -> Refusal:
    """TS-147: Redis cannot be reached. Nothing was done."""
    return Refusal(
        503,
        "service_unavailable",
        "Redis cannot be reached, please try again later",
        retry_after=RETRY_SOON,
        headers={"Retry-After": str(RETRY_SOON)},
    )


def too_large(limit: int) -> Refusal:
    """A body over the limit (NS-006)."""
    return Refusal(413, "payload_too_large", f"The request body may have at most {limit} bytes")


def broken() -> Refusal:
    """TS-149: our fault, and no traceback."""
    return Refusal(500, "internal_error", "Something went wrong on our side; the log of the service says what")
