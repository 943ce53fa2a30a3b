"""Messages and records that could not be judged: look at them, send them again, or remove them (docs/tasks.md)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from genfleet.contract.task_types import QUEUES
from genfleet.store import dead_letters
from genfleet.store.dead_letters import Letter, LetterState, Resent
from genfleet_service import bodies, openapi, replies, views, wards
from genfleet_service.context import CallerDep, Service, ServiceDep
from genfleet_service.replies import json_reply
from genfleet_service.routes.projects import Limit, Page

router = APIRouter(prefix="/api/v1/dead-letters", tags=["dead_letters"])

LetterId = Annotated[int, Path(ge=1, le=2**53, description="Number of the dead letter, as it was listed")]
OfQueue = Annotated[
    str | None, Query(description="Only those of this queue", json_schema_extra={"enum": [*QUEUES, None]})
]

_BAD_QUERY = replies.invalid({"status": "Input should be 'waiting' or 'resent'"}, "Invalid query")
_BAD = replies.invalid({"dry_run": "Input should be a valid boolean"}, "Invalid request")
_SAY_WHICH = 'Say which: {"queue": "gpu_heavy"}, or {} for all; {"dry_run": true} only counts'
_UNKNOWN = replies.no_such_letter(17)
_NO_NUMBER = replies.invalid({"letter_id": "Input should be greater than or equal to 1"}, "Invalid query")
_CUT = replies.not_allowed_now(wards.NOT_SENT[Resent.CUT])


@router.get("", name="list", responses=openapi.answers(wards.DeadLetters, _BAD_QUERY))
async def list_letters(
    service: ServiceDep,
    status: Annotated[
        LetterState, Query(description="Those that wait, or those that were sent again")
    ] = LetterState.WAITING,
    queue: OfQueue = None,
    page: Page = 1,
    limit: Limit = 20,
) -> Response:
    """What was set aside, the newest first, each with its reason. The newest 1,000 are kept, for a week."""
    wards.check_queue(queue)
    found = await service.store.run(dead_letters.page(status, queue, (page - 1) * limit, limit))
    body: wards.DeadLetters = {
        "dead_letters": [wards.letter(each) for each in found.letters],
        "pagination": views.pagination(page, limit, found.total),
    }
    return json_reply(body)


# Fixed paths before those with a number in them.
@router.post(
    "/resend", responses=openapi.answers(wards.LettersBody, _BAD), openapi_extra=openapi.takes(wards.LetterFilter)
)
async def resend_all(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Put all messages back that wait, of a queue or of all, in the order in which they came; or tell how many there are.

    A body is needed: `{}` stands for all.
    """
    asked = bodies.read(await request.body(), wards.LetterFilter, if_none=_SAY_WHICH)
    return json_reply(await wards.resend_all(service, caller, asked))


@router.post(
    "/remove", responses=openapi.answers(wards.LettersBody, _BAD), openapi_extra=openapi.takes(wards.LetterFilter)
)
async def remove_all(request: Request, service: ServiceDep) -> Response:
    """Remove all that wait, of a queue or of all, or tell how many there are. A body is needed: `{}` stands for all."""
    asked = bodies.read(await request.body(), wards.LetterFilter, if_none=_SAY_WHICH)
    return json_reply(await wards.remove_all(service, asked))


@router.get("/{letter_id:int}", responses=openapi.answers(wards.FullDeadLetter, _NO_NUMBER, _UNKNOWN))
async def read(letter_id: LetterId, service: ServiceDep) -> Response:
    """One of them with the message as it came, which may hold what a client sent."""
    return json_reply(wards.full_letter(await _find(service, letter_id)))


@router.post("/{letter_id:int}/resend", responses=openapi.answers(wards.FullDeadLetter, _CUT, _UNKNOWN))
async def resend(letter_id: LetterId, service: ServiceDep, caller: CallerDep) -> Response:
    """Put a message back in its queue, as it was, such as when workers know its task type by now. Who did it is kept."""
    came = await service.store.run(dead_letters.resend(letter_id, caller.key_id))
    if came is Resent.UNKNOWN:
        raise replies.no_such_letter(letter_id)
    if came is not Resent.RESENT:
        raise replies.not_allowed_now(wards.NOT_SENT[came])
    return json_reply(wards.full_letter(await _find(service, letter_id)))


@router.delete("/{letter_id:int}", responses=openapi.answers(wards.RemovedLetter, _NO_NUMBER, _UNKNOWN))
async def remove(letter_id: LetterId, service: ServiceDep) -> Response:
    """Remove one that nobody needs any more."""
    if not await service.store.run(dead_letters.remove(letter_id)):
        raise replies.no_such_letter(letter_id)
    body: wards.RemovedLetter = {"letter_id": letter_id, "message": "The dead letter has been removed"}
    return json_reply(body)


async def _find(service: Service, letter_id: int) -> Letter:
    found = await service.store.run(dead_letters.read(letter_id))
    if found is None:
        raise replies.no_such_letter(letter_id)
    return found
