"""The state of a task as clients see it: one fixed set of keys, with the right values in each of the five states."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from genfleet.contract.states import State
from genfleet.store import chores, steps
from genfleet.store.client import SyncStore
from genfleet_service.keyring import key_id_of_settings
from tests.service.acts import (
    PROJECT,
    UNKNOWN_TASK,
    VIDEO_RESULT,
    claim,
    halt_chores,
    look,
    make_older,
    moment_of,
    set_times,
    settled,
    started,
    submitted,
)
from tests.support.servers import KEY, Redis
from tests.support.waiting import wait_for

DOCUMENTED_KEYS = {
    "task_id",
    "project_id",
    "status",
    "progress",
    "current_step",
    "result",
    "error",
    "started_at",
    "completed_at",
    "processing_time",
}
CREATED, STARTED, FINISHED = "2025-01-15T10:30:00Z", "2025-01-15T10:30:15Z", "2025-01-15T10:35:30Z"
"""The documents' own example: 315 seconds of work."""


def status(api: httpx.Client, task_id: str) -> dict[str, Any]:
    """The answer to a look at a task's status."""
    answer = api.get(f"/api/v1/tasks/{task_id}/status")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    body: dict[str, Any] = answer.json()
    return body


def whole(task_id: str, state: str, **known: Any) -> dict[str, Any]:
    """The whole body: the ten documented keys and ours, null where a test names nothing."""
    unknown = dict.fromkeys(DOCUMENTED_KEYS | {"next_attempt_at", "last_error"})
    about = {"task_id": task_id, "project_id": PROJECT, "status": state, "task_type": "generate_video"}
    return unknown | about | {"created_at": CREATED, "attempt": 1, "max_attempts": 4} | known


def test_a_queued_task(api: httpx.Client, redis_server: Redis) -> None:
    """TS-022, TS-025: while it waits, all ten keys are there and what is not known yet is null."""
    task_id = submitted(api, task_type="generate_video")
    set_times(redis_server, task_id, created=CREATED)
    assert status(api, task_id) == whole(task_id, "queued")


