"""Submitting a failed task again."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from tests.service.acts import UNKNOWN_TASK, claim, in_line, look, settled
from tests.support.servers import Redis

PARAMETERS: dict[str, Any] = {
    "project_id": "season-1/episode-2",
    "task_type": "generate_video",
    "task_data": {"scene_description": "Rain, an alley", "duration": 7.5, "unlisted": [1, None]},
    "priority": 3,
    "callback_url": "https://your-app.com/api/webhooks/task-complete",
    "metadata": {"userId": "user-123", "testResultId": "result-456"},
}


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_the_same_parameters_under_a_new_id(api: httpx.Client, store: SyncStore, state: State) -> None:
    """TS-052, TS-053, TS-054, TS-055: a failed or cancelled task is repeated with all six parameters unchanged."""
    original = settled(api, store, state, **PARAMETERS)
    answer = api.post(f"/api/v1/tasks/{original}/retry")
    body = answer.json()
    assert answer.status_code == 200
    assert body == {
        "new_task_id": str(uuid.UUID(body["new_task_id"])),
        "original_task_id": original,
        "status": "queued",
        "message": "Task retry submitted successfully",
    }
    again = look(api, body["new_task_id"])
    assert {name: again[name] for name in PARAMETERS} == PARAMETERS
    assert (again["status"], again["attempt"], again["retry_of"]) == ("queued", 1, original)


def test_the_new_task_really_runs(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-052: its message waits in the queue and the priority of the first one, and a worker may take it."""
    original = settled(api, store, State.FAILED, **PARAMETERS)
    before = in_line(redis_server, "gpu_heavy", 3)
    again = api.post(f"/api/v1/tasks/{original}/retry").json()["new_task_id"]
    assert in_line(redis_server, "gpu_heavy", 3) == before + 1
    claim(store, again)
    assert look(api, again)["status"] == "processing"


def test_the_original_stays_as_it_was(api: httpx.Client, store: SyncStore) -> None:
    """TS-052: the failed task is still there, with its error; its story says what it was submitted again as."""
    original = settled(api, store, State.FAILED)
    before = look(api, original)
    again = api.post(f"/api/v1/tasks/{original}/retry").json()["new_task_id"]
    after = look(api, original)
    *story, last = after.pop("story")
    assert after | {"story": story} == before
    assert (last["how"], last["new_task_id"], last["key_id"]) == ("retried", again, before["key_id"])


def test_a_retry_by_hand_counts_as_a_submission(api: httpx.Client, store: SyncStore) -> None:
    """PI-011: `total_tasks` counts it, and `retried_tasks`, which counts automatic attempts, does not."""
    api.post(f"/api/v1/tasks/{settled(api, store, State.FAILED)}/retry")
    metrics = api.get("/api/v1/tasks/metrics").json()["metrics"]
    assert (metrics["total_tasks"], metrics["retried_tasks"]) == (2, 0)


@pytest.mark.parametrize("state", [State.QUEUED, State.PROCESSING, State.COMPLETED])
def test_what_has_not_failed_is_not_repeated(api: httpx.Client, store: SyncStore, state: State) -> None:
    """TS-055: 400 with a sentence that names the state, and no new task."""
    original = settled(api, store, state)
    answer = api.post(f"/api/v1/tasks/{original}/retry")
    sentence = f"Only a failed or cancelled task can be retried; this one is {state.value}"
    assert answer.status_code == 400
    assert answer.json() == {"error": "validation_error", "message": sentence, "detail": sentence}
    assert api.get("/api/v1/tasks/metrics").json()["metrics"]["total_tasks"] == 1


def test_an_unknown_task(api: httpx.Client) -> None:
    """TS-055: 404 for an id that is unknown or has expired."""
    answer = api.post("/api/v1/tasks/abc123/retry")
    assert (answer.status_code, answer.json()) == (404, UNKNOWN_TASK)
