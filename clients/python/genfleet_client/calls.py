"""Each request of the API as a value: what to send, and how the answer is read. Nothing here does any I/O.

`Client` and `AsyncClient` have a method for each of these functions, with its signature.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

from genfleet_client.bodies import (
    AuditBody,
    BatchBody,
    BulkBody,
    CancelledBody,
    DeadLetters,
    DeliveryBody,
    DoctorBody,
    FullDeadLetter,
    FullTask,
    HealthBody,
    KeyView,
    LettersBody,
    LogLine,
    MadeKey,
    Metrics,
    PausedQueue,
    QuarantineBody,
    Queue,
    QueueHealthBody,
    ReleasedBody,
    RemovedLetter,
    RetriedBody,
    RevokedKey,
    State,
    StatusBody,
    Submission,
    SubmittedBody,
    TaskList,
    UsageBody,
    Worker,
)

T = TypeVar("T")
DEFAULT_PRIORITY = 2
_LETTERS = "/api/v1/dead-letters"


def _whole(body: Mapping[str, Any]) -> Any:
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request whose answer is a `T`."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    """Whether it does no harm if it is done twice: it may then be sent again when its answer was lost."""
    in_parts: bool = False
    """Whether parts of it may be refused while others are done; all of it may then be sent again for them."""
    read: Callable[[Mapping[str, Any]], T] = _whole
    """What of the answer's body the caller gets."""


def submit(
    project_id: str,
    task_type: str,
    task_data: Mapping[str, Any],
    *,
    priority: int = DEFAULT_PRIORITY,
    callback_url: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    delay_seconds: float | None = None,
    run_at: datetime | str | None = None,
    deadline_seconds: float | None = None,
    deadline: datetime | str | None = None,
    idempotency_key: str | None = None,
) -> Call[SubmittedBody]:
    """Submit a task. A lost answer is asked for again under the same idempotency key, which is made if none is given."""
    optional = {
        "callback_url": callback_url,
        "delay_seconds": delay_seconds,
        "run_at": _moment(run_at),
        "deadline_seconds": deadline_seconds,
        "deadline": _moment(deadline),
    }
    body = {
        "project_id": project_id,
        "task_type": task_type,
        "task_data": task_data,
        "priority": priority,
        "metadata": metadata or {},
        **{name: value for name, value in optional.items() if value is not None},
    }
    return submit_body(cast(Submission, body), idempotency_key=idempotency_key)


def submit_body(body: Submission | Mapping[str, Any], *, idempotency_key: str | None = None) -> Call[SubmittedBody]:
    """Submit a task by its whole documented body."""
    return Call(method="POST", path="/api/v1/tasks/submit", json=body, headers=_once(idempotency_key))


def submit_batch(
    tasks: Sequence[Submission | Mapping[str, Any]], *, idempotency_key: str | None = None
) -> Call[BatchBody]:
    """Submit up to 100 tasks at once, each by its whole documented body; each is accepted or refused by itself.

    Parts that a limit refuses are waited for, as one task is: under its idempotency key the whole is sent again, and
    what was accepted before is answered as it was.
    """
    return Call(
        method="POST",
        path="/api/v1/tasks/batch",
        json={"tasks": list(tasks)},
        headers=_once(idempotency_key),
        in_parts=True,
    )


def status(task_id: str) -> Call[StatusBody]:
    """State and progress of a task."""
    return Call(method="GET", path=f"{_task(task_id)}/status")


def task(task_id: str) -> Call[FullTask]:
    """Everything that is kept of a task."""
    return Call(method="GET", path=_task(task_id))


def cancel(task_id: str) -> Call[CancelledBody]:
    """Cancel a task that has not ended. Cancelling it again changes nothing."""
    return Call(method="DELETE", path=_task(task_id))


def retry(task_id: str, *, idempotency_key: str | None = None) -> Call[RetriedBody]:
    """Submit a failed or cancelled task again, under a new id. A lost answer makes no second one, as with `submit`."""
    return Call(method="POST", path=f"{_task(task_id)}/retry", headers=_once(idempotency_key))


