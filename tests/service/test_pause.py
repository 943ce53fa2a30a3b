"""Pausing a queue by the API: nothing starts, nothing is lost, and it goes on as if nothing had been."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from genfleet.contract.keys import broker_list
from genfleet.contract.task_types import QUEUES
from genfleet.store import chores, pauses, steps
from genfleet.store.client import SyncStore
from tests.service.acts import claim, halt_chores, in_line, started, submitted
from tests.support.servers import Redis
from tests.support.tasks import record

QUEUE = "gpu_medium"
LIST = broker_list(QUEUE, 2)


def pause(api: httpx.Client, queue: str = QUEUE, **body: Any) -> httpx.Response:
    """Asks for it, with or without a reason."""
    return api.post(f"/api/v1/queues/{queue}/pause", json=body) if body else api.post(f"/api/v1/queues/{queue}/pause")


def resume(api: httpx.Client, queue: str = QUEUE) -> dict[str, Any]:
    """The answer to resuming a queue."""
    answer = api.post(f"/api/v1/queues/{queue}/resume")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def shown(api: httpx.Client, queue: str = QUEUE) -> Any:
    """What the list of queues says of a pause."""
    return next(row["paused"] for row in api.get("/api/v1/queues").json()["queues"] if row["queue"] == queue)


def verdict(store: SyncStore, task_id: str) -> str:
    """What a worker is told that asks for a task."""
    return store.run(steps.claim(task_id, "1", "worker@test", f"{task_id}.1")).verdict


def test_a_paused_queue_says_since_when_and_why(api: httpx.Client) -> None:
    """NS-008: the answer and the list of queues tell it, and it is over when somebody resumes the queue."""
    answer = pause(api, reason="the model is being replaced")
    assert answer.status_code == 200
    paused = answer.json()["paused"]
    assert paused["reason"] == "the model is being replaced"
    assert abs((datetime.now(UTC) - datetime.fromisoformat(paused["since"])).total_seconds()) < 10
    assert shown(api) == paused
    assert shown(api, "gpu_heavy") is None
    assert resume(api) == {"queue": QUEUE, "paused": None}
    assert shown(api) is None


def test_pausing_again_changes_the_reason_alone(api: httpx.Client, store: SyncStore) -> None:
    """A repeated request is the same pause; so is resuming a queue that is not paused."""
    first = store.run(pauses.pause(QUEUE, "a"))
    again = store.run(pauses.pause(QUEUE, "b"))
    assert (again.since_ms, again.reason) == (first.since_ms, "b")
    assert [resume(api)["paused"] for _ in range(2)] == [None, None]


def test_nothing_of_a_paused_queue_starts(api: httpx.Client, store: SyncStore) -> None:
    """TS-016: submissions are accepted and wait in their order; a worker that asks for one gets none."""
    before = submitted(api)
    pause(api)
    after = submitted(api)
    assert [verdict(store, task_id) for task_id in (before, after)] == ["drop", "drop"]
    assert [record(store, task_id).state for task_id in (before, after)] == ["queued", "queued"]
    other = submitted(api, task_type="generate_video")
    assert verdict(store, other) == "run"


def test_what_runs_is_finished(api: httpx.Client, store: SyncStore) -> None:
    """A pause stops no work, and nothing that ends, fails or is cancelled needs the queue to go on."""
    running, cancelled = started(api, store), submitted(api)
    pause(api)
    assert store.run(steps.progress(running, 1, 0.5, "rendering"))
    assert store.run(steps.complete(running, 1, b"{}"))
    assert api.delete(f"/api/v1/tasks/{cancelled}").status_code == 200


def test_what_was_turned_away_starts_after_the_pause(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """Workers dropped the messages of the pause: each task gets another one at once, in the old order, and only one."""
    halt_chores(store)
    made = [submitted(api) for _ in range(3)]
    pause(api)
    redis_server.client.delete(LIST)  # a worker took the messages, and dropped them
    assert store.run(chores.recover(QUEUES, grace=pauses.AT_ONCE)) == 0
    assert in_line(redis_server) == 0
    resume(api)
    assert in_line(redis_server) == 3
    messages = redis_server.client.lrange(LIST, 0, -1)
    assert [task_id.encode() in message for task_id, message in zip(made, reversed(messages), strict=True)] == [
        True
    ] * 3
    for task_id in made:
        claim(store, task_id)


def test_a_pause_outlives_a_restart_of_redis(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """Whatever is restarted, only a resume ends a pause."""
    pause(api, reason="for the night")
    redis_server.stop()
    redis_server.start()
    assert shown(api)["reason"] == "for the night"
    assert verdict(store, submitted(api)) == "drop"


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_an_unknown_queue_is_told_the_known_ones(api: httpx.Client, action: str) -> None:
    """TS-145: 404 in the documented shape, for a queue with a slip of the pen."""
    answer = api.post(f"/api/v1/queues/gpu_large/{action}")
    assert answer.status_code == 404
    known = "gpu_heavy, gpu_medium, cpu_intensive, default"
    assert answer.json() == {
        "error": "queue_not_found",
        "message": f"There is no queue 'gpu_large': use one of {known}",
    }


@pytest.mark.parametrize(
    ("body", "details"),
    [
        pytest.param('{"reason": 5}', {"reason": "Input should be a valid string"}, id="a number"),
        pytest.param('{"why": "x"}', {"why": "Why is not known here: use reason"}, id="another name"),
        pytest.param("[]", {"body": "Must be a JSON object"}, id="a list"),
        pytest.param(
            f'{{"reason": "{"x" * 501}"}}', {"reason": "Reason must have at most 500 characters"}, id="too long"
        ),
    ],
)
def test_a_wrong_body_is_refused(api: httpx.Client, body: str, details: dict[str, str]) -> None:
    """TS-146: 400 with each wrong field by name, and the queue is not paused."""
    answer = api.post(f"/api/v1/queues/{QUEUE}/pause", content=body)
    assert (answer.status_code, answer.json()["details"]) == (400, details)
    assert shown(api) is None
