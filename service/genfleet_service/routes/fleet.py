"""Queues and workers, for people and the command line (NS-008)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from genfleet.contract.task_types import QUEUES
from genfleet.store import steps
from genfleet.store.records import QueueSeen, WorkerSeen
from genfleet_service import openapi
from genfleet_service.context import ServiceDep
from genfleet_service.replies import json_reply

router = APIRouter(prefix="/api/v1", tags=["fleet"])


@router.get("/queues", responses=openapi.answers(None))
async def queues(service: ServiceDep) -> Response:
    """What waits and runs in each queue, its workers, and why its fleet has the size it has."""
    survey = await service.store.run(steps.observe(QUEUES))
    return json_reply({"queues": [_queue(seen) for seen in survey.queues]})


@router.get("/workers", responses=openapi.answers(None))
async def workers(service: ServiceDep) -> Response:
    """Every worker that beats, and what it does."""
    survey = await service.store.run(steps.observe(QUEUES))
    found = [_worker(seen.queue, worker) for seen in survey.queues for worker in seen.workers]
    return json_reply({"workers": found, "total": len(found)})


def _queue(seen: QueueSeen) -> dict[str, Any]:
    return {
        "queue": seen.queue,
        "waiting": seen.waiting,
        "running": seen.running,
        "retrying": seen.scheduled,
        "oldest_wait_seconds": seen.oldest_wait_ms // 1000 if seen.oldest_wait_ms is not None else None,
        "mean_run_seconds": round(seen.service_ms / 1000, 1) if seen.service_ms is not None else None,
        "workers": len(seen.workers),
        "fleet": seen.fleet,
    }


def _worker(queue: str, seen: WorkerSeen) -> dict[str, Any]:
    return {
        "worker_id": seen.id,
        "queue": queue,
        "draining": seen.draining,
        "silent_seconds": round(seen.silent_ms / 1000, 1),
        **seen.about,
    }
