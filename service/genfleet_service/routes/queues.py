"""Pausing a queue and letting it go on (docs/tasks.md)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from genfleet.contract.task_types import QUEUES
from genfleet.store import pauses
from genfleet_service import bodies, openapi, replies, views
from genfleet_service.context import ServiceDep
from genfleet_service.replies import json_reply

router = APIRouter(prefix="/api/v1/queues", tags=["queues"])

Name = Annotated[str, Path(description="Name of the queue, such as gpu_heavy")]


class PauseRequest(BaseModel):
    """The body of a pause; there may be none."""

    model_config = ConfigDict(strict=True, extra="forbid")

    reason: Annotated[str, Field(max_length=500)] = ""


def _unknown(queue: str) -> replies.Refusal:
    return replies.Refusal(404, "queue_not_found", f"There is no queue '{queue}': use one of {', '.join(QUEUES)}")


_NO_QUEUE = _unknown("gpu_large")


@router.post(
    "/{queue}/pause",
    responses=openapi.answers(views.PausedQueue, 400, _NO_QUEUE),
    openapi_extra=openapi.takes(PauseRequest, required=False),
)
async def pause(queue: Name, request: Request, service: ServiceDep) -> Response:
    """Let nothing of a queue start any more. What runs is finished; what is submitted waits; the fleet may go to zero.

    It stays so until somebody resumes the queue, whatever is restarted meanwhile. Again: changes the reason.
    """
    _check(queue)
    asked = bodies.read(await request.body(), PauseRequest)
    paused = await service.store.run(pauses.pause(queue, asked.reason))
    body: views.PausedQueue = {"queue": queue, "paused": views.paused(paused)}
    return json_reply(body)


@router.post("/{queue}/resume", responses=openapi.answers(views.PausedQueue, _NO_QUEUE))
async def resume(queue: Name, service: ServiceDep) -> Response:
    """Let a paused queue go on, at once. One that was not paused stays as it is."""
    _check(queue)
    if await service.store.run(pauses.unpause(queue)):
        await service.store.run(pauses.remake(queue))
    body: views.PausedQueue = {"queue": queue, "paused": None}
    return json_reply(body)


def _check(queue: str) -> None:
    """Raises Refusal."""
    if queue not in QUEUES:
        raise _unknown(queue)
