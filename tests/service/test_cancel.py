"""Cancelling a task: on both paths, in every state, and for good."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from genfleet.contract.states import State
from genfleet.contract.task_types import QUEUES
from genfleet.store import chores, steps
from genfleet.store.client import SyncStore
from tests.service.acts import halt_chores, in_line, look, moment_of, settled, started, submitted
from tests.support.servers import Redis

DONE = {
    State.QUEUED: "Task was queued and has been revoked",
    State.PROCESSING: "Task was running and has been terminated",
    State.CANCELLED: "Task was already cancelled",
}
REFUSED = {
    State.COMPLETED: "Task has already completed successfully and cannot be cancelled",
    State.FAILED: "Task has already failed and cannot be cancelled",
}
OLD_MESSAGE = "Task cancelled successfully"

both_paths = pytest.mark.parametrize(
    "path", [pytest.param("/api/v1/tasks/{}", id="TS-039"), pytest.param("/api/v1/tasks/{}/cancel", id="TS-040")]
)


def cancelled_tasks(api: httpx.Client) -> int:
    """What the metrics count."""
    return int(api.get("/api/v1/tasks/metrics").json()["metrics"]["cancelled_tasks"])


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(State.QUEUED, id="TS-041 while it waits"),
        pytest.param(State.PROCESSING, id="TS-042 while it runs"),
        pytest.param(State.CANCELLED, id="TS-045 once more"),
    ],
)
@both_paths
def test_the_answer(api: httpx.Client, store: SyncStore, redis_server: Redis, path: str, state: State) -> None:
    """TS-041, TS-042, TS-045, PR-003: the same five fields on both paths; the old one keeps its own message."""
    task_id = settled(api, store, state)
    answer = api.delete(path.format(task_id))
    assert answer.status_code == 200
    assert answer.json() == {
        "task_id": task_id,
        "status": "cancelled",
        "message": OLD_MESSAGE if path.endswith("/cancel") else DONE[state],
        "previous_state": state.value,
        "cancelled_at": moment_of(redis_server, task_id, "finished"),
    }


@pytest.mark.parametrize("state", [pytest.param(State.COMPLETED, id="TS-043"), pytest.param(State.FAILED, id="TS-044")])
@both_paths
def test_what_has_ended_is_not_cancelled(api: httpx.Client, store: SyncStore, path: str, state: State) -> None:
    """TS-043, TS-044, TS-148, PI-009, PR-004: 400 with `detail` as documented and the common shape; nothing changes."""
    task_id = settled(api, store, state)
    before = look(api, task_id)
    answer = api.delete(path.format(task_id))
    sentence = REFUSED[state]
    assert answer.status_code == 400
    assert answer.json() == {"error": "validation_error", "message": sentence, "detail": sentence}
    assert look(api, task_id) == before
    assert cancelled_tasks(api) == 0


@both_paths
def test_an_unknown_task(api: httpx.Client, path: str) -> None:
    """TS-050: 404 on both paths."""
    answer = api.delete(path.format("abc123"))
    assert answer.status_code == 404
    assert answer.json() == {"error": "task_not_found", "message": "Task with ID 'abc123' not found"}


def test_a_queued_task_leaves_the_queue(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-041, TS-048: its message is gone, nobody is counted as waiting, and a worker that has the message drops it."""
    task_id = submitted(api)
    assert in_line(redis_server) == 1
    assert api.delete(f"/api/v1/tasks/{task_id}").status_code == 200
    assert in_line(redis_server) == 0
    assert api.get("/api/v1/health").json()["queue_sizes"]["gpu_medium"] == 0
    assert store.run(steps.claim(task_id, "1", "worker@test", f"{task_id}.1")).verdict == "drop"


def test_only_this_task_leaves_the_queue(api: httpx.Client, redis_server: Redis) -> None:
    """TS-041: those before and after it stay in line."""
    before, middle, after = submitted(api), submitted(api), submitted(api)
    api.delete(f"/api/v1/tasks/{middle}")
    assert in_line(redis_server) == 2
    assert [look(api, task_id)["status"] for task_id in (before, middle, after)] == ["queued", "cancelled", "queued"]


def test_the_worker_of_a_running_task_hears_of_it(api: httpx.Client, store: SyncStore) -> None:
    """TS-042, TS-046: its worker is told to stop at its next beat, and a result that comes too late is refused."""
    task_id = started(api, store)
    api.delete(f"/api/v1/tasks/{task_id}")
    assert store.run(steps.renew("worker@test", "gpu_medium", b"{}", [(task_id, 1)])).verdicts == ("stop",)
    assert not store.run(steps.complete(task_id, 1, b"{}"))
    assert look(api, task_id)["status"] == "cancelled"


def test_a_task_that_waits_for_another_attempt_never_wakes_up(
    api: httpx.Client, store: SyncStore, redis_server: Redis
) -> None:
    """TS-049: between two attempts it counts as queued, and when the time of the next one comes, nothing happens."""
    halt_chores(store)
    task_id = started(api, store)
    assert store.run(steps.retry_later(task_id, 1, timedelta(0), "no connection"))
    messages = in_line(redis_server)
    assert api.delete(f"/api/v1/tasks/{task_id}").json()["previous_state"] == "queued"
    assert [row["scheduled"] for row in api.get("/api/v1/queues").json()["queues"]] == [0, 0, 0, 0]
    assert store.run(chores.promote(QUEUES)) == 0
    assert in_line(redis_server) == messages
    assert look(api, task_id)["status"] == "cancelled"
    assert look(api, task_id)["next_attempt_at"] is None


def test_a_second_cancellation_changes_nothing(api: httpx.Client, redis_server: Redis) -> None:
    """TS-045: the stored `cancelled_at` is told again, and the metrics count one cancellation."""
    task_id = submitted(api)
    api.delete(f"/api/v1/tasks/{task_id}")
    before = redis_server.client.hgetall(f"genfleet:task:{task_id}")
    api.delete(f"/api/v1/tasks/{task_id}")
    assert redis_server.client.hgetall(f"genfleet:task:{task_id}") == before
    assert cancelled_tasks(api) == 1
