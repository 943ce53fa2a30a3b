"""Queues and workers, for people and the command line (NS-008)."""

from __future__ import annotations

from typing import NotRequired, cast

from fastapi import APIRouter, Response
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.contract.task_types import QUEUES
from genfleet.store import capacity
from genfleet.store.records import QueueSeen, WorkerSeen
from genfleet_service import openapi, views
from genfleet_service.context import ServiceDep
from genfleet_service.replies import json_reply

router = APIRouter(prefix="/api/v1", tags=["fleet"])


class Fleet(TypedDict):
    """What the fleet controller last decided for a queue."""

    wanted: int
    starting: int
    ready: int
    draining: int
    busy: int
    minimum: int
    maximum: int
    reason: str
    trouble: NotRequired[str | None]
    explanation: str


class Queue(TypedDict):
    """What waits and runs; `scheduled` are delayed tasks and retries that wait for their time. `fleet` is null where no controller looks after the queue."""

    queue: str
    waiting: int
    waiting_by_priority: dict[str, int]
    running: int
    scheduled: int
    oldest_wait_seconds: int | None
    mean_run_seconds: float | None
    workers: int
    paused: views.PauseBody | None
    fleet: Fleet | None


class QueuesBody(TypedDict):
    """Every queue that some task type is routed to."""

    queues: list[Queue]


class Worker(TypedDict):
    """One worker, as it last told. What it tells of its machine may be missing."""

    worker_id: str
    queue: str
    draining: bool
    silent_seconds: float
    phase: NotRequired[str]
    running: NotRequired[int]
    concurrency: NotRequired[int]
    consumer_restarts: NotRequired[int]
    trouble: NotRequired[str]
    host: NotRequired[str]
    pid: NotRequired[int]
    cpu_percent: NotRequired[float]
    memory_percent: NotRequired[float]
    gpu_utilization: NotRequired[list[float]]
    memory_bytes: NotRequired[dict[str, int]]


class WorkersBody(TypedDict):
    """Every worker that beats."""

    workers: list[Worker]
    total: int


@router.get("/queues", responses=openapi.answers(QueuesBody))
async def queues(service: ServiceDep) -> Response:
    """What waits and runs in each queue, its workers, and why its fleet has the size it has."""
    survey = await service.store.run(capacity.observe(QUEUES))
    body: QueuesBody = {"queues": [_queue(seen) for seen in survey.queues]}
    return json_reply(body)


@router.get("/workers", responses=openapi.answers(WorkersBody))
async def workers(service: ServiceDep) -> Response:
    """Every worker that beats, and what it does."""
    survey = await service.store.run(capacity.observe(QUEUES))
    found = [_worker(seen.queue, worker) for seen in survey.queues for worker in seen.workers]
    body: WorkersBody = {"workers": found, "total": len(found)}
    return json_reply(body)


def _queue(seen: QueueSeen) -> Queue:
    return {
        "queue": seen.queue,
        "waiting": seen.waiting,
        "waiting_by_priority": {str(priority): count for priority, count in enumerate(seen.by_priority, 1)},
        "running": seen.running,
        "scheduled": seen.scheduled,
        "oldest_wait_seconds": seen.oldest_wait_ms // 1000 if seen.oldest_wait_ms is not None else None,
        "mean_run_seconds": round(seen.service_ms / 1000, 1) if seen.service_ms is not None else None,
        "workers": len(seen.workers),
        "paused": views.paused(seen.paused),
        "fleet": cast(Fleet | None, seen.fleet),
    }


def _worker(queue: str, seen: WorkerSeen) -> Worker:
    known: Worker = {
        "worker_id": seen.id,
        "queue": queue,
        "draining": seen.draining,
        "silent_seconds": round(seen.silent_ms / 1000, 1),
    }
    return cast(Worker, {**known, **seen.about})
