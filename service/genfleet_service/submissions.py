"""Reads a submission: what was sent becomes a task, or a refusal that names each wrong field and the remedy."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genfleet.contract.limits import Reason, Refused
from genfleet.contract.task_types import DEFAULT_PRIORITY, TASK_TYPES
from genfleet.store.records import Moment, NewTask, TaskRecord
from genfleet.store.scripts import AHEAD_MOST
from genfleet_service import replies, slips
from genfleet_service.bodies import explained, json_object
from genfleet_service.moments import BodyTime
from genfleet_service.webhooks.rules import LONGEST, CallbackRules

_AHEAD_MOST_S = round(AHEAD_MOST.total_seconds())


class Submission(BaseModel):
    """The body of a submission (TS-009 to TS-012)."""

    model_config = ConfigDict(strict=True)

    project_id: Annotated[str, Field(min_length=1, max_length=255, examples=["detective_series_001"])]
    task_type: Annotated[str, Field(json_schema_extra={"enum": list(TASK_TYPES)})]
    task_data: dict[str, Any]
    priority: Annotated[int, Field(ge=1, le=3)] = DEFAULT_PRIORITY
    callback_url: Annotated[str, Field(max_length=LONGEST)] | None = None
    metadata: dict[str, Any] | None = None
    delay_seconds: Annotated[float, Field(ge=0, le=_AHEAD_MOST_S)] | None = None
    """It gets in line so much later."""
    run_at: BodyTime | None = None
    """It gets in line then."""
    deadline_seconds: Annotated[float, Field(gt=0, le=_AHEAD_MOST_S)] | None = None
    """If it has not started so much later, it has failed."""
    deadline: BodyTime | None = None
    """If it has not started by then, it has failed."""


def read_submission(body: bytes, *, key_id: str, callbacks: CallbackRules) -> tuple[NewTask, list[str]]:
    """A new task, ready to store, and what may be misspelt in it. Raises Refusal."""
    return read_sent(json_object(body), key_id=key_id, callbacks=callbacks)


def read_sent(sent: dict[str, Any], *, key_id: str, callbacks: CallbackRules) -> tuple[NewTask, list[str]]:
    """The same of a body that was read already. Raises Refusal."""
    submission, faults = _envelope(sent)
    faults |= _type_faults(sent) | _callback_faults(sent, callbacks)
    faults |= _data_faults(sent) | _timing_faults(sent)
    if submission is None or faults:
        raise replies.invalid(faults)
    task = NewTask(
        id=str(uuid.uuid4()),
        project=submission.project_id,
        type=submission.task_type,
        queue=TASK_TYPES[submission.task_type].queue,
        priority=submission.priority,
        data=_encoded("task_data", submission.task_data),
        metadata=_encoded("metadata", submission.metadata or {}),
        callback_url=submission.callback_url or "",
        key_id=key_id,
        run_at=_moment(submission.run_at, submission.delay_seconds),
        deadline=_moment(submission.deadline, submission.deadline_seconds),
    )
    return task, _misspelt(sent, Submission) + _misspelt(
        submission.task_data, TASK_TYPES[submission.task_type].data, above="task_data."
    )


def _moment(at: datetime | None, seconds: float | None) -> Moment | None:
    return timedelta(seconds=seconds) if seconds is not None else at


def untimely(task: NewTask, refused: Refused) -> replies.Refusal:
    """TS-146: its times cannot be kept, by the clock of Redis, which alone knows how late it is."""
    days = AHEAD_MOST.days
    if refused.reason is Reason.RUN_AT:
        return replies.invalid({"run_at": f"Must be at most {days} days ahead"})
    field = "deadline_seconds" if isinstance(task.deadline, timedelta) else "deadline"
    return replies.invalid({field: f"Must be in the future, after the task may run, and at most {days} days ahead"})


def _misspelt(sent: dict[str, Any], model: type[BaseModel], above: str = "") -> list[str]:
    """Any key is allowed beside the known ones (TS-086), but one that is almost a known one is worth a word."""
    known = model.model_fields.keys()
    unknown = sent.keys() - known
    if not unknown:
        return []
    missing = known - sent.keys()
    questions = (slips.question(name, missing) for name in sorted(unknown)[: slips.LOOKED_AT])
    return [f"{above}{question}" for question in questions if question]


def _encoded(field: str, value: dict[str, Any]) -> bytes:
    """As it is stored. Raises Refusal if it is so deep that the encoder, which stops at 254 levels, could not repeat it."""
    try:
        return orjson.dumps([[[[value]]]])[4:-4]  # answers and webhooks put up to four levels around it
    except orjson.JSONEncodeError:
        raise replies.invalid({field: "Must not be nested deeper than 250 levels"}) from None


def repeat(task: TaskRecord, key_id: str) -> NewTask:
    """The same submission under a new id (TS-054), now that of the key which asks for it."""
    return NewTask(
        id=str(uuid.uuid4()),
        project=task.project,
        type=task.type,
        queue=task.queue,
        priority=task.priority,
        data=orjson.dumps(task.data),
        metadata=orjson.dumps(task.metadata),
        callback_url=task.callback_url or "",
        retry_of=task.id,
        key_id=key_id,
    )


def _envelope(sent: dict[str, Any]) -> tuple[Submission | None, dict[str, str]]:
    try:
        return Submission.model_validate(sent), {}
    except ValidationError as error:
        return None, explained(error)


# Each looks at its own part of what was sent, also when another part is wrong: all faults are told at once.


def _type_faults(sent: dict[str, Any]) -> dict[str, str]:
    name = sent.get("task_type")
    if not isinstance(name, str):
        return {}
    if name not in TASK_TYPES:
        return {"task_type": f"Unknown task type '{name}': use one of {', '.join(TASK_TYPES)}"}
    return {}


def _callback_faults(sent: dict[str, Any], callbacks: CallbackRules) -> dict[str, str]:
    url = sent.get("callback_url")
    fault = callbacks.fault(url) if isinstance(url, str) else None
    return {"callback_url": f"Callback URL {fault}"} if fault else {}


def _timing_faults(sent: dict[str, Any]) -> dict[str, str]:
    pairs = (("delay_seconds", "run_at"), ("deadline_seconds", "deadline"))
    both = [pair for pair in pairs if all(sent.get(name) is not None for name in pair)]
    return {name: f"Give {' or '.join(pair)}, not both" for pair in both for name in pair}


def _data_faults(sent: dict[str, Any]) -> dict[str, str]:
    name, data = sent.get("task_type"), sent.get("task_data")
    if not isinstance(name, str) or name not in TASK_TYPES or not isinstance(data, dict):
        return {}
    try:
        TASK_TYPES[name].data.model_validate(data)
    except ValidationError as error:
        return explained(error, "task_data")
    return {}
