"""Many submissions in one request: each is accepted or refused by itself, and all of them cost one round trip to Redis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.contract.limits import Refused
from genfleet.store.calls import Call
from genfleet.store.records import NewTask, Once, Submitted
from genfleet.store.steps import submit_within
from genfleet.traces import Span
from genfleet_service import admission, replies, tracing, views
from genfleet_service.access import Caller
from genfleet_service.submissions import read_sent
from genfleet_service.webhooks.rules import CallbackRules

MOST = 100
"""Tasks of a batch: all their steps run one after the other, and nobody else's between."""
KEY = "idempotency_key"


class Batch(BaseModel):
    """The body of a batch: submissions, each with an `idempotency_key` of its own if wanted."""

    model_config = ConfigDict(strict=True, extra="forbid")

    tasks: Annotated[list[Any], Field(min_length=1, max_length=MOST)]


class BatchError(TypedDict):
    """Why a task was refused: the body that it would have been answered with alone, and its HTTP status."""

    status: int
    error: str
    message: str
    details: NotRequired[dict[str, str]]
    retry_after: NotRequired[int]


class BatchResult(TypedDict):
    """What came of one task: the answer to its submission, or an error."""

    index: int
    task: views.SubmittedBody | None
    error: BatchError | None


class BatchBody(TypedDict):
    """What came of each task, in the order given."""

    accepted: int
    refused: int
    results: list[BatchResult]


@dataclass(frozen=True, slots=True)
class Ready:
    """A part of the batch that may be submitted."""

    task: NewTask
    warnings: list[str]
    once: Once | None


Part = Ready | replies.Refusal


def parts(caller: Caller, sent: list[Any], name: str | None, callbacks: CallbackRules) -> list[Part]:
    """Each part, checked. `name`: the Idempotency-Key of the whole batch, of which each part then has a piece."""
    return [_part(caller, item, f"{name}/{index}" if name else None, callbacks) for index, item in enumerate(sent)]


def _part(caller: Caller, item: Any, name: str | None, callbacks: CallbackRules) -> Part:
    try:
        if not isinstance(item, dict):
            raise replies.invalid({"body": "Must be a JSON object"})
        own = item.pop(KEY, None)
        if own is not None:
            name = admission.checked_name(own, KEY)
        task, warnings = read_sent(item, key_id=caller.key_id, callbacks=callbacks)
        admission.check_project(caller, task.project)
        return Ready(task, warnings, admission.once(name, item) if name is not None else None)
    except replies.Refusal as refusal:
        return refusal


def calls(caller: Caller, found: list[Part], span: Span) -> Iterator[Call[Submitted | Refused]]:
    """The steps of those parts that may be submitted, in their order."""
    ready = (part for part in found if isinstance(part, Ready))
    return (submit_within(caller.limits, tracing.joined(part.task, span), part.once) for part in ready)


def told(caller: Caller, found: list[Part], answers: list[Submitted | Refused]) -> BatchBody:
    """The answer to the whole, from the answers to the steps."""
    left = iter(answers)
    results = [
        _result(caller, index, part, next(left) if isinstance(part, Ready) else None)
        for index, part in enumerate(found)
    ]
    accepted = sum(result["task"] is not None for result in results)
    return {"accepted": accepted, "refused": len(results) - accepted, "results": results}


def projects(found: list[Part]) -> str:
    """Those that it is about."""
    return ", ".join(sorted({part.task.project for part in found if isinstance(part, Ready)}))


def headers(caller: Caller, found: list[Part], answers: list[Submitted | Refused]) -> dict[str, str]:
    """What is left after the last part, of the project only where there is but one; and whether all of it came before."""
    one_project = len({part.task.project for part in found if isinstance(part, Ready)}) == 1
    lefts = (answer.left if one_project else replace(answer.left, in_progress=None) for answer in reversed(answers))
    left = next(filter(None, (admission.submission_headers(caller.limits, left) for left in lefts)), {})
    replayed = len(answers) == len(found) and all(
        isinstance(answer, Submitted) and answer.replayed for answer in answers
    )
    return left | (admission.REPLAYED if replayed else {})


def _result(caller: Caller, index: int, part: Part, answer: Submitted | Refused | None) -> BatchResult:
    match part, answer:
        case Ready(task, warnings), Submitted():
            return {"index": index, "task": views.submitted(task, answer, warnings), "error": None}
        case Ready(task), Refused():
            return _refused(index, admission.submission_refusal(answer, caller.limits, task))
        case _:
            assert isinstance(part, replies.Refusal)
            return _refused(index, part)


def _refused(index: int, refusal: replies.Refusal) -> BatchResult:
    error: BatchError = {"status": refusal.status, **refusal.body}  # type: ignore[typeddict-item]  # a Refusal's body is open
    return {"index": index, "task": None, "error": error}
