"""The lasting numbers of the metrics endpoint, each produced by what it counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store import chores, steps
from genfleet.store.client import SyncStore
from tests.service.acts import claim, make_older, seconds_running, settled, started, submitted
from tests.support.servers import Redis, Site

NOTHING: dict[str, Any] = {
    "total_tasks": 0,
    "completed_tasks": 0,
    "failed_tasks": 0,
    "retried_tasks": 0,
    "cancelled_tasks": 0,
    "success_rate": 0.0,
    "failure_rate": 0.0,
    "average_durations": {},
    "currently_running": 0,
}


def metrics(api: httpx.Client) -> dict[str, Any]:
    """The numbers."""
    answer = api.get("/api/v1/tasks/metrics")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"metrics", "losses", "timestamp"}
    numbers: dict[str, Any] = body["metrics"]
    return numbers


def test_before_the_first_task(api: httpx.Client) -> None:
    """TS-063, TS-065, PI-006: exactly the nine documented numbers; nothing of nothing is a rate of 0.0."""
    assert metrics(api) == NOTHING


def test_the_documents_numbers(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-062, TS-063, TS-065: 1398 and 89 of 1523 are 91.8 and 5.8 percent, in exactly the documented body."""
    for _ in range(4):
        started(api, store)
    documented = {"total_tasks": 1523, "completed_tasks": 1398, "failed_tasks": 89, "retried_tasks": 36}
    for name, value in documented.items():
        redis_server.client.hset(key("counters"), name, str(value))
    rates = {"success_rate": 91.8, "failure_rate": 5.8}
    assert metrics(api) == NOTHING | documented | rates | {"currently_running": 4}


def test_every_number_counts_what_its_name_says(api: httpx.Client, store: SyncStore) -> None:
    """TS-064, TS-065: one task in each state; those that wait or run lower both rates."""
    for state in State:
        settled(api, store, state)
    durations = metrics(api)["average_durations"]
    assert metrics(api) == NOTHING | {
        "total_tasks": 5,
        "completed_tasks": 1,
        "failed_tasks": 1,
        "cancelled_tasks": 1,
        "success_rate": 20.0,
        "failure_rate": 20.0,
        "currently_running": 1,
        "average_durations": durations,
    }


def test_one_of_one_is_a_hundred_percent(api: httpx.Client, store: SyncStore) -> None:
    """TS-065: 1 submitted and 1 completed gives 100."""
    settled(api, store, State.COMPLETED)
    numbers = metrics(api)
    assert (numbers["success_rate"], numbers["failure_rate"]) == (100.0, 0.0)


def test_mean_durations_by_type(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-066, PI-006: mean run time in seconds of the completed tasks of each type; a failed one tells nothing."""
    for task_type, seconds in (("generate_video", 100), ("generate_video", 300), ("generate_image", 30)):
        task_id = started(api, store, task_type=task_type)
        seconds_running(redis_server, task_id, seconds)
        assert store.run(steps.complete(task_id, 1, b"{}"))
    failed = started(api, store, task_type="generate_image")
    seconds_running(redis_server, failed, 9000)
    assert store.run(steps.fail(failed, 1, "no"))
    assert metrics(api)["average_durations"] == {
        "generate_video": pytest.approx(200, abs=5),
        "generate_image": pytest.approx(30, abs=5),
    }


def test_automatic_retries(api: httpx.Client, store: SyncStore) -> None:
    """TS-064, TS-113: each attempt more counts as retried; the task counts as failed once, after the last."""
    task_id = submitted(api)
    for attempt in (1, 2, 3):
        claim(store, task_id, token=attempt)
        assert store.run(steps.retry_later(task_id, attempt, timedelta(0), "no connection"))
        store.run(chores.promote(["gpu_medium"]))
        assert metrics(api)["failed_tasks"] == 0
    claim(store, task_id, token=4)
    assert store.run(steps.fail(task_id, 4, "no connection"))
    numbers = metrics(api)
    assert (numbers["total_tasks"], numbers["retried_tasks"], numbers["failed_tasks"]) == (1, 3, 1)


def test_what_runs_is_counted_from_the_records(api: httpx.Client, store: SyncStore) -> None:
    """TS-068: a task whose worker was lost runs no more, and a cancelled one neither; no counter can drift."""
    lost, cancelled = started(api, store), started(api, store)
    assert metrics(api)["currently_running"] == 2
    assert store.run(steps.lose(lost, 1, "its process was killed"))
    assert store.run(steps.cancel(cancelled))
    assert metrics(api)["currently_running"] == 0


def test_numbers_outlive_the_records(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-067, TS-068: when a record goes after its day, it stays counted."""
    make_older(redis_server, settled(api, store, State.COMPLETED), timedelta(hours=25))
    store.run(chores.expire())
    assert not list(redis_server.client.scan_iter(key("task", "*")))
    assert metrics(api)["completed_tasks"] == 1


def test_numbers_are_shared_by_all_processes(api: httpx.Client, site: Site, store: SyncStore) -> None:
    """TS-062, TS-067, TS-155: an API that was started just now tells the same as one that saw everything."""
    settled(api, store, State.COMPLETED)
    with site.api() as other:
        assert metrics(other) == metrics(api)
