"""What a project used: tasks, run time and GPU time (docs/tasks.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Response
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.store.usage import Used, usage
from genfleet_service import admission, openapi, replies
from genfleet_service.context import CallerDep, ServiceDep
from genfleet_service.moments import QueryDay
from genfleet_service.replies import json_reply
from genfleet_service.routes.projects import ProjectId

router = APIRouter(prefix="/api/v1/projects", tags=["projects"])

_BAD = replies.invalid({"to": "Must not be before from"}, "Invalid query")


class Usage(TypedDict):
    """Tasks by how they ended, and the time that workers spent on them.

    Each attempt counts with its time, also those that failed, were lost or cancelled. `gpu_seconds` is that time, times
    the GPUs of the worker.
    """

    completed: int
    failed: int
    cancelled: int
    attempts: int
    run_seconds: float
    gpu_seconds: float


class DayUsage(TypedDict):
    """One day (UTC): what ended in it."""

    date: str
    total: Usage
    by_type: dict[str, Usage]


class UsageBody(TypedDict):
    """What a project used. Days without use are left out."""

    project_id: str
    first_day: str
    last_day: str
    total: Usage
    by_type: dict[str, Usage]
    by_day: list[DayUsage]


@router.get("/{project_id:path}/usage", responses=openapi.answers(UsageBody, _BAD))
async def project_usage(
    project_id: ProjectId,
    service: ServiceDep,
    caller: CallerDep,
    first: Annotated[QueryDay | None, Query(alias="from", description="First day (UTC), such as 2026-01-31")] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="Last day; today if left out")] = None,
) -> Response:
    """What a project used from one day to another, the last 30 days if left out. Kept for 400 days."""
    admission.check_project(caller, project_id)
    if first and last and last < first:
        raise _BAD
    used = await service.store.run(usage(project_id, first, last))
    if used.first > used.last:
        raise replies.invalid({"from": "Must not be after today"}, "Invalid query")
    return json_reply(_told(project_id, used))


def _told(project: str, used: Used) -> UsageBody:
    by_type = _sums(types for types in used.days.values())
    return {
        "project_id": project,
        "first_day": used.first.isoformat(),
        "last_day": used.last.isoformat(),
        "total": _usage(_total(by_type)),
        "by_type": {name: _usage(numbers) for name, numbers in by_type.items()},
        "by_day": [
            {
                "date": day.isoformat(),
                "total": _usage(_total(types)),
                "by_type": {name: _usage(numbers) for name, numbers in types.items()},
            }
            for day, types in used.days.items()
        ],
    }


def _sums(days: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for types in days:
        for name, numbers in types.items():
            found.setdefault(name, Counter()).update(numbers)
    return found


def _total(types: Mapping[str, Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for numbers in types.values():
        total.update(numbers)
    return total


def _usage(numbers: Mapping[str, int]) -> Usage:
    return {
        "completed": numbers.get("completed", 0),
        "failed": numbers.get("failed", 0),
        "cancelled": numbers.get("cancelled", 0),
        "attempts": numbers.get("attempts", 0),
        "run_seconds": round(numbers.get("run_ms", 0) / 1000, 1),
        "gpu_seconds": round(numbers.get("gpu_ms", 0) / 1000, 1),
    }
