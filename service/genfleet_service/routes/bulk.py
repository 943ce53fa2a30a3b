"""Many tasks of a project at once: cancel them, or submit them again (docs/tasks.md)."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from genfleet.contract.states import State
from genfleet_service import admission, bodies, bulk, openapi, replies
from genfleet_service.context import CallerDep, ServiceDep
from genfleet_service.replies import json_reply
from genfleet_service.routes.projects import ProjectId

router = APIRouter(prefix="/api/v1/projects", tags=["projects"])

_SAY_WHICH = 'Say which: {"status": "queued"}, or {} for all; {"dry_run": true} only counts'
"""A request whose body was forgotten is not to cancel a whole project."""
_BAD = replies.invalid({"status": "Input should be 'failed' or 'cancelled'"}, "Invalid request")


@router.post(
    "/{project_id:path}/tasks/cancel",
    responses=openapi.answers(bulk.BulkBody, _BAD),
    openapi_extra=openapi.takes(bulk.CancelRequest),
)
async def cancel_tasks(project_id: ProjectId, request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Cancel a project's tasks that fit, queued and running, up to 5,000 in a request, or tell how many there are.

    A body is needed: `{}` stands for all of them. Ask again, with the same body, while `remaining` is not 0. What was submitted after the request is left alone.
    """
    admission.check_project(caller, project_id)
    asked = bodies.read(await request.body(), bulk.CancelRequest, if_none=_SAY_WHICH)
    states = [State(asked.status)] if asked.status else [State.QUEUED, State.PROCESSING]
    wanted = bulk.filters(project_id, states, asked)
    done = bulk.dry_run(service, wanted) if asked.dry_run else bulk.cancel(service, wanted)
    return json_reply(await done)


@router.post(
    "/{project_id:path}/tasks/retry",
    responses=openapi.answers(bulk.BulkBody, _BAD),
    openapi_extra=openapi.takes(bulk.RetryRequest, required=False),
)
async def retry_tasks(project_id: ProjectId, request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Submit a project's failed (or cancelled) tasks again, up to 500 in a request, or tell how many there are.

    Ask again with `cursor` while there is one. A task is never submitted twice: a request that is repeated skips it.
    """
    admission.check_project(caller, project_id)
    asked = bodies.read(await request.body(), bulk.RetryRequest)
    wanted = bulk.filters(project_id, [State(asked.status)], asked)
    done = bulk.dry_run(service, wanted) if asked.dry_run else bulk.retry(service, caller, wanted[0], asked.cursor)
    return json_reply(await done)
