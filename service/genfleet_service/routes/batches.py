"""Many tasks in one request (docs/tasks.md)."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from genfleet_service import admission, batches, bodies, openapi, replies, tracing
from genfleet_service.audit import about
from genfleet_service.context import CallerDep, ServiceDep
from genfleet_service.replies import json_reply

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])

_NO_BATCH = replies.invalid(
    {"tasks": f"At most {batches.MOST} tasks in a batch; these are {batches.MOST + 1}"}, "Invalid request"
)


@router.post(
    "/batch",
    responses=openapi.answers(batches.BatchBody, _NO_BATCH, 413),
    openapi_extra=openapi.ONCE | openapi.takes(batches.Batch, submissions="tasks"),
)
async def submit_batch(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Submit up to 100 tasks at once. Each is accepted or refused by itself; the answer has them in the order given.

    What a limit keeps out has its own error in `results`, with `status` 429 (or 503, where a queue is full) and
    `retry_after` in seconds; the batch itself is 200. Send those parts again, after so long: nothing was done for them.
    A batch that is sent again under its Idempotency-Key makes no task twice.
    """
    asked = bodies.read(await request.body(), batches.Batch)
    name = admission.name_of(request)
    with tracing.submission(request) as span:
        found = batches.parts(caller, asked.tasks, name, service.settings.callbacks())
        answers = await service.store.run_all(list(batches.calls(caller, found, span)))
        span.tell(tasks=len(found))
    told = batches.told(caller, found, answers)
    about(request, project=batches.projects(found), target=f"{told['accepted']} of {len(found)} tasks")
    return json_reply(told, headers=batches.headers(caller, found, answers))
