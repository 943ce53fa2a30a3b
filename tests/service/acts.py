"""What these tests do over and over: submit a task, bring it into a state by the store's own steps, and date it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import orjson

from genfleet.contract.keys import PREFIX, broker_list, key
from genfleet.contract.states import State
from genfleet.store import chores, steps
from genfleet.store.client import SyncStore
from tests.support.servers import Redis
from tests.support.waiting import wait_for

PROJECT = "detective_series_001"
UNKNOWN_TASK = {"error": "task_not_found", "message": "Task with ID 'abc123' not found"}
"""The documents' own example of a 404, for the id `abc123`."""
UNAUTHORIZED = {"error": "authentication_failed", "message": "Invalid or missing API key"}

VIDEO_RESULT = {
    "media_url": "https://media.ft.tc/project_001/video_abc123.mp4",
    "payload_media_id": "64f1b2c3a8d9e0f1",
    "metadata": {"duration": 7.0, "resolution": "1920x1080", "file_size": 15728640},
}
"""The documents' own example of a result."""


EVALUATION: dict[str, Any] = {
    "project_id": "68df4dab400c86a6a8cf40c6",
    "task_type": "evaluate_department",
    "task_data": {
        "department_slug": "story",
        "department_number": 1,
        "gather_data": [
            {
                "content": "A young detective arrives in a small coastal town to investigate mysterious disappearances...",
                "summary": "Main story premise",
                "context": "Mystery thriller genre",
            },
            {
                "content": "Three-act structure with clear character arcs...",
                "summary": "Story structure",
                "context": "Narrative framework",
            },
        ],
        "previous_evaluations": [{"department": "concept", "rating": 85, "summary": "Strong conceptual foundation"}],
        "threshold": 80,
    },
    "priority": 1,
    "callback_url": "https://aladdin.ngrok.pro/api/webhooks/evaluation-complete",
    "metadata": {"user_id": "user123", "department_id": "dept-story-001"},
}
"""The documents' own submission of an evaluation."""


def submission(**changes: Any) -> dict[str, Any]:
    """The least that can be submitted, and what a test changes in it."""
    return {"project_id": PROJECT, "task_type": "generate_image", "task_data": {}} | changes


def post(api: httpx.Client, body: Mapping[str, Any]) -> httpx.Response:
    """Submits, whatever comes of it."""
    return api.post("/api/v1/tasks/submit", json=body)


def submitted(api: httpx.Client, **changes: Any) -> str:
    """The id of a task that was just submitted."""
    answer = post(api, submission(**changes))
    assert answer.status_code == httpx.codes.OK, answer.text
    return str(answer.json()["task_id"])


def started(api: httpx.Client, store: SyncStore, **changes: Any) -> str:
    """The id of a task whose first attempt has just begun."""
    task_id = submitted(api, **changes)
    claim(store, task_id)
    return task_id


def claim(store: SyncStore, task_id: str, token: int = 1) -> None:
    """A worker begins an attempt."""
    assert store.run(steps.claim(task_id, str(token), "worker@test", f"{task_id}.{token}")).verdict == "run"


def settled(api: httpx.Client, store: SyncStore, state: State, **changes: Any) -> str:
    """The id of a task in this state, which it reached by the usual way."""
    task_id = submitted(api, **changes)
    if state is not State.QUEUED:
        claim(store, task_id)
    match state:
        case State.COMPLETED:
            assert store.run(steps.complete(task_id, 1, orjson.dumps(VIDEO_RESULT)))
        case State.FAILED:
            assert store.run(steps.fail(task_id, 1, "no face in the picture", "Traceback (most recent call last): …"))
        case State.CANCELLED:
            assert store.run(steps.cancel(task_id))
    return task_id


def look(api: httpx.Client, task_id: str) -> dict[str, Any]:
    """Everything that the API tells of a task."""
    answer = api.get(f"/api/v1/tasks/{task_id}")
    assert answer.status_code == httpx.codes.OK, answer.text
    return cast(dict[str, Any], answer.json())


def halt_chores(store: SyncStore) -> None:
    """Takes the turn of the API's chores for a minute, so that a test does them itself, or nobody does."""
    turn = chores.take_upkeep("test", timedelta(minutes=1))
    wait_for("the turn of whoever did the chores last is over", lambda: store.run(turn))


def in_line(redis_server: Redis, queue: str = "gpu_medium", priority: int = 2) -> int:
    """How many messages wait for the workers of a queue, in one priority."""
    return redis_server.client.llen(broker_list(queue, priority))


def exact(redis_server: Redis, task_id: str, name: str) -> datetime:
    """A time of a task's record, to the millisecond."""
    ms = int(cast(bytes, redis_server.client.hget(key("task", task_id), name)))
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)


def moment_of(redis_server: Redis, task_id: str, name: str) -> str:
    """A time of a task's record, as the API writes it."""
    return exact(redis_server, task_id, name).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_times(redis_server: Redis, task_id: str, **times: str) -> None:
    """Writes times into a task's record: those of a test's example, so that whole answers can be compared."""
    for name, time in times.items():
        redis_server.client.hset(key("task", task_id), name, str(_ms(datetime.fromisoformat(time))))


def make_older(redis_server: Redis, task_id: str, age: timedelta) -> None:
    """Moves a task into the past: its creation, its places in every list, and when its record may go."""
    client, earlier = redis_server.client, -_ms(age)
    client.hincrby(key("task", task_id), "created", earlier)
    indexes = list(client.scan_iter(f"{PREFIX}index:*"))
    for name in (*indexes, key("expiry").encode()):
        score = client.zscore(name, task_id)
        if score is not None:
            client.zadd(name, {task_id: score + earlier})


def seconds_running(redis_server: Redis, task_id: str, seconds: float) -> None:
    """Makes a running task one that began so long ago, by the clock of Redis."""
    now, micros = redis_server.client.time()
    began = now * 1000 + micros // 1000 - round(seconds * 1000)
    redis_server.client.hset(key("task", task_id), "started", str(began))


def _ms(time: datetime | timedelta) -> int:
    return round((time.total_seconds() if isinstance(time, timedelta) else time.timestamp()) * 1000)
