"""What submissions and looks are measured against, each a FastAPI program with the same model of the same body.

constant      answers what it always answers: the speed of the server itself, and the limit of ours
apply_async   publishes by Celery in a thread: what most home-made task services do
"""

from __future__ import annotations

import os
import uuid
from typing import Any

from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

from genfleet_service.examples import EXAMPLES


class Body(BaseModel):
    """The documented body of a submission."""

    project_id: str
    task_type: str
    task_data: dict[str, Any]
    priority: int = 2
    callback_url: str | None = None
    metadata: dict[str, Any] = {}


def _answer(task_id: str, body: Body) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "status": "queued",
        "project_id": body.project_id,
        "estimated_duration": 300,
        "queue_position": 5,
        "created_at": "2025-01-15T10:30:00Z",
    }


STATUS: dict[str, Any] = EXAMPLES["StatusBody"]

constant = FastAPI()


@constant.post("/api/v1/tasks/submit")
async def answer_always(body: Body) -> dict[str, Any]:
    """The same answer, whatever is asked."""
    return _answer("abc123-def456-ghi789", body)


@constant.get("/api/v1/tasks/{task_id}/status")
async def look_always(task_id: str) -> dict[str, Any]:
    """The documented status, whatever is asked."""
    return STATUS | {"task_id": task_id}


apply_async = FastAPI()
_celery = Celery("peer", broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
_celery.conf.task_ignore_result = True


@apply_async.post("/api/v1/tasks/submit")
def enqueue(body: Body) -> dict[str, Any]:
    """Celery's own publish. A plain `def`, so FastAPI runs it in a thread."""
    task_id = str(uuid.uuid4())
    _celery.send_task(body.task_type, kwargs=body.model_dump(), task_id=task_id, queue="peer")
    return _answer(task_id, body)
