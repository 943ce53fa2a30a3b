"""`TaskServiceClient`: the documents' client by name and signature (TS-161 to TS-163), on top of `AsyncClient`.

Beside what the documents show it takes a `callback_url`, sends a lost submission again without making two tasks, waits on
the event stream where there is one, and waits out limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genfleet_client.api import AsyncClient
from genfleet_client.bodies import StatusBody, SubmittedBody
from genfleet_client.talks import LONGEST_LOOK_S as POLL_S

LONGEST_TASK_S = 900
"""A video may take 15 minutes from its start, an automatic attempt included (PI-001, TS-163)."""


class TaskServiceClient:
    """Submits tasks and waits for them. Address and key: `TASK_SERVICE_URL`, `CELERY_TASK_API_KEY`, or as `Client`."""

    def __init__(self, client: AsyncClient | None = None) -> None:
        self.client = client or AsyncClient()

    async def submit_task(
        self,
        project_id: str,
        task_type: str,
        task_data: Mapping[str, Any],
        priority: int = 2,
        metadata: Mapping[str, Any] | None = None,
        *,
        callback_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> SubmittedBody:
        """Submit a new task for processing."""
        return await self.client.submit(
            project_id,
            task_type,
            task_data,
            priority=priority,
            metadata=metadata,
            callback_url=callback_url,
            idempotency_key=idempotency_key,
        )

    async def get_task_status(self, task_id: str) -> StatusBody:
        """Get current task status."""
        return await self.client.status(task_id)

    async def wait_for_completion(
        self,
        task_id: str,
        timeout: float = LONGEST_TASK_S,  # noqa: ASYNC109  the documented name; the task goes on after it
        poll_interval: float = POLL_S,
    ) -> StatusBody:
        """Wait for task to complete with timeout. Raises TaskFailed, TaskCancelled, TaskTimeout, with the documented texts."""
        return await self.client.wait(task_id, timeout, poll_interval)

    async def close(self) -> None:
        """Close HTTP client."""
        await self.client.close()