def test_a_running_task(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-021, TS-023: while it runs, progress is a fraction of 1 and the step is a word; there is no end yet."""
    task_id = started(api, store, task_type="generate_video")
    store.run(steps.progress(task_id, 1, 0.75, "rendering_video"))
    set_times(redis_server, task_id, created=CREATED, started=STARTED)
    assert status(api, task_id) == whole(
        task_id, "processing", progress=0.75, current_step="rendering_video", started_at=STARTED
    )


def test_a_completed_task(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-021, TS-024: when it is done, there is the result, and the time it took without the time it waited."""
    task_id = settled(api, store, State.COMPLETED, task_type="generate_video")
    set_times(redis_server, task_id, created=CREATED, started=STARTED, finished=FINISHED)
    assert status(api, task_id) == whole(
        task_id,
        "completed",
        progress=1.0,
        current_step="completed",
        result=VIDEO_RESULT,
        started_at=STARTED,
        completed_at=FINISHED,
        processing_time=315,
    )


def test_a_failed_task(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-026: when it failed, `error` is a string, for clients that throw it."""
    task_id = settled(api, store, State.FAILED, task_type="generate_video")
    set_times(redis_server, task_id, created=CREATED, started=STARTED, finished=FINISHED)
    assert status(api, task_id) == whole(
        task_id,
        "failed",
        progress=0.0,
        current_step="starting",
        error="no face in the picture",
        started_at=STARTED,
        completed_at=FINISHED,
        processing_time=315,
    )


def test_a_task_that_was_cancelled_while_it_waited(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-022, TS-024: it has an end and no beginning, so it took no time at all."""
    task_id = submitted(api, task_type="generate_video")
    assert store.run(steps.cancel(task_id))
    set_times(redis_server, task_id, created=CREATED, finished=FINISHED)
    assert status(api, task_id) == whole(task_id, "cancelled", completed_at=FINISHED)


@pytest.mark.parametrize("state", list(State))
def test_the_ten_keys_are_always_there(api: httpx.Client, store: SyncStore, state: State) -> None:
    """TS-022, TS-025: no state lacks a documented key, and no state has a name that is not documented."""
    body = status(api, settled(api, store, state))
    assert body.keys() >= DOCUMENTED_KEYS
    assert body["status"] == state.value


def test_the_wait_for_another_attempt_is_told(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-114: after a passing failure it is queued again, with the number of the next attempt, its time and the reason."""
    task_id = started(api, store, task_type="generate_video")
    store.run(steps.retry_later(task_id, 1, timedelta(minutes=1), "the model is still loading"))
    due = moment_of(redis_server, task_id, "due")
    set_times(redis_server, task_id, created=CREATED)
    assert status(api, task_id) == whole(
        task_id, "queued", attempt=2, next_attempt_at=due, last_error="the model is still loading"
    )


def test_the_next_attempt_counts_its_own_time(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-114, TS-024: when the next attempt runs, nothing of the first is left but its number and its reason."""
    halt_chores(store)
    task_id = started(api, store, task_type="generate_video")
    store.run(steps.retry_later(task_id, 1, timedelta(0), "the model is still loading"))
    assert store.run(chores.promote(["gpu_heavy"])) == 1
    claim(store, task_id, token=2)
    set_times(redis_server, task_id, created=CREATED, started=STARTED)
    assert status(api, task_id) == whole(
        task_id,
        "processing",
        attempt=2,
        progress=0.0,
        current_step="starting",
        started_at=STARTED,
        last_error="the model is still loading",
    )


def test_the_full_record(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """NS-001: the path of the task itself tells everything that is kept, the traceback of a failure as well."""
    data = {"scene_description": "A detective walks into a bar", "duration": 7}
    kept = {"task_data": data, "metadata": {"userId": "u1"}, "priority": 1, "callback_url": "https://a.example/hook"}
    task_id = settled(api, store, State.FAILED, task_type="generate_video", **kept)
    set_times(redis_server, task_id, created=CREATED, started=STARTED, finished=FINISHED, updated=FINISHED)
    more = {"updated_at": FINISHED, "traceback": "Traceback (most recent call last): …", "retry_of": None}
    wait: dict[str, object] = {"queue_position": None, "pending_reasons": [], "eta": None, "eta_unknown": None}
    whose = {"key_id": key_id_of_settings(KEY)}
    seen = look(api, task_id)
    story = seen.pop("story")
    assert seen == status(api, task_id) | kept | more | {"deadline": None, "quarantined_at": None} | wait | whose
    assert [(each["how"], each["reason"]) for each in story] == [("failed", seen["error"])]


def test_an_unknown_task(api: httpx.Client) -> None:
    """TS-027, TS-037: an id that was never given out, or long ago, gives 404 with the id in the text."""
    answer = api.get("/api/v1/tasks/abc123/status")
    assert (answer.status_code, answer.json()) == (404, UNKNOWN_TASK)


def test_a_record_goes_after_its_day(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-027, TS-036: a finished task that is older than 24 hours gives 404, and leaves nothing in Redis."""
    task_id = settled(api, store, State.COMPLETED)
    make_older(redis_server, task_id, timedelta(hours=25))
    url = f"/api/v1/tasks/{task_id}/status"
    wait_for("the record has gone", lambda: api.get(url).status_code == 404)
    assert [name for name in redis_server.client.scan_iter("genfleet:*") if task_id.encode() in name] == []


@pytest.mark.parametrize("state", [State.QUEUED, State.PROCESSING])
def test_an_unfinished_task_never_loses_its_record(
    api: httpx.Client, store: SyncStore, redis_server: Redis, state: State
) -> None:
    """TS-036: a task that waits or runs for longer than 24 hours is still there."""
    task_id = settled(api, store, state)
    make_older(redis_server, task_id, timedelta(hours=25))
    assert store.run(chores.expire()) == 0
    assert status(api, task_id)["status"] == state.value


def test_a_late_result_can_still_be_read(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-036: a task that ends after its day keeps its record for long enough to fetch the result."""
    task_id = started(api, store)
    make_older(redis_server, task_id, timedelta(hours=25))
    assert store.run(steps.complete(task_id, 1, b'{"media_url":"https://media.ft.tc/late.png"}'))
    assert store.run(chores.expire()) == 0
    assert status(api, task_id)["result"] == {"media_url": "https://media.ft.tc/late.png"}
