"""What was set aside, as it looks from outside: tasks in quarantine, and dead letters. Documented in `docs/tasks.md`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.contract.limits import Refused
from genfleet.contract.task_types import QUEUES, TASK_TYPES
from genfleet.store import dead_letters, quarantine, steps
from genfleet.store.bulk import Chosen
from genfleet.store.dead_letters import Letter, LetterState, Resent
from genfleet.store.quarantine import Quarantined
from genfleet_service import admission, bulk, replies, views
from genfleet_service.access import Caller
from genfleet_service.context import Service

LETTERS_AT_ONCE = 100
"""Dead letters that are sent again, or removed, in one round trip."""


class QuarantinedTask(TypedDict):
    """A task in quarantine. `GET /api/v1/tasks/{task_id}` has its story."""

    task_id: str
    project_id: str
    task_type: str
    queue: str
    created_at: views.Moment
    quarantined_at: views.Moment
    error: str


class QuarantineBody(TypedDict):
    """One page of them, the newest first."""

    tasks: list[QuarantinedTask]
    pagination: views.Pagination


class ReleasedBody(TypedDict):
    """A task was let go: it stays failed."""

    task_id: str
    status: views.StateWord
    message: str


class QuarantineRetry(BaseModel):
    """Which tasks in quarantine to submit again: those that fit all of it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    project_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    task_type: str | None = None
    dry_run: bool = False


class DeadLetter(TypedDict):
    """A message or record that could not be judged. `size` is null for a record. `times`: how often it came."""

    letter_id: int
    status: Annotated[str, Field(json_schema_extra={"enum": [*LetterState]})]
    reason: str
    queue: str | None
    task_id: str | None
    task_type: str | None
    worker: str | None
    size: int | None
    times: int
    at: views.Moment
    last_at: views.Moment
    resent_at: views.Moment | None
    resent_by: str | None


class FullDeadLetter(DeadLetter):
    """One of them with the message itself: all of it, or its beginning if `complete` is false."""

    message: str | None
    complete: bool


class DeadLetters(TypedDict):
    """One page of them, the newest first."""

    dead_letters: list[DeadLetter]
    pagination: views.Pagination


class RemovedLetter(TypedDict):
    """A dead letter is gone."""

    letter_id: int
    message: str


class LetterFilter(BaseModel):
    """Which of the dead letters that wait: those of a queue, or all."""

    model_config = ConfigDict(strict=True, extra="forbid")

    queue: str | None = None
    dry_run: bool = False


class LettersBody(TypedDict):
    """What came of a request on many. `skipped`: what cannot be sent again; it stays where it is."""

    dry_run: bool
    matched: int
    done: int
    skipped: int


# -- quarantine ------------------------------------------------------------------------------------------------------------


def check_type(task_type: str | None) -> None:
    """Raises Refusal."""
    if task_type is not None and task_type not in TASK_TYPES:
        fault = f"Unknown task type '{task_type}': use one of {', '.join(TASK_TYPES)}"
        raise replies.invalid({"task_type": fault}, "Invalid request")


def check_queue(queue: str | None) -> None:
    """Raises Refusal."""
    if queue is not None and queue not in QUEUES:
        fault = f"There is no queue '{queue}': use one of {', '.join(QUEUES)}"
        raise replies.invalid({"queue": fault}, "Invalid request")


def quarantined(task: Quarantined) -> QuarantinedTask:
    """A task in quarantine."""
    return {
        "task_id": task.id,
        "project_id": task.project,
        "task_type": task.type,
        "queue": task.queue,
        "created_at": views.timestamp(task.created_ms),
        "quarantined_at": views.timestamp(task.since_ms),
        "error": task.error,
    }


async def would_retry(service: Service, asked: QuarantineRetry) -> bulk.BulkBody:
    """How many there are, and some of them. Nothing is done."""
    found = await service.store.run(quarantine.oldest(asked.project_id, asked.task_type, 0, bulk.SAMPLE))
    sample: list[bulk.SampleTask] = [
        {
            "task_id": task.id,
            "task_type": task.type,
            "status": "failed",
            "created_at": views.timestamp(task.created_ms),
        }
        for task in found.tasks
    ]
    return {**bulk.NOTHING, "dry_run": True, "matched": found.total, "remaining": found.total, "sample": sample}


