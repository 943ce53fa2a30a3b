"""The body of a webhook, made from the record of a task that has ended. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from genfleet.contract.states import State
from genfleet.store.records import TaskRecord
from genfleet_service import views

FAILED = "Task execution failed: "
"""What `error` begins with (TS-125)."""


def body(task: TaskRecord) -> bytes:
    """The bytes to send, the documented fields in their order. Made once for a task: see `outbox.prepare`."""
    return orjson.dumps(_failure(task) if task.state is State.FAILED else _success(task))


def _success(task: TaskRecord) -> dict[str, Any]:
    """TS-124, PI-017."""
    seen = views.status(task)
    return {
        "task_id": task.id,
        "project_id": task.project,
        "status": seen["status"],
        "result": task.result,
        "processing_time": seen["processing_time"],
        "completed_at": seen["completed_at"],
        "metadata": task.metadata,
    }


def _failure(task: TaskRecord) -> dict[str, Any]:
    """TS-125; and `result.error` for receivers of the first edition, which read that (TS-126, PR-013)."""
    error = FAILED + (task.error or "").removeprefix(FAILED)
    return {
        "task_id": task.id,
        "project_id": task.project,
        "status": task.state.value,
        "error": error,
        "traceback": task.traceback,
        "failed_at": views.status(task)["completed_at"],
        "metadata": task.metadata,
        "result": {"error": error},
    }
