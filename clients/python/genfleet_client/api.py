"""The API as Python calls. Answers are the documented bodies; a refusal is an `ApiError`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from genfleet_client.connection import Connection

FINAL = frozenset({"completed", "failed", "cancelled"})
TIMEOUT_S = 60.0
"""For one request (TS-161)."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 2.0
"""Between two looks at a task: short at first, and 2 s at the most (TS-153)."""


class ApiError(Exception):
    """The service refused, or could not be reached, or is none of ours (then `status` is 0)."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body.get("message") or body.get("detail") or f"HTTP {status}")
        self.status = status
        self.body = body


class Client:
    """A connection to the service. Use it as a context manager."""

    def __init__(self, connection: Connection) -> None:
        self._url = connection.url
        self._http = httpx.Client(
            base_url=connection.url,
            headers={"X-API-Key": connection.api_key} if connection.api_key else {},
            timeout=TIMEOUT_S,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        """Submit a task; `body` as documented."""
        return self._call("POST", "/api/v1/tasks/submit", json=body)

    def status(self, task_id: str) -> dict[str, Any]:
        """State and progress of a task."""
        return self._call("GET", f"/api/v1/tasks/{quote(task_id, safe='')}/status")

    def task(self, task_id: str) -> dict[str, Any]:
        """Everything that is kept of a task."""
        return self._call("GET", f"/api/v1/tasks/{quote(task_id, safe='')}")

    def cancel(self, task_id: str) -> dict[str, Any]:
        """Cancel a task that has not ended."""
        return self._call("DELETE", f"/api/v1/tasks/{quote(task_id, safe='')}")

    def retry(self, task_id: str) -> dict[str, Any]:
        """Submit a failed task again, under a new id."""
        return self._call("POST", f"/api/v1/tasks/{quote(task_id, safe='')}/retry")

    def project_tasks(self, project_id: str, **filters: Any) -> dict[str, Any]:
        """A page of a project's tasks, newest first."""
        given = {name: value for name, value in filters.items() if value is not None}
        return self._call("GET", f"/api/v1/projects/{quote(project_id, safe='')}/tasks", params=given)

    def queues(self) -> list[dict[str, Any]]:
        """What every queue and its fleet are doing."""
        queues: list[dict[str, Any]] = self._call("GET", "/api/v1/queues")["queues"]
        return queues

    def pause(self, queue: str, reason: str = "") -> dict[str, Any]:
        """Let nothing of a queue start any more."""
        return self._call("POST", f"/api/v1/queues/{quote(queue, safe='')}/pause", json={"reason": reason})

    def resume(self, queue: str) -> dict[str, Any]:
        """Let a paused queue go on."""
        return self._call("POST", f"/api/v1/queues/{quote(queue, safe='')}/resume")

    def follow(self, task_id: str, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """The status of a task, again and again, until it has ended. Raises TimeoutError."""
        deadline = time.monotonic() + timeout if timeout is not None else None
        pause = FIRST_PAUSE_S
        while True:
            status = self.status(task_id)
            yield status
            if status["status"] in FINAL:
                return
            left = deadline - time.monotonic() if deadline is not None else pause
            if left <= 0:
                raise TimeoutError(f"Task timeout after {timeout:g} seconds")
            time.sleep(min(pause, left))
            pause = min(pause * 1.3, LONGEST_PAUSE_S)

    def _call(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **more)
        except httpx.TransportError as error:
            message = f"{self._url} cannot be reached ({error}); is the service up? `genfleet up` starts one here"
            raise ApiError(0, {"error": "unreachable", "message": message}) from error
        body = _object(response)
        if body is None:
            raise ApiError(0, {"error": "not_genfleet", "message": self._is_something_else(method, path, response)})
        if not response.is_success:
            raise ApiError(response.status_code, body)
        return body

    def _is_something_else(self, method: str, path: str, response: httpx.Response) -> str:
        return (
            f"{self._url} does not answer as genfleet does ({method} {path}: HTTP {response.status_code}, and no JSON "
            "object); is GENFLEET_URL the address of the API?"
        )


def _object(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object that was answered. None: it was something else."""
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