async def retry(service: Service, caller: Caller, asked: QuarantineRetry) -> bulk.BulkBody:
    """Submit what fits again, the oldest first, as far as the caller's limits go. What was submitted is there no more."""
    done, left = 0, 0
    stopped_by: views.ErrorBody | None = None
    for _ in range(bulk.RETRY_CHUNKS):
        found = await service.store.run(quarantine.oldest(asked.project_id, asked.task_type, 0, bulk.RETRY_CHUNK))
        tasks = [bulk.again(task.project, caller, _chosen(task)) for task in found.tasks]
        answers = await service.store.run_all([steps.submit_within(caller.limits, task) for task in tasks])
        refused = [(answer, task) for answer, task in zip(answers, tasks, strict=True) if isinstance(answer, Refused)]
        now_done = len(answers) - len(refused)
        done, left = done + now_done, found.total - now_done
        if refused:
            answer, task = refused[0]
            stopped_by = cast(views.ErrorBody, admission.submission_refusal(answer, caller.limits, task).body)
        if refused or not left:
            break
    return {**bulk.NOTHING, "matched": done + left, "done": done, "remaining": left, "stopped_by": stopped_by}


def _chosen(task: Quarantined) -> Chosen:
    return Chosen(task.id, task.type, task.queue, task.priority, task.created_ms)


# -- dead letters ----------------------------------------------------------------------------------------------------------


def letter(found: Letter) -> DeadLetter:
    """A dead letter in a list."""
    return {
        "letter_id": found.id,
        "status": found.state.value,
        "reason": found.reason,
        "queue": found.queue,
        "task_id": found.task_id,
        "task_type": found.task_type,
        "worker": found.worker,
        "size": found.size,
        "times": found.times,
        "at": views.timestamp(found.at_ms),
        "last_at": views.timestamp(found.last_ms),
        "resent_at": views.maybe_timestamp(found.resent_ms),
        "resent_by": found.by,
    }


def full_letter(found: Letter) -> FullDeadLetter:
    """All of it. Bytes that are no text are written as escapes."""
    raw = found.raw
    message = raw.decode(errors="backslashreplace") if raw is not None else None
    return {**letter(found), "message": message, "complete": found.size is None or len(raw or b"") == found.size}


NOT_SENT = {
    Resent.AGAIN: "This dead letter was sent again before: if it came to nothing again, it is in the list anew",
    Resent.CUT: "No more than the beginning of this message is kept: its producer has to send it again",
    Resent.RECORD: "This is a broken record and was never a message: there is nothing to send",
}


async def resend_all(service: Service, caller: Caller, asked: LetterFilter) -> LettersBody:
    """Send what waits again, in the order in which it came."""
    waiting = await _waiting(service, asked.queue)
    done = 0
    for chunk in _chunks([] if asked.dry_run else waiting):
        answers = await service.store.run_all([dead_letters.resend(one, caller.key_id) for one in chunk])
        done += answers.count(Resent.RESENT)
    skipped = 0 if asked.dry_run else len(waiting) - done
    return {"dry_run": asked.dry_run, "matched": len(waiting), "done": done, "skipped": skipped}


async def remove_all(service: Service, asked: LetterFilter) -> LettersBody:
    """Forget what waits."""
    waiting = await _waiting(service, asked.queue)
    done = 0
    for chunk in _chunks([] if asked.dry_run else waiting):
        done += sum(await service.store.run_all([dead_letters.remove(one) for one in chunk]))
    return {"dry_run": asked.dry_run, "matched": len(waiting), "done": done, "skipped": 0}


async def _waiting(service: Service, queue: str | None) -> list[int]:
    """Those of now, the oldest first: what comes back at once is not taken for one that was there. Raises Refusal."""
    check_queue(queue)
    found = await service.store.run(dead_letters.page(LetterState.WAITING, queue, 0, dead_letters.MOST))
    return [one.id for one in reversed(found.letters)]


def _chunks(letters: Sequence[int]) -> list[Sequence[int]]:
    return [letters[first : first + LETTERS_AT_ONCE] for first in range(0, len(letters), LETTERS_AT_ONCE)]
