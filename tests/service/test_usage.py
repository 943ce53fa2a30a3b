"""What a project used: tasks by how they ended, run time and GPU time, by type and day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store import chores, steps
from genfleet.store.client import SyncStore
from genfleet.store.usage import EPOCH
from tests.service.acts import PROJECT, seconds_running, settled, submitted
from tests.support.servers import Redis


def used(api: httpx.Client, project: str = PROJECT, **days: str) -> dict[str, Any]:
    """What the API tells."""
    answer = api.get(f"/api/v1/projects/{project}/usage", params=days)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def attempt(
    store: SyncStore, redis_server: Redis, task_id: str, seconds: float, *, token: int = 1, gpus: float = 0
) -> None:
    """A worker with so many GPUs has been at work for so long."""
    assert store.run(steps.claim(task_id, str(token), "w", f"{task_id}.{token}", gpus)).verdict == "run"
    seconds_running(redis_server, task_id, seconds)


def test_nothing_used_is_nothing(api: httpx.Client) -> None:
    """The last 30 days, today included; a project without tasks used nothing in them."""
    body = used(api)
    today = datetime.now(UTC).date()
    assert (body["first_day"], body["last_day"]) == ((today - timedelta(days=29)).isoformat(), today.isoformat())
    assert body["total"] == dict.fromkeys(("completed", "failed", "cancelled", "attempts"), 0) | {
        "run_seconds": 0.0,
        "gpu_seconds": 0.0,
    }
    assert (body["by_type"], body["by_day"]) == ({}, [])


def test_every_attempt_counts_with_its_time(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """NS-008: one that failed and is tried again, one whose worker was lost, and the one that ends the task."""
    task_id = submitted(api, task_type="generate_video")
    attempt(store, redis_server, task_id, 10, gpus=2)
    assert store.run(steps.retry_later(task_id, 1, timedelta(0), "again"))
    store.run(chores.promote(["gpu_heavy"]))
    attempt(store, redis_server, task_id, 20, token=2, gpus=0.5)
    assert store.run(steps.lose(task_id, 2, "its worker died"))
    attempt(store, redis_server, task_id, 30, token=3)
    assert store.run(steps.complete(task_id, 3, b"{}"))
    assert not store.run(steps.complete(task_id, 2, b"{}"))
    assert store.run(steps.complete(task_id, 3, b"{}"))
    total = used(api)["total"]
    assert (total["completed"], total["attempts"]) == (1, 3)
    assert total["run_seconds"] == pytest.approx(60, abs=1)
    assert total["gpu_seconds"] == pytest.approx(30, abs=1)


def test_tasks_by_type_and_outcome(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """Each outcome once; a task that never ran used no time, and another project's tasks are not ours."""
    settled(api, store, State.COMPLETED)
    settled(api, store, State.FAILED)
    settled(api, store, State.COMPLETED, task_type="generate_video")
    settled(api, store, State.COMPLETED, project_id="other")
    store.run(steps.cancel(submitted(api)))
    running = submitted(api)
    attempt(store, redis_server, running, 5)
    store.run(steps.cancel(running))
    body = used(api)
    images, videos = body["by_type"]["generate_image"], body["by_type"]["generate_video"]
    assert (images["completed"], images["failed"], images["cancelled"], images["attempts"]) == (1, 1, 2, 3)
    assert images["run_seconds"] == pytest.approx(5, abs=1)
    assert (videos["completed"], body["total"]["completed"]) == (1, 2)
    assert used(api, "other")["total"]["completed"] == 1


def test_days_are_chosen_and_added_up(api: httpx.Client, redis_server: Redis) -> None:
    """Both ends are included; days without use are left out; what is longer ago than is kept is not asked for."""
    today = datetime.now(UTC).date()
    before, first, last = (today - timedelta(days=ago) for ago in (50, 49, 41))
    for day, runs in ((before, 1), (first, 2), (last, 4)):
        for what, number in (("completed", runs), ("run_ms", 1500 * runs)):
            redis_server.client.hincrby(key("usage", PROJECT, (day - EPOCH).days), f"generate_image:{what}", number)
    body = used(api, **{"from": first.isoformat(), "to": last.isoformat()})
    assert [(day["date"], day["total"]["run_seconds"]) for day in body["by_day"]] == [
        (first.isoformat(), 3.0),
        (last.isoformat(), 6.0),
    ]
    assert body["total"]["completed"] == body["by_type"]["generate_image"]["completed"] == 6


@pytest.mark.parametrize("to", ["0001-01-01", "9999-12-31"])
def test_only_days_that_are_kept_are_looked_at(api: httpx.Client, to: str) -> None:
    """NS-008: 400 days at the most, whatever is asked for, and the answer says which."""
    body, today = used(api, **{"from": "0001-01-01", "to": to}), datetime.now(UTC).date()
    oldest = (today - timedelta(days=400)).isoformat()
    assert (body["first_day"], body["last_day"]) == (oldest, oldest if to < oldest else today.isoformat())
    assert used(api, to=to)["last_day"] == body["last_day"]


def test_what_was_used_is_kept_for_400_days(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """Longer than the tasks themselves, and not for ever."""
    settled(api, store, State.COMPLETED)
    (name,) = redis_server.client.keys("genfleet:usage:*")
    assert 399 * 86_400 < redis_server.client.ttl(name) <= 400 * 86_400


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param({"from": "2026-02-01", "to": "2026-01-01"}, "to", id="the end before the beginning"),
        pytest.param({"from": "yesterday"}, "from", id="a day in words"),
        pytest.param({"from": "9999-12-31"}, "from", id="a day to come"),
    ],
)
def test_wrong_days_are_refused(api: httpx.Client, query: dict[str, str], field: str) -> None:
    """TS-146: 400 with the parameter by name."""
    answer = api.get(f"/api/v1/projects/{PROJECT}/usage", params=query)
    assert (answer.status_code, list(answer.json()["details"])) == (400, [field])
