"""How a task looks from outside: the documented bodies, made from records."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.contract.states import State
from genfleet.contract.task_types import TASK_TYPES
from genfleet.store import records
from genfleet.store.records import Listed, NewTask, Pause, Submitted, TaskRecord

StateWord = Annotated[str, Field(json_schema_extra={"enum": [state.value for state in State]})]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""UTC, whole seconds, with Z (TS-007)."""


def timestamp(ms: int) -> str:
    """UTC, whole seconds, with Z (TS-007)."""
    return _second(ms // 1000)


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(ms: int) -> str:
    """The same with its milliseconds."""
    return f"{_second(ms // 1000)[:-1]}.{ms % 1000:03d}Z"


def maybe_timestamp(ms: int | None) -> str | None:
    """A timestamp, where there may be none."""
    return timestamp(ms) if ms is not None else None


class SubmittedBody(TypedDict):
    """The answer to a submission (TS-014). `warnings` only where there are any."""

    task_id: str
    status: StateWord
    project_id: str
    estimated_duration: int
    queue_position: int
    created_at: Moment
    warnings: NotRequired[list[str]]


class StatusBody(TypedDict):
    """State and progress of a task: the same keys in every state, null until they apply (TS-021, TS-022)."""

    task_id: str
    project_id: str
    status: StateWord
    progress: float | None
    current_step: str | None
    result: dict[str, Any] | None
    error: str | None
    started_at: Moment | None
    completed_at: Moment | None
    processing_time: int | None
    task_type: str
    created_at: Moment
    attempt: int
    max_attempts: int
    next_attempt_at: Moment | None
    last_error: str | None


class ListedTask(TypedDict):
    """A task in a list (TS-032, TS-033). A document above 16 KiB is null; `omitted` then tells its size in bytes."""

    task_id: str
    project_id: str
    task_type: str
    status: StateWord
    task_data: dict[str, Any] | None
    result: dict[str, Any] | None
    created_at: Moment
    updated_at: Moment
    completed_at: Moment | None
    result_url: str | None
    omitted: NotRequired[dict[str, int]]


class Pagination(TypedDict):
    """Where a page is. `total` counts after filters (TS-034)."""

    page: int
    limit: int
    total: int
    total_pages: int


def pagination(page: int, limit: int, total: int) -> Pagination:
    """Where a page is."""
    return {"page": page, "limit": limit, "total": total, "total_pages": math.ceil(total / limit)}


class TaskList(TypedDict):
    """A page of a project's tasks, newest first (TS-032)."""

    tasks: list[ListedTask]
    pagination: Pagination


class Chapter(TypedDict):
    """Something in a task's story: an attempt that did not complete it, or what somebody did about it (docs/tasks.md)."""

    at: Moment
    how: Annotated[str, Field(json_schema_extra={"enum": ["lost", "handed_back", "failed", "retried", "released"]})]
    reason: str | None
    attempt: int | None
    started_at: Moment | None
    worker: str | None
    new_task_id: str | None
    key_id: str | None


class KeptTask(StatusBody):
    """Everything that is kept of a task (NS-001)."""

    task_data: dict[str, Any]
    metadata: dict[str, Any]
    priority: int
    callback_url: str | None
    updated_at: Moment
    traceback: str | None
    deadline: str | None
    retry_of: str | None
    key_id: str | None
    quarantined_at: Moment | None
    story: list[Chapter]


class PauseBody(TypedDict):
    """Since when and why nothing of a queue starts."""

    since: str
    reason: str


class PausedQueue(TypedDict):
    """The answer to pausing or resuming a queue."""

    queue: str
    paused: PauseBody | None


class CancelledBody(TypedDict):
    """The answer to a cancellation (TS-041, TS-042)."""

    task_id: str
    status: StateWord
    message: str
    previous_state: StateWord
    cancelled_at: Moment | None


class RetriedBody(TypedDict):
    """The answer to a retry: the task has a new id (TS-053)."""

    new_task_id: str
    original_task_id: str
    status: StateWord
    message: str


class ErrorBody(TypedDict):
    """The common shape of errors. `details` has a sentence for each wrong field, under its dotted path."""

    error: str
    message: str
    details: NotRequired[dict[str, str]]
    detail: NotRequired[str]
    retry_after: NotRequired[int]


def paused(pause: Pause | None) -> PauseBody | None:
    """The pause of a queue. None: it is not paused."""
    return {"since": timestamp(pause.since_ms), "reason": pause.reason} if pause else None


def submitted(task: NewTask, answer: Submitted, warnings: list[str]) -> SubmittedBody:
    """The answer to a submission."""
    body: SubmittedBody = {
        "task_id": answer.id,
        "status": answer.state.value,
        "project_id": task.project,
        "estimated_duration": _estimate(task.type, answer.mean_run_ms),
        "queue_position": answer.position,
        "created_at": timestamp(answer.created_ms),
    }
    return {**body, "warnings": warnings} if warnings else body


def _estimate(task_type: str, mean_run_ms: int | None) -> int:
    """Whole seconds: what recent tasks took, and the documents' number until there are enough of them (TS-173)."""
    if mean_run_ms is not None:
        return max(1, round(mean_run_ms / 1000))
    return round(TASK_TYPES[task_type].estimate.total_seconds())


def status(task: TaskRecord) -> StatusBody:
    """The state of a task."""
    known = TASK_TYPES.get(task.type)
    return {
        "task_id": task.id,
        "project_id": task.project,
        "status": task.state.value,
        "progress": task.progress,
        "current_step": task.step,
        "result": task.result,
        "error": task.error,
        "started_at": maybe_timestamp(task.started_ms),
        "completed_at": maybe_timestamp(task.finished_ms),
        "processing_time": _processing_time(task),
        "task_type": task.type,
        "created_at": timestamp(task.created_ms),
        "attempt": task.attempt,
        "max_attempts": known.max_attempts if known else task.attempt,
        "next_attempt_at": maybe_timestamp(task.due_ms) if task.state is State.QUEUED else None,
        "last_error": task.last_error,
    }


def _processing_time(task: TaskRecord) -> int | None:
    """From the shown start to the shown end, so that the three numbers agree (TS-024)."""
    if task.started_ms is None or task.finished_ms is None:
        return None
    return task.finished_ms // 1000 - task.started_ms // 1000


def full(task: TaskRecord) -> KeptTask:
    """Everything that is kept of a task."""
    return {
        **status(task),
        "task_data": task.data,
        "metadata": task.metadata,
        "priority": task.priority,
        "callback_url": task.callback_url,
        "updated_at": timestamp(task.updated_ms),
        "traceback": task.traceback,
        "deadline": maybe_timestamp(task.deadline_ms),
        "retry_of": task.retry_of,
        "key_id": task.key_id,
        "quarantined_at": maybe_timestamp(task.quarantined_ms),
        "story": [chapter(each) for each in task.story],
    }


def chapter(told: records.Chapter) -> Chapter:
    """Something in a task's story."""
    return {
        "at": timestamp(told.at_ms),
        "how": told.how,
        "reason": told.why,
        "attempt": told.attempt,
        "started_at": maybe_timestamp(told.began_ms),
        "worker": told.worker,
        "new_task_id": told.new_id,
        "key_id": told.by,
    }


def listed(task: Listed) -> ListedTask:
    """A task in a list."""
    body: ListedTask = {
        "task_id": task.id,
        "project_id": task.project,
        "task_type": task.type,
        "status": task.state.value,
        "task_data": task.data,
        "result": task.result,
        "created_at": timestamp(task.created_ms),
        "updated_at": timestamp(task.updated_ms),
        "completed_at": maybe_timestamp(task.finished_ms),
        "result_url": (task.result or {}).get("media_url"),
    }
    if task.omitted:
        body["omitted"] = {_SHOWN_AS[name]: size for name, size in task.omitted.items()}
    return body


_SHOWN_AS = {"data": "task_data", "result": "result"}
