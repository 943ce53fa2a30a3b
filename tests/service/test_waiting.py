"""Why a queued task waits, and when it will be done, as the API tells it."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from genfleet.contract.durations import ENOUGH, HALVED_AT
from genfleet.contract.keys import key
from genfleet.store import capacity, pauses, steps, waiting
from genfleet.store.client import SyncStore
from tests.service.acts import look, post, seconds_running, started, submission, submitted
from tests.support.servers import Redis

QUEUE = "gpu_medium"
FLEET = {"wanted": 1, "ready": 1, "maximum": 3, "reason": "Steady", "explanation": "Told."}


def beat(store: SyncStore, *, phase: str = "ready", concurrency: int = 1) -> None:
    """A worker tells that it is there."""
    about = {"phase": phase, "running": 0, "concurrency": concurrency}
    store.run(steps.renew("worker@test", QUEUE, orjson.dumps(about), []))


def report(store: SyncStore, **changes: object) -> None:
    """The fleet controller tells what it decided."""
    store.run(capacity.report(QUEUE, orjson.dumps(FLEET | changes)))


def ran(api: httpx.Client, store: SyncStore, redis_server: Redis, *seconds: float) -> None:
    """Tasks that were completed after so long."""
    for length in seconds:
        task_id = started(api, store)
        seconds_running(redis_server, task_id, length)
        assert store.run(steps.complete(task_id, 1, b"{}"))


def codes(task: dict[str, Any]) -> list[str]:
    """What it waits for."""
    return [reason["code"] for reason in task["pending_reasons"]]


def test_a_queue_that_nobody_serves(api: httpx.Client) -> None:
    """TS-177: "stuck in queued" has a reason that names the remedy, and no made-up time."""
    task = look(api, submitted(api))
    assert codes(task) == ["no_fleet"]
    assert (
        task["pending_reasons"][0]["message"] == "No worker serves queue gpu_medium, and no fleet controller reports."
    )
    assert (task["queue_position"], task["eta"], task["eta_unknown"]) == (1, None, "no_worker_ready")


def test_workers_that_start_are_told_of(api: httpx.Client, store: SyncStore) -> None:
    """TS-177: who is wanted, who is ready, and what keeps the others."""
    task_id = submitted(api)
    report(store, ready=0)
    assert codes(look(api, task_id)) == ["workers_starting"]
    report(store, ready=0, trouble="Unschedulable", explanation="0/3 nodes have a free GPU.")
    (reason,) = look(api, task_id)["pending_reasons"]
    assert reason["message"].endswith("no node has room. 0/3 nodes have a free GPU.")
    assert reason["details"] == {"wanted": 1, "ready": 0, "maximum": 3}


def test_the_line_and_the_workers_at_work(api: httpx.Client, store: SyncStore) -> None:
    """NS-016: the place in line and the places of workers, seen at one moment."""
    beat(store)
    report(store)
    started(api, store)
    first, second = submitted(api), submitted(api)
    assert codes(look(api, first)) == ["workers_busy"]
    task = look(api, second)
    assert (codes(task), task["queue_position"]) == (["in_line", "workers_busy"], 2)
    assert task["eta_unknown"] == "not_measured"


def test_a_draining_worker_has_no_place_for_anybody(api: httpx.Client, store: SyncStore) -> None:
    """What it still runs is not counted as room."""
    beat(store, phase="draining")
    assert look(api, submitted(api))["eta_unknown"] == "no_worker_ready"


def test_a_pause_and_a_delay_are_told(api: httpx.Client, store: SyncStore) -> None:
    """A task that is to run later says until when; one in a paused queue says who has to act."""
    later = look(api, submitted(api, delay_seconds=600))
    assert codes(later) == ["scheduled"]
    assert later["pending_reasons"][0]["until"] == later["next_attempt_at"]
    assert later["queue_position"] == 0
    store.run(pauses.pause(QUEUE, "new model"))
    task = look(api, submitted(api))
    assert (codes(task), task["eta_unknown"]) == (["paused"], "paused")
    assert "(new model)" in task["pending_reasons"][0]["message"]


def test_an_estimate_comes_from_what_was_measured(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-173: after five runs, half of the tasks and nine of ten are told a time; it grows with the line."""
    ran(api, store, redis_server, 10, 10, 20, 20, 40)
    beat(store)
    report(store)
    eta = look(api, submitted(api))["eta"]
    assert eta["start_seconds"] == {"p50": 0.0, "p90": 0.0}
    assert eta["completion_seconds"]["p50"] == pytest.approx(20, rel=0.3)
    assert eta["completion_seconds"]["p90"] == pytest.approx(40, rel=0.2)
    longer = look(api, submitted(api))["eta"]
    assert longer["start_seconds"]["p50"] > 5


def test_what_does_not_wait_has_no_reasons(api: httpx.Client, store: SyncStore) -> None:
    """The fields are there in every state, and say nothing once a task has started."""
    task = look(api, started(api, store))
    assert (task["queue_position"], task["pending_reasons"], task["eta"], task["eta_unknown"]) == (None, [], None, None)


def test_the_estimate_of_a_submission_becomes_the_measured_one(
    api: httpx.Client, store: SyncStore, redis_server: Redis
) -> None:
    """TS-173: the documents' number until five tasks of the type have ended, then their mean."""
    estimates = []
    for length in (30, 10, 20, 20, 20):
        estimates.append(post(api, submission()).json()["estimated_duration"])
        ran(api, store, redis_server, length)
    assert len(estimates) == ENOUGH
    assert set(estimates) == {45}
    assert post(api, submission()).json()["estimated_duration"] == 20
    assert post(api, submission(task_type="generate_video")).json()["estimated_duration"] == 300


def test_old_runs_weigh_less_and_less(store: SyncStore, redis_server: Redis, api: httpx.Client) -> None:
    """The histogram is halved when it is full: it stays small, and follows a model that has become faster."""
    redis_server.client.hset(
        key("durations", "generate_image"), mapping={"b30": HALVED_AT - 1, "n": HALVED_AT - 1, "ms": 1}
    )
    ran(api, store, redis_server, 1)
    kept = redis_server.client.hgetall(key("durations", "generate_image"))
    assert int(kept[b"b30"]) == int(kept[b"n"]) == (HALVED_AT - 1) // 2
    beat(store)
    line = store.run(waiting.wait(submitted(api)))
    assert line is not None
    assert line.of_type.count == (HALVED_AT - 1) // 2