def deliveries(task_id: str) -> Call[list[DeliveryBody]]:
    """The webhook of a task, with every attempt; none before the task has ended."""
    return Call(
        method="GET",
        path=f"{_task(task_id)}/deliveries",
        read=lambda body: cast(list[DeliveryBody], body["deliveries"]),
    )


def resend(task_id: str) -> Call[DeliveryBody]:
    """Send the webhook of a task again, with the same body."""
    return Call(method="POST", path=f"{_task(task_id)}/deliveries/resend", repeatable=False)


def project_tasks(
    project_id: str,
    *,
    status: State | str | None = None,
    task_type: str | None = None,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
    page: int = 1,
    limit: int = 20,
) -> Call[TaskList]:
    """One page of a project's tasks, newest first. Filters combine."""
    asked: dict[str, Any] = {
        "status": status,
        "task_type": task_type,
        "since": _moment(since),
        "until": _moment(until),
        "page": page,
        "limit": limit,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    return Call(method="GET", path=_project(project_id), params=given)


def cancel_tasks(project_id: str, **filters: Any) -> Call[BulkBody]:
    """Cancel a project's tasks that fit `status`, `task_type`, `since`, …; `dry_run=True` tells how many there are."""
    return Call(method="POST", path=f"{_project(project_id)}/cancel", json=filters)


def retry_tasks(project_id: str, **filters: Any) -> Call[BulkBody]:
    """Submit a project's failed or cancelled tasks again; call it with the answer's `cursor` while there is one."""
    return Call(method="POST", path=f"{_project(project_id)}/retry", json=filters)


def quarantine(project_id: str | None = None, **filters: Any) -> Call[QuarantineBody]:
    """Tasks that took three workers with them, newest first; filters are `task_type`, `page` and `limit`."""
    given = {"project_id": project_id, **filters}
    params = {name: value for name, value in given.items() if value is not None}
    return Call(method="GET", path="/api/v1/quarantine", params=params)


def retry_quarantined(**filters: Any) -> Call[BulkBody]:
    """Submit tasks in quarantine that fit `project_id` and `task_type` again; `dry_run=True` tells how many there are."""
    return Call(method="POST", path="/api/v1/quarantine/retry", json=filters)


def release(task_id: str) -> Call[ReleasedBody]:
    """Let a task in quarantine go: it stays failed."""
    return Call(method="DELETE", path=f"/api/v1/quarantine/{quote(task_id, safe='')}", repeatable=False)


def dead_letters(**filters: Any) -> Call[DeadLetters]:
    """Messages that could not be judged, newest first; filters are `queue`, `status`, `page` and `limit`.

    Needs a key with the scope `admin`, as the next five do.
    """
    return Call(
        method="GET", path=_LETTERS, params={name: value for name, value in filters.items() if value is not None}
    )


def dead_letter(letter_id: int) -> Call[FullDeadLetter]:
    """One of them, with the message as it came."""
    return Call(method="GET", path=f"{_LETTERS}/{letter_id}")


def resend_letter(letter_id: int) -> Call[FullDeadLetter]:
    """Put a message back in its queue, as it was."""
    return Call(method="POST", path=f"{_LETTERS}/{letter_id}/resend", repeatable=False)


def resend_letters(**filters: Any) -> Call[LettersBody]:
    """Put all messages back that wait, or those of a `queue`; `dry_run=True` tells how many there are."""
    return Call(method="POST", path=f"{_LETTERS}/resend", json=filters)


def remove_letter(letter_id: int) -> Call[RemovedLetter]:
    """Remove one that nobody needs any more."""
    return Call(method="DELETE", path=f"{_LETTERS}/{letter_id}", repeatable=False)


def remove_letters(**filters: Any) -> Call[LettersBody]:
    """Remove all that wait, or those of a `queue`; `dry_run=True` tells how many there are."""
    return Call(method="POST", path=f"{_LETTERS}/remove", json=filters)


def usage(project_id: str, first_day: date | str | None = None, last_day: date | str | None = None) -> Call[UsageBody]:
    """What a project used from one day (UTC) to another, in total, by type and by day; the last 30 days if none is given."""
    days = {"from": first_day, "to": last_day}
    given = {name: str(day) for name, day in days.items() if day is not None}
    return Call(method="GET", path=f"{_project(project_id).removesuffix('/tasks')}/usage", params=given)


def health() -> Call[HealthBody]:
    """The service, Redis, the workers and the load of their machines. Raises ServiceUnavailable while Redis is away."""
    return Call(method="GET", path="/api/v1/health")


def metrics() -> Call[Metrics]:
    """Lasting numbers of all tasks."""
    return Call(method="GET", path="/api/v1/tasks/metrics", read=lambda body: cast(Metrics, body["metrics"]))


def queue_health() -> Call[QueueHealthBody]:
    """Whether the queues are well, and what to look at if not."""
    return Call(method="GET", path="/api/v1/tasks/health")


def queues() -> Call[list[Queue]]:
    """What waits and runs in each queue, its workers, and why its fleet has the size it has."""
    return Call(method="GET", path="/api/v1/queues", read=lambda body: cast(list[Queue], body["queues"]))


def pause(queue: str, reason: str = "") -> Call[PausedQueue]:
    """Let nothing of a queue start any more; what runs is finished."""
    return Call(method="POST", path=f"{_queue(queue)}/pause", json={"reason": reason})


def resume(queue: str) -> Call[PausedQueue]:
    """Let a paused queue go on."""
    return Call(method="POST", path=f"{_queue(queue)}/resume")


def workers() -> Call[list[Worker]]:
    """Every worker that beats, and what it does."""
    return Call(method="GET", path="/api/v1/workers", read=lambda body: cast(list[Worker], body["workers"]))


def doctor() -> Call[DoctorBody]:
    """Every check of the installation: Redis, queues, workers, what was set aside. Needs a key with the scope `admin`."""
    return Call(method="GET", path="/api/v1/doctor")


def api_keys() -> Call[list[KeyView]]:
    """Every API key and when it was last used; never a secret. Needs a key with the scope `admin`, as the next three do."""
    return Call(method="GET", path="/api/v1/keys", read=lambda body: cast(list[KeyView], body["keys"]))


def create_key(name: str, **terms: Any) -> Call[MadeKey]:
    """Make an API key, with `scopes`, `projects` and limits of its own if given. Its secret is shown this once."""
    return Call(method="POST", path="/api/v1/keys", json={"name": name, **terms}, repeatable=False)


def rotate_key(key_id: str, grace_seconds: int | None = None) -> Call[MadeKey]:
    """Give an API key a new secret, shown this once; the old one stays good for a while."""
    body = {} if grace_seconds is None else {"grace_seconds": grace_seconds}
    return Call(method="POST", path=f"/api/v1/keys/{quote(key_id, safe='')}/rotate", json=body, repeatable=False)


def revoke_key(key_id: str) -> Call[RevokedKey]:
    """Take an API key back."""
    return Call(method="DELETE", path=f"/api/v1/keys/{quote(key_id, safe='')}", repeatable=False)


def audit(limit: int = 100, before: str | None = None) -> Call[AuditBody]:
    """Who changed what, the newest first; `before` is the `next` of the page before. Needs the scope `admin`."""
    asked = {"limit": limit, "before": before}
    return Call(
        method="GET", path="/api/v1/audit", params={name: value for name, value in asked.items() if value is not None}
    )


def events(task_id: str, last_event_id: str | int | None = None) -> Call[None]:
    """The stream of a task's events, from the beginning, or after the one with this id."""
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = str(last_event_id)
    return Call(method="GET", path=f"{_task(task_id)}/events", headers=headers)


def logs(task_id: str) -> Call[list[LogLine]]:
    """What the engines said of their work on a task so far; `events` has the lines as they are said."""
    return Call(method="GET", path=f"{_task(task_id)}/logs", read=lambda body: cast(list[LogLine], body["logs"]))


def _once(idempotency_key: str | None) -> dict[str, str]:
    """Under which name the service does this once, however often it is sent."""
    return {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}


def _task(task_id: str) -> str:
    return f"/api/v1/tasks/{quote(task_id, safe='')}"


def _project(project_id: str) -> str:
    return f"/api/v1/projects/{quote(project_id, safe='')}/tasks"


def _queue(name: str) -> str:
    return f"/api/v1/queues/{quote(name, safe='')}"


def _moment(when: datetime | str | None) -> str | None:
    return when.isoformat() if isinstance(when, datetime) else when
