"""New tasks for the store, valid by default; a test says only what it is about."""

from __future__ import annotations

import itertools
from typing import Any

import orjson

from genfleet.contract.task_types import QUEUES, TASK_TYPES
from genfleet.store import capacity, steps
from genfleet.store.client import SyncStore
from genfleet.store.records import Lease, NewTask, QueueSeen, TaskRecord
from genfleet.store.scripts import CRASHES_ALLOWED

_numbers = itertools.count(1)


def new_task(
    task_id: str = "",
    *,
    kind: str = "generate_image",
    project: str = "p",
    priority: int = 2,
    key_id: str = "",
    **data: Any,
) -> NewTask:
    """A task that nobody has submitted yet."""
    return NewTask(
        id=task_id or f"task-{next(_numbers)}",
        project=project,
        type=kind,
        queue=TASK_TYPES[kind].queue,
        priority=priority,
        data=orjson.dumps(data),
        key_id=key_id,
    )


def submitted(store: SyncStore, task_id: str = "", **more: Any) -> str:
    """The id of a task in its queue."""
    task = new_task(task_id, **more)
    store.run(steps.submit(task))
    return task.id


def running(store: SyncStore, task_id: str = "", *, worker: str = "w", **more: Any) -> Lease:
    """The lease of a task that a worker runs."""
    task_id = submitted(store, task_id, **more)
    lease = store.run(steps.claim(task_id, "1", worker, f"{task_id}.1")).lease
    assert lease is not None
    return lease


def record(store: SyncStore, task_id: str) -> TaskRecord:
    """A task that exists."""
    found = store.run(steps.task(task_id))
    assert found is not None
    return found


def in_step(store: SyncStore, task_id: str, step: str = "first_half") -> bool:
    """Whether the engine has told that it is at a step: other than after the claim, a process has the task then."""
    return record(store, task_id).step == step


def queue_seen(store: SyncStore, queue: str = "gpu_medium") -> QueueSeen:
    """One queue as the fleet sees it."""
    return next(seen for seen in store.run(capacity.observe(QUEUES)).queues if seen.queue == queue)


def poisoned(store: SyncStore, task_id: str = "", why: str = "its process was killed by signal 9", **more: Any) -> str:
    """The id of a task that took so many workers with it that it is in quarantine."""
    task_id = submitted(store, task_id, **more)
    for token in range(1, CRASHES_ALLOWED + 1):
        assert store.run(steps.claim(task_id, str(token), f"worker-{token}", f"{task_id}.{token}")).lease
        assert store.run(steps.lose(task_id, token, why))
    return task_id
