"""One task: submit, look at, cancel, repeat (requirements 2.2, 2.3, 2.5, 2.6)."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Request, Response

from genfleet.contract.states import State
from genfleet.store import steps, waiting
from genfleet.store.records import Submitted
from genfleet_service import admission, openapi, prefer, replies, tracing, views, waits
from genfleet_service.access import Caller
from genfleet_service.audit import about
from genfleet_service.context import CallerDep, Service, ServiceDep, caller_of, service_of
from genfleet_service.lookup import OFTEN, WHOLE, find, look_at
from genfleet_service.replies import json_reply
from genfleet_service.submissions import read_submission, repeat

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])

TaskId = Annotated[str, Path(description=openapi.TASK_ID_WORDS)]

_CANCELLED_FROM = {
    State.QUEUED: "Task was queued and has been revoked",
    State.PROCESSING: "Task was running and has been terminated",
    State.CANCELLED: "Task was already cancelled",
}
_NOT_CANCELLED_FROM = {
    State.COMPLETED: "Task has already completed successfully and cannot be cancelled",
    State.FAILED: "Task has already failed and cannot be cancelled",
}
_TOO_LATE = replies.not_allowed_now(_NOT_CANCELLED_FROM[State.COMPLETED])
_NOT_OVER = replies.not_allowed_now("Only a failed or cancelled task can be retried; this one is queued")


# These two are also in the express lane (`EXPRESS`), which calls them with the bare request.
@router.post(
    "/submit",
    responses=openapi.waited_for(openapi.answers(views.SubmittedBody, 400, 413, 422, 429)),
    openapi_extra=openapi.SUBMISSION,
)
async def submit(request: Request) -> Response:
    """Queue one background task. It starts as soon as a worker is free; the fleet grows if none is.

    With `Prefer: wait=N` the answer to a task that ends in time has the fields of its status as well.
    """
    service, caller = service_of(request), caller_of(request)
    body = await request.body()
    with tracing.submission(request) as span:
        task, warnings = read_submission(body, key_id=caller.key_id, callbacks=service.settings.callbacks())
        about(request, project=task.project)
        task = tracing.joined(task, span)
        answer = await admission.submit(service, caller, task, admission.once_of(request, body))
        tracing.tell(span, task, answer)
    about(request, project=task.project, target=answer.id)
    told, headers = views.submitted(task, answer, warnings), _headers(caller, answer)
    wait = prefer.granted(request, service, caller)
    if wait is None:
        return json_reply(told, headers=headers)
    ended = await prefer.end_of(service, caller, answer.id, wait)
    return json_reply({**told, **views.status(ended)} if ended else told, headers=headers | prefer.applied(wait))


@router.get(
    "/{task_id}/status",
    responses=openapi.waited_for(openapi.answers(views.StatusBody, 404, OFTEN)),
    openapi_extra={"parameters": [*openapi.TASK_ID["parameters"], *openapi.WAIT["parameters"]]},
)
async def status(request: Request) -> Response:
    """State and progress of a task."""
    service, caller = service_of(request), caller_of(request)
    task, headers = await look_at(service, caller, request.path_params["task_id"])
    wait = prefer.granted(request, service, caller)
    if wait is None:
        return json_reply(views.status(task), headers=headers)
    ended = await prefer.end_of(service, caller, task.id, wait)
    return json_reply(
        views.status(ended or await find(service, caller, task.id)), headers=headers | prefer.applied(wait)
    )


EXPRESS = (
    ("POST", re.compile(r"/api/v1/tasks/submit"), submit),
    ("GET", re.compile(r"/api/v1/tasks/(?P<task_id>[^/]+)/status"), status),
)


@router.get("/{task_id}", responses=openapi.answers(waits.FullTask, 404, OFTEN))
async def read(task_id: TaskId, service: ServiceDep, caller: CallerDep) -> Response:
    """Everything that is kept of a task; while it is queued also why it waits, and for how long."""
    look, line = look_at(service, caller, task_id, WHOLE), service.store.run(waiting.wait(task_id))
    (task, headers), seen = await asyncio.gather(look, line)  # one round trip: what is asked at once travels together
    return json_reply({**views.full(task), **waits.told(seen)}, headers=headers)


@router.delete("/{task_id}", responses=openapi.answers(views.CancelledBody, _TOO_LATE, 404))
async def cancel(task_id: TaskId, request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Cancel a queued or running task. A queued one never starts; a running one gets SIGTERM and 30 seconds."""
    return json_reply(await _cancelled(request, service, caller, task_id))


@router.delete("/{task_id}/cancel", responses=openapi.answers(views.CancelledBody, _TOO_LATE, 404))
async def cancel_alias(task_id: TaskId, request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """The first edition's path of cancel, with its message (TS-040, PR-003)."""
    return json_reply({**await _cancelled(request, service, caller, task_id), "message": "Task cancelled successfully"})


@router.post(
    "/{task_id}/retry",
    responses=openapi.answers(views.RetriedBody, _NOT_OVER, 404, 422, 429),
    openapi_extra=openapi.ONCE,
)
async def retry(task_id: TaskId, request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Submit a failed or cancelled task again, with the same parameters, under a new id."""
    task = await find(service, caller, task_id)
    about(request, project=task.project)
    if task.state not in (State.FAILED, State.CANCELLED):
        raise replies.not_allowed_now(f"Only a failed or cancelled task can be retried; this one is {task.state.value}")
    once = admission.once_of(request, orjson.dumps(["retry", task_id]))
    with tracing.submission(request) as span:
        anew = tracing.joined(repeat(task, caller.key_id), span)
        answer = await admission.submit(service, caller, anew, once)
        tracing.tell(span, anew, answer)
    body: views.RetriedBody = {
        "new_task_id": answer.id,
        "original_task_id": task.id,
        "status": State.QUEUED.value,
        "message": "Task retry submitted successfully",
    }
    return json_reply(body, headers=_headers(caller, answer))


def _headers(caller: Caller, answer: Submitted) -> dict[str, str]:
    return admission.submission_headers(caller.limits, answer.left) | (admission.REPLAYED if answer.replayed else {})


async def _cancelled(request: Request, service: Service, caller: Caller, task_id: str) -> views.CancelledBody:
    if caller.projects is not None:
        await find(service, caller, task_id)
    done = await service.store.run(steps.cancel(task_id))
    if done is None:
        raise replies.no_such_task(task_id)
    about(request, project=done.project)
    if done.at_ms is None:
        raise replies.not_allowed_now(_NOT_CANCELLED_FROM[done.was])
    return {
        "task_id": task_id,
        "status": State.CANCELLED.value,
        "message": _CANCELLED_FROM[done.was],
        "previous_state": done.was.value,
        "cancelled_at": views.timestamp(done.at_ms),
    }
