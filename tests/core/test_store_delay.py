"""Delayed tasks, and tasks that have to start by a deadline, in the store on a real Redis."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from genfleet.contract.keys import broker_list, key
from genfleet.contract.limits import NO_LIMITS, Reason, Refused
from genfleet.contract.states import State
from genfleet.contract.task_types import QUEUES
from genfleet.store import capacity, chores, steps
from genfleet.store.client import SyncStore
from genfleet.store.records import Moment, Submitted
from tests.support.servers import Redis
from tests.support.tasks import new_task, queue_seen, record
from tests.support.waiting import wait_for

LIST = broker_list("gpu_medium", 2)
AN_HOUR, SOON = timedelta(hours=1), timedelta(milliseconds=30)


def submit(
    store: SyncStore, task_id: str = "a", *, run_at: Moment | None = None, deadline: Moment | None = None
) -> Submitted | Refused:
    """Submits a task that is delayed, has a deadline, or both."""
    task = replace(new_task(task_id), run_at=run_at, deadline=deadline)
    return store.run(steps.submit_within(NO_LIMITS, task))


def verdict(store: SyncStore, task_id: str = "a") -> str:
    """What a worker is told that asks for a task, whatever message it has."""
    return store.run(steps.claim(task_id, "", "w", f"{task_id}.1")).verdict


def now(redis_server: Redis) -> datetime:
    """By the clock of Redis."""
    seconds, micros = redis_server.client.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)


def passed(store: SyncStore, task_id: str = "a") -> None:
    """Waits until a deadline is over."""
    deadline = record(store, task_id).deadline_ms or 0
    wait_for("the deadline is over", lambda: store.run(capacity.observe(QUEUES)).now_ms > deadline)


def test_a_delayed_task_waits_aside(store: SyncStore, redis_server: Redis) -> None:
    """TS-160: it is queued, with nothing for a worker to take, and no worker is wanted for it long before its time."""
    answer = submit(store, run_at=AN_HOUR)

    assert isinstance(answer, Submitted)
    assert (answer.position, answer.state) == (0, State.QUEUED)
    task, seen = record(store, "a"), queue_seen(store)
    assert (task.due_ms or 0) - task.created_ms == 3_600_000
    assert (seen.waiting, seen.scheduled, seen.due, redis_server.client.llen(LIST)) == (0, 1, 0, 0)
    assert store.run(chores.promote(QUEUES)) == 0
    assert verdict(store) == "drop"


def test_its_worker_is_wanted_shortly_before_its_time(store: SyncStore) -> None:
    """A delayed task counts as a retry does: a worker is up when it is due."""
    submit(store, run_at=capacity.DUE_SOON)

    assert queue_seen(store).due == 1


def test_a_delayed_task_gets_in_line_when_it_is_due(store: SyncStore, redis_server: Redis) -> None:
    """It is handed out once, in the order in which tasks became due, behind what waits already."""
    submit(store, "later", run_at=SOON * 2)
    submit(store, "sooner", run_at=now(redis_server) + SOON)
    submit(store, "first")
    wait_for("both are in line", lambda: store.run(chores.promote(QUEUES)) + 1 and queue_seen(store).waiting == 3)

    assert record(store, "later").due_ms is None
    messages = map(orjson.loads, redis_server.client.lrange(LIST, 0, -1))
    assert [message["headers"]["id"] for message in messages] == ["later", "sooner", "first"]
    assert [verdict(store, task_id) for task_id in ("first", "sooner", "later")] == ["run"] * 3


def test_a_time_that_has_passed_means_now(store: SyncStore, redis_server: Redis) -> None:
    """A client whose request took its time is not refused for it."""
    answer = submit(store, run_at=now(redis_server) - AN_HOUR)

    assert isinstance(answer, Submitted)
    assert answer.position == 1


def test_a_delayed_task_can_be_cancelled(store: SyncStore) -> None:
    """TS-039: it ends at once, and nothing of it comes up when its time comes."""
    submit(store, run_at=SOON, deadline=AN_HOUR)
    assert store.run(steps.cancel("a"))

    wait_for("its time has come", lambda: queue_seen(store).due == 0)
    assert store.run(chores.promote(QUEUES)) == 0
    assert (queue_seen(store).scheduled, record(store, "a").state) == (0, State.CANCELLED)


def test_its_record_is_kept_from_when_it_was_due(store: SyncStore, redis_server: Redis) -> None:
    """TS-036: else the result of what was submitted a day ahead could be read for an hour; cancelled before, from then on."""
    submit(store, run_at=SOON)
    submit(store, "cancelled", run_at=AN_HOUR)
    due = record(store, "a").due_ms or 0
    wait_for("it is in line", lambda: store.run(chores.promote(QUEUES)))
    redis_server.client.hincrby(key("task", "a"), "created", -100 * 3_600_000)
    for task_id in ("a", "cancelled"):
        assert store.run(steps.cancel(task_id))

    day = 24 * 3_600_000
    assert redis_server.client.zscore(key("expiry"), "a") == due + day
    assert redis_server.client.zscore(key("expiry"), "cancelled") == (record(store, "cancelled").finished_ms or 0) + day


def test_a_task_that_has_not_started_by_its_deadline_has_failed(store: SyncStore, redis_server: Redis) -> None:
    """TS-160: one of the five states, with a sentence that says why; counted once, and its message is gone."""
    submit(store, deadline=SOON)
    assert store.run(chores.end_overdue()) == 0
    passed(store)

    assert [store.run(chores.end_overdue()) for _ in range(2)] == [1, 0]
    task = record(store, "a")
    assert (task.state, task.error) == (State.FAILED, "Its deadline passed before it could start")
    assert task.started_ms is None
    counters = redis_server.client.hgetall(key("counters"))
    assert (counters[b"failed_tasks"], counters[b"overdue_tasks"]) == (b"1", b"1")
    assert (queue_seen(store).waiting, redis_server.client.llen(LIST)) == (0, 0)


def test_a_delayed_task_may_miss_its_deadline_as_well(store: SyncStore) -> None:
    """It is due before its deadline, but nobody had time for it."""
    submit(store, run_at=SOON, deadline=SOON * 2)
    passed(store)

    assert store.run(chores.end_overdue()) == 1
    assert (queue_seen(store).scheduled, queue_seen(store).waiting) == (0, 0)


def test_no_worker_gets_a_task_after_its_deadline(store: SyncStore, redis_server: Redis) -> None:
    """Also when the chores are late: the claim itself ends it, and counts it once."""
    submit(store, deadline=SOON)
    passed(store)

    assert verdict(store) == "drop"
    assert record(store, "a").state is State.FAILED
    assert store.run(chores.end_overdue()) == 0
    assert redis_server.client.hget(key("counters"), "failed_tasks") == b"1"


def test_a_task_that_started_in_time_is_not_bound_any_more(store: SyncStore) -> None:
    """The deadline is for the start: a run may be longer, and an attempt after it may begin later."""
    submit(store, deadline=SOON)
    assert verdict(store) == "run"
    passed(store)

    assert store.run(chores.end_overdue()) == 0
    assert store.run(steps.hand_back("a", 1, "stopping"))
    assert verdict(store) == "run"
    assert record(store, "a").state is State.PROCESSING


@pytest.mark.parametrize(
    ("run_at", "deadline", "reason"),
    [
        pytest.param(timedelta(days=31), None, Reason.RUN_AT, id="too far ahead"),
        pytest.param(None, timedelta(days=31), Reason.DEADLINE, id="a deadline too far ahead"),
        pytest.param(None, timedelta(0), Reason.DEADLINE, id="a deadline that is now"),
        pytest.param(None, datetime(2025, 1, 1, tzinfo=UTC), Reason.DEADLINE, id="a deadline that has passed"),
        pytest.param(AN_HOUR, AN_HOUR, Reason.DEADLINE, id="a deadline before the start"),
    ],
)
def test_times_that_cannot_be_kept_are_refused(
    store: SyncStore, redis_server: Redis, run_at: Moment | None, deadline: Moment | None, reason: Reason
) -> None:
    """TS-146: by the clock of Redis, and nothing is left of the task."""
    answer = submit(store, run_at=run_at, deadline=deadline)

    assert isinstance(answer, Refused)
    assert answer.reason is reason
    assert redis_server.client.keys("genfleet:*") == [key("upkeep").encode()]
