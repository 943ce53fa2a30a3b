"""Tasks that took too many workers with them: look at them, submit them again, or let them go (docs/tasks.md)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from genfleet.contract.states import State
from genfleet.contract.task_types import TASK_TYPES
from genfleet.store import quarantine
from genfleet_service import admission, bodies, bulk, lookup, openapi, replies, views, wards
from genfleet_service.audit import about
from genfleet_service.context import CallerDep, ServiceDep
from genfleet_service.replies import json_reply
from genfleet_service.routes.projects import Limit, Page
from genfleet_service.routes.tasks import TaskId

router = APIRouter(prefix="/api/v1/quarantine", tags=["quarantine"])

_BAD_QUERY = replies.invalid({"limit": "Input should be less than or equal to 100"}, "Invalid query")
_BAD = replies.invalid({"dry_run": "Input should be a valid boolean"}, "Invalid request")
_SAY_WHICH = 'Say which: {"project_id": "my_project"}, or {} for all; {"dry_run": true} only counts'
_NOT_THERE = replies.not_in_quarantine("abc123-def456-ghi789")


@router.get("", name="list", responses=openapi.answers(wards.QuarantineBody, _BAD_QUERY))
async def list_quarantine(
    service: ServiceDep,
    caller: CallerDep,
    project_id: Annotated[str | None, Query(min_length=1, description="Only tasks of this project")] = None,
    task_type: Annotated[
        str | None, Query(description="Only tasks of this type", json_schema_extra={"enum": [*TASK_TYPES, None]})
    ] = None,
    page: Page = 1,
    limit: Limit = 20,
) -> Response:
    """Tasks that were running on three lost workers, the newest first. They have failed, and are kept for a week.

    A key for some projects has to say which one.
    """
    admission.check_project(caller, project_id)
    wards.check_type(task_type)
    found = await service.store.run(quarantine.newest(project_id, task_type, (page - 1) * limit, limit))
    body: wards.QuarantineBody = {
        "tasks": [wards.quarantined(task) for task in found.tasks],
        "pagination": views.pagination(page, limit, found.total),
    }
    return json_reply(body)


@router.post(
    "/retry", responses=openapi.answers(bulk.BulkBody, _BAD), openapi_extra=openapi.takes(wards.QuarantineRetry)
)
async def retry(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Submit tasks in quarantine again that fit, up to 500 in a request, or tell how many there are.

    Each is a new task, which has lost no worker; the old one leaves the quarantine, and its story says who did it. A body is
    needed: `{}` stands for all. Ask again while `remaining` is not 0. `POST /api/v1/tasks/{task_id}/retry` does it for one.
    """
    asked = bodies.read(await request.body(), wards.QuarantineRetry, if_none=_SAY_WHICH)
    about(request, project=asked.project_id or "")
    admission.check_project(caller, asked.project_id)
    wards.check_type(asked.task_type)
    if asked.dry_run:
        return json_reply(await wards.would_retry(service, asked))
    return json_reply(await wards.retry(service, caller, asked))


@router.delete("/{task_id}", responses=openapi.answers(wards.ReleasedBody, _NOT_THERE))
async def release(task_id: TaskId, request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Let a task go. It stays failed, and its record is kept as long as any other."""
    about(request, project=(await lookup.find(service, caller, task_id)).project)
    if not await service.store.run(quarantine.release(task_id, caller.key_id)):
        raise replies.not_in_quarantine(task_id)
    body: wards.ReleasedBody = {
        "task_id": task_id,
        "status": State.FAILED.value,
        "message": "The task has left the quarantine, and stays failed",
    }
    return json_reply(body)
