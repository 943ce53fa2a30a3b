"""How the service and its queues are (requirements 2.7 to 2.9). On the main app, so they answer whatever else fails."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.contract.task_types import QUEUES
from genfleet.errors import StoreUnavailable
from genfleet.store import capacity, redis_check
from genfleet.store.calls import Call
from genfleet.store.records import Overview
from genfleet_service import fleet_health, openapi, replies, views
from genfleet_service.context import ServiceDep
from genfleet_service.replies import json_reply

router = APIRouter(tags=["health"])


class AliveBody(TypedDict):
    """The service is alive (TS-061)."""

    status: str


class HealthBody(TypedDict):
    """The service, and the load of the machines that run tasks (TS-057)."""

    status: str
    redis_status: str
    worker_count: int
    queue_sizes: dict[str, int]
    system_load: fleet_health.SystemLoad
    uptime: int


class UnhealthyBody(TypedDict):
    """Redis cannot be reached (TS-060). What cannot be seen is null, not zero."""

    status: str
    redis_status: str
    worker_count: int | None
    queue_sizes: dict[str, int] | None
    system_load: fleet_health.SystemLoad | None
    uptime: int
    error: str
    message: str
    retry_after: int


_UNHEALTHY: dict[int | str, dict[str, Any]] = {
    503: {
        "model": UnhealthyBody,
        "description": "Redis cannot be reached; this process is alive",
        "headers": {"Retry-After": {"schema": {"type": "string"}, "example": str(replies.RETRY_SOON)}},
    }
}


@router.get("/health", responses=openapi.answer(AliveBody), openapi_extra=openapi.OPEN)
async def alive() -> Response:
    """Whether the service is alive. Needs no key, and nothing else to be well."""
    return json_reply({"status": "healthy"})


@router.get("/api/v1/health", responses=openapi.answers(HealthBody) | _UNHEALTHY, openapi_extra=openapi.KEY_IF_ANY)
async def health(service: ServiceDep) -> Response:
    """The service, Redis, the workers and the load of their machines."""
    uptime = int(asyncio.get_running_loop().time() - service.started)
    try:
        survey = await service.store.run(capacity.observe(QUEUES))
    except StoreUnavailable as error:
        return json_reply(_unhealthy(uptime, error), 503, {"Retry-After": str(replies.RETRY_SOON)})
    workers = [worker for queue in survey.queues for worker in queue.workers]
    body: HealthBody = {
        "status": "healthy",
        "redis_status": "connected",
        "worker_count": len(workers),
        "queue_sizes": fleet_health.queue_sizes(survey.queues),
        "system_load": fleet_health.system_load(workers),
        "uptime": uptime,
    }
    return json_reply(body)


def _unhealthy(uptime: int, error: StoreUnavailable) -> UnhealthyBody:
    return {
        "status": "unhealthy",
        "redis_status": "disconnected",
        "worker_count": None,
        "queue_sizes": None,
        "system_load": None,
        "uptime": uptime,
        "error": "service_unavailable",
        "message": str(error),
        "retry_after": replies.RETRY_SOON,
    }


@router.get("/api/v1/tasks/metrics", responses=openapi.answers(fleet_health.MetricsBody))
async def metrics(service: ServiceDep) -> Response:
    """Live numbers of all tasks, shared by every process and kept over restarts."""
    seen, survey = await service.store.run_all([_overview(), capacity.observe(QUEUES)])
    body: fleet_health.MetricsBody = {
        "metrics": fleet_health.metrics(seen),
        "losses": fleet_health.losses(seen, survey),
        "timestamp": views.timestamp(seen.now_ms),
    }
    return json_reply(body)


@router.get("/api/v1/tasks/health", responses=openapi.answers(fleet_health.QueueHealthBody))
async def queue_health(service: ServiceDep) -> Response:
    """Whether the queues are well, and what to look at if not."""
    (seen, survey), redis = await asyncio.gather(
        service.store.run_all([_overview(), capacity.observe(QUEUES)]), redis_check.look_again(service.store, now=None)
    )
    found = fleet_health.alerts(seen, survey.queues, redis)
    body: fleet_health.QueueHealthBody = {
        "status": fleet_health.worst(found),
        "metrics": fleet_health.counts(seen),
        "alerts": found,
        "timestamp": views.timestamp(seen.now_ms),
    }
    return json_reply(body)


def _overview() -> Call[Overview]:
    return capacity.overview(QUEUES, long=fleet_health.LONG_RUN, window=fleet_health.RECENT)
