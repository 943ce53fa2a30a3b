"""Cancels or retries many tasks of a project: chunk by chunk, for as long as one request may take, then says how to go on."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.contract.limits import Reason, Refused
from genfleet.contract.states import State
from genfleet.contract.task_types import TASK_TYPES
from genfleet.store import bulk, steps
from genfleet.store.bulk import Chosen, Filter
from genfleet.store.records import Listed, NewTask
from genfleet_service import admission, replies, views
from genfleet_service.access import Caller
from genfleet_service.context import Service
from genfleet_service.moments import BodyTime, milliseconds

CANCEL_CHUNK, CANCEL_CHUNKS = 200, 25
"""Tasks of one step, about 10 ms of Redis, and steps of one request."""
RETRY_CHUNK, RETRY_CHUNKS = 50, 10
SAMPLE = 5
"""Tasks that a dry run shows."""
_SAME = uuid.UUID("6f1d3f1e-5d0b-4c0e-9d56-0a6c1b1f6c55")
"""A task that is retried again by such a request gets the id that it got the first time: it is one task."""
_CURSOR = re.compile(r"(\d{1,16}):(\d{1,16}):(.{1,255})", re.DOTALL)


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    task_type: str | None = None
    since: BodyTime | None = None
    until: BodyTime | None = None
    dry_run: bool = False


class CancelRequest(_Request):
    """Which tasks to cancel: those that fit all of it."""

    status: Literal["queued", "processing"] | None = None


class RetryRequest(_Request):
    """Which tasks to submit again: those that fit all of it, after `cursor` where an earlier answer gave one."""

    status: Literal["failed", "cancelled"] = "failed"
    cursor: str | None = None


class SampleTask(TypedDict):
    """A task that fits."""

    task_id: str
    task_type: str
    status: str
    created_at: views.Moment


class BulkBody(TypedDict):
    """What came of a request on many tasks.

    `done` of the `matched` are done, `skipped` had been done before. `remaining` is what the same request, with `cursor`
    if there is one, would go on with; `stopped_by` is the error that it stopped at, if so.
    """

    dry_run: bool
    matched: int
    done: int
    skipped: int
    remaining: int
    cursor: str | None
    stopped_by: views.ErrorBody | None
    sample: list[SampleTask]


NOTHING: BulkBody = {
    "dry_run": False,
    "matched": 0,
    "done": 0,
    "skipped": 0,
    "remaining": 0,
    "cursor": None,
    "stopped_by": None,
    "sample": [],
}


def filters(project: str, states: Sequence[State], asked: _Request) -> list[Filter]:
    """One for each state. Raises Refusal."""
    if asked.task_type is not None and asked.task_type not in TASK_TYPES:
        fault = f"Unknown task type '{asked.task_type}': use one of {', '.join(TASK_TYPES)}"
        raise replies.invalid({"task_type": fault}, "Invalid request")
    since, before = milliseconds(asked.since), milliseconds(asked.until)
    return [Filter(project, state, asked.task_type, since, before) for state in states]


async def dry_run(service: Service, wanted: Sequence[Filter]) -> BulkBody:
    """How many there are, and some of them. Nothing is done."""
    pages = await service.store.run_all(
        [
            steps.project_tasks(
                one.project,
                state=one.state,
                task_type=one.task_type,
                since_ms=one.since_ms,
                before_ms=one.before_ms,
                limit=SAMPLE,
                documents=(),
            )
            for one in wanted
        ]
    )
    total = sum(page.total for page in pages)
    sample = [_sample(task) for page in pages for task in page.tasks][:SAMPLE]
    return {**NOTHING, "dry_run": True, "matched": total, "remaining": total, "sample": sample}


def _sample(task: Listed) -> SampleTask:
    return {
        "task_id": task.id,
        "task_type": task.type,
        "status": task.state.value,
        "created_at": views.timestamp(task.created_ms),
    }


async def cancel(service: Service, wanted: Sequence[Filter]) -> BulkBody:
    """Cancel what fits, the oldest first. Those that came later than the request are left alone."""
    done, remaining, chunks = 0, 0, CANCEL_CHUNKS
    for one in wanted:
        left = 1
        while left and chunks:
            swept = await service.store.run(bulk.cancel_some(one, CANCEL_CHUNK))
            done, left, chunks = done + swept.done, swept.left, chunks - 1
            one = replace(one, before_ms=swept.before_ms)  # noqa: PLW2901  the same, with its end fixed
        remaining += left
    return {**NOTHING, "matched": done + remaining, "done": done, "remaining": remaining}


@dataclass
class _Progress:
    """How far a retry of many has come."""

    wanted: Filter
    after: Chosen | None = None
    done: int = 0
    skipped: int = 0
    left: int = 0
    stopped_by: Mapping[str, Any] | None = None

    @property
    def cursor(self) -> str | None:
        """Where to go on. None: nothing is left."""
        if not self.left or self.after is None:
            return None
        return f"{self.wanted.before_ms}:{self.after.created_ms}:{self.after.id}"


async def retry(service: Service, caller: Caller, wanted: Filter, cursor: str | None) -> BulkBody:
    """Submit what fits again, the oldest first, as far as the caller's limits go. Raises Refusal for a broken cursor."""
    at = _resumed(wanted, cursor)
    for _ in range(RETRY_CHUNKS):
        chosen = await service.store.run(bulk.select(at.wanted, at.after, RETRY_CHUNK))
        at.wanted, at.left = replace(at.wanted, before_ms=chosen.before_ms), chosen.left
        await _submit(service, caller, at, chosen.tasks)
        if not at.left or at.stopped_by:
            break
    handled = at.done + at.skipped
    return {
        **NOTHING,
        "matched": handled + at.left,
        "done": at.done,
        "skipped": at.skipped,
        "remaining": at.left,
        "cursor": at.cursor,
        "stopped_by": cast(views.ErrorBody | None, at.stopped_by),
    }


def _resumed(wanted: Filter, cursor: str | None) -> _Progress:
    if cursor is None:
        return _Progress(wanted)
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise replies.invalid({"cursor": "Must be the cursor of an earlier answer, or left out"}, "Invalid request")
    before, created, task_id = found.groups()
    return _Progress(replace(wanted, before_ms=int(before)), Chosen(task_id, "", "", 0, int(created)))


async def _submit(service: Service, caller: Caller, at: _Progress, chosen: Sequence[Chosen]) -> None:
    """One chunk. At the first task that a limit keeps out it stops: the next request goes on there.

    Of those after it some may be in nevertheless, as one queue may be full and another not: these are done, and the next
    request skips them.
    """
    tasks = [again(at.wanted.project, caller, one) for one in chosen]
    answers = await service.store.run_all([steps.submit_within(caller.limits, task) for task in tasks])
    for one, task, answer in zip(chosen, tasks, answers, strict=True):
        is_new = not isinstance(answer, Refused) and not answer.known
        at.done += is_new
        if at.stopped_by is None and isinstance(answer, Refused) and answer.reason is not Reason.GONE:
            at.stopped_by = admission.submission_refusal(answer, caller.limits, task).body
        if at.stopped_by is None:
            at.after = one
            at.skipped += not is_new
        else:
            at.left += not is_new


def again(project: str, caller: Caller, one: Chosen) -> NewTask:
    """The same task anew. Again and again, it is one task."""
    return NewTask(
        id=str(uuid.uuid5(_SAME, one.id)),
        project=project,
        type=one.type,
        queue=one.queue,
        priority=one.priority,
        data=b"",
        retry_of=one.id,
        copies=True,
        key_id=caller.key_id,
    )
