"""The tasks of a project (requirements 2.4)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from genfleet.contract.states import State
from genfleet.contract.task_types import TASK_TYPES
from genfleet.store import steps
from genfleet_service import admission, openapi, replies, views
from genfleet_service.context import CallerDep, ServiceDep
from genfleet_service.moments import QueryTime, milliseconds
from genfleet_service.replies import json_reply

router = APIRouter(prefix="/api/v1/projects", tags=["projects"])

ProjectId = Annotated[str, Path(description="Id of the project: free text, as it was submitted")]

Page = Annotated[int, Query(ge=1, le=1_000_000, description="Which page, from 1")]
Limit = Annotated[int, Query(ge=1, le=100, description="Tasks on a page")]
FIELDS = tuple(name for name in views.ListedTask.__annotations__ if name != "omitted")
_READ_FROM = {"task_data": "data", "result": "result", "result_url": "result"}
"""The documents behind fields: what is not asked for is not moved."""

_BAD_QUERY = replies.invalid({"limit": "Input should be less than or equal to 100"}, "Invalid query")


# A project id is free text (TS-038), so it may hold a slash.
@router.get("/{project_id:path}/tasks", responses=openapi.answers(views.TaskList, _BAD_QUERY))
async def list_tasks(
    project_id: ProjectId,
    service: ServiceDep,
    caller: CallerDep,
    status: Annotated[State | None, Query(description="Only tasks in this state")] = None,
    task_type: Annotated[
        str | None, Query(description="Only tasks of this type", json_schema_extra={"enum": [*TASK_TYPES, None]})
    ] = None,
    since: Annotated[QueryTime | None, Query(description="Only tasks created after this time (ISO 8601)")] = None,
    until: Annotated[QueryTime | None, Query(description="Only tasks created before this time (ISO 8601)")] = None,
    fields: Annotated[str | None, Query(description="Only these fields of each task, separated by commas")] = None,
    page: Page = 1,
    limit: Limit = 20,
) -> Response:
    """The tasks of one project, newest first. Filters combine; tasks expire 24 hours after their creation.

    `task_data` and `result` are shown up to 16 KiB; a larger one is null, and `omitted` has its size in bytes.
    """
    admission.check_project(caller, project_id)
    shown = _fields(fields)
    if task_type is not None and task_type not in TASK_TYPES:
        raise replies.invalid(
            {"task_type": f"Unknown task type '{task_type}': use one of {', '.join(TASK_TYPES)}"}, "Invalid query"
        )
    found = await service.store.run(
        steps.project_tasks(
            project_id,
            state=status,
            task_type=task_type,
            since_ms=milliseconds(since),
            before_ms=milliseconds(until),
            offset=(page - 1) * limit,
            limit=limit,
            documents={_READ_FROM[field] for field in shown if field in _READ_FROM},
        )
    )
    return json_reply(
        {
            "tasks": [_only(views.listed(task), shown) for task in found.tasks],
            "pagination": views.pagination(page, limit, found.total),
        }
    )


def _fields(asked: str | None) -> tuple[str, ...]:
    """The fields to show. Raises Refusal."""
    if asked is None:
        return FIELDS
    names = tuple(name.strip() for name in asked.split(","))
    unknown = [name for name in names if name not in FIELDS]
    if unknown:
        fault = f"Unknown field '{unknown[0]}': use some of {', '.join(FIELDS)}, separated by commas"
        raise replies.invalid({"fields": fault}, "Invalid query")
    return names


def _only(task: views.ListedTask, shown: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in task.items() if name in shown or name == "omitted"}
