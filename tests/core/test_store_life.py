"""The life of a task in the store, on a real Redis: each step, and each way that it is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from genfleet.contract.keys import broker_list, key
from genfleet.contract.states import MOVES, State, is_final
from genfleet.contract.task_types import QUEUES
from genfleet.store import chores, scripts, steps
from genfleet.store.calls import Call
from genfleet.store.client import SyncStore
from tests.support.servers import Redis
from tests.support.tasks import new_task, queue_seen, record, running, submitted

LIST = broker_list("gpu_medium", 2)
A_MINUTE = timedelta(minutes=1)


def test_a_submission_is_record_index_count_and_message(store: SyncStore, redis_server: Redis) -> None:
    """TS-016, TS-155: after one call there is a record, a place in the project's list, a count and a message in the queue."""
    answer = store.run(steps.submit(new_task("a", prompt="x")))

    assert answer.position == 1
    assert record(store, "a").state is State.QUEUED
    assert store.run(steps.project_tasks("p")).total == 1
    assert redis_server.client.hget(key("counters"), "total_tasks") == b"1"
    assert redis_server.client.llen(LIST) == 1


def test_a_submission_sent_twice_is_one_task(store: SyncStore, redis_server: Redis) -> None:
    """A client that lost the reply may send the same submission again: one task, one message, one count."""
    task = new_task("a")

    first, second = store.run(steps.submit(task)), store.run(steps.submit(task))

    assert first == second
    assert redis_server.client.llen(LIST) == 1
    assert redis_server.client.hget(key("counters"), "total_tasks") == b"1"


def test_priorities_are_really_ordered(store: SyncStore) -> None:
    """TS-013, NS-016: a task of priority 1 stands before one of 2 that came earlier, and that before one of 3."""
    places = [store.run(steps.submit(new_task(priority=priority))).position for priority in (3, 2, 1, 2)]

    assert places == [1, 1, 1, 3]


def test_a_claimed_task_runs_under_a_lease(store: SyncStore) -> None:
    """Who claims a waiting task gets a lease with its data; the task is processing, and no longer waits."""
    lease = running(store, "a", prompt="x")

    assert (lease.token, lease.data) == (1, b'{"prompt":"x"}')
    assert record(store, "a").state is State.PROCESSING
    assert (queue_seen(store).waiting, queue_seen(store).running) == (0, 1)


def test_what_a_worker_holds_is_known_at_once(store: SyncStore) -> None:
    """Leases tell it, whatever the worker said two seconds ago: so an idle one is found, and a busy one is left alone."""

    def held() -> int:
        return queue_seen(store).workers[0].held

    store.run(steps.renew("w", "gpu_medium", b'{"running":0}', []))
    assert held() == 0
    leases = [running(store, worker="w") for _ in range(2)]
    running(store, worker="another")
    assert held() == 2
    store.run(steps.complete(leases[0].task_id, leases[0].token, b"{}"))

    assert held() == 1


def test_a_second_worker_is_told_that_the_task_is_busy(store: SyncStore) -> None:
    """A copy of a message starts nothing: another worker holds a live lease."""
    running(store, "a", worker="one")

    assert store.run(steps.claim("a", "1", "two", "a.1")).verdict == "busy"


def test_a_claim_whose_reply_was_lost_may_be_made_again(store: SyncStore) -> None:
    """The same worker with the same delivery gets the same lease: it is the same claim."""
    lease = running(store, "a", worker="one")

    assert store.run(steps.claim("a", "1", "one", "a.1")).lease == lease


@pytest.mark.parametrize("ended", ["completed", "failed", "cancelled"])
def test_a_message_of_an_ended_task_is_dropped(store: SyncStore, ended: str) -> None:
    """TS-048: whatever message is left over, a task that has ended never starts."""
    lease = running(store, "a")
    end: dict[str, Call[Any]] = {
        "completed": steps.complete("a", lease.token, b"{}"),
        "failed": steps.fail("a", lease.token, "no"),
        "cancelled": steps.cancel("a"),
    }
    store.run(end[ended])

    assert store.run(steps.claim("a", "1", "two", "a.1")).verdict == "drop"


def test_a_message_without_a_record_is_unknown(store: SyncStore) -> None:
    """Another producer's message, or one whose record has expired."""
    assert store.run(steps.claim("nobody", "", "w", "t")).verdict == "unknown"


def test_progress_never_goes_backwards(store: SyncStore) -> None:
    """NS-015: progress is monotonic, whatever an engine reports."""
    lease = running(store, "a")
    for fraction in (0.5, 0.2):
        assert store.run(steps.progress("a", lease.token, fraction, "rendering"))

    assert (record(store, "a").progress, record(store, "a").step) == (0.5, "rendering")


def test_a_completed_task_has_its_result_and_one_count(store: SyncStore, redis_server: Redis) -> None:
    """A settlement that is repeated under the same token is the same settlement."""
    lease = running(store, "a")

    assert all(store.run(steps.complete("a", lease.token, b'{"media_url":"u"}')) for _ in range(2))

    task = record(store, "a")
    assert (task.state, task.result, task.progress) == (State.COMPLETED, {"media_url": "u"}, 1.0)
    assert redis_server.client.hget(key("counters"), "completed_tasks") == b"1"
    assert queue_seen(store).running == 0


def test_only_the_holder_of_the_token_can_settle(store: SyncStore) -> None:
    """A result under an old token is refused: the task that ran twice has one result."""
    lease = running(store, "a")
    store.run(steps.hand_back("a", lease.token, "stopping"))
    again = store.run(steps.claim("a", "2", "two", "a.2")).lease
    assert again is not None

    assert not store.run(steps.complete("a", lease.token, b'{"media_url":"old"}'))
    assert not store.run(steps.progress("a", lease.token, 0.9, "old"))
    assert store.run(steps.complete("a", again.token, b'{"media_url":"new"}'))
    assert record(store, "a").result == {"media_url": "new"}


def test_final_is_final(store: SyncStore) -> None:
    """No step changes a task that has ended."""
    lease = running(store, "a")
    store.run(steps.fail("a", lease.token, "broken", "trace"))

    for step in (steps.retry_later("a", 1, A_MINUTE, ""), steps.hand_back("a", 1, "stopping"), steps.lose("a", 1, "")):
        assert not store.run(step)
    assert store.run(steps.complete("a", 1, b"{}")) is False
    assert (record(store, "a").state, record(store, "a").error) == (State.FAILED, "broken")


def test_a_retry_waits_in_redis_and_is_promoted_when_due(store: SyncStore, redis_server: Redis) -> None:
    """TS-110, TS-113: the next attempt waits its 60 seconds as queued, then gets in line under a new token."""
    lease = running(store, "a")
    assert store.run(steps.retry_later("a", lease.token, A_MINUTE, "connection refused"))

    task = record(store, "a")
    assert (task.state, task.attempt, task.last_error) == (State.QUEUED, 2, "connection refused")
    assert task.due_ms is not None
    assert task.due_ms - task.updated_ms == 60_000
    assert store.run(chores.promote(QUEUES)) == 0
    assert store.run(steps.claim("a", "1", "w", "a.1")).verdict == "drop"

    redis_server.client.zadd(key("scheduled", "gpu_medium"), {"a": 0})  # a minute later
    assert store.run(chores.promote(QUEUES)) == 1
    assert store.run(steps.claim("a", "2", "w", "a.2")).verdict == "run"
    assert redis_server.client.hget(key("counters"), "retried_tasks") == b"1"


def test_a_retry_that_is_near_counts_as_due(store: SyncStore) -> None:
    """The fleet has a worker up when the time of the next attempt comes, not a minute before."""
    for name, delay in (("near", 2), ("far", 60)):
        lease = running(store, name)
        store.run(steps.retry_later(name, lease.token, timedelta(seconds=delay), ""))

    assert (queue_seen(store).scheduled, queue_seen(store).due) == (2, 1)


def test_a_queued_task_that_is_cancelled_leaves_its_list_at_once(store: SyncStore, redis_server: Redis) -> None:
    """TS-041: no worker is needed for that, and none will find it."""
    submitted(store, "a")

    done = store.run(steps.cancel("a"))

    assert done is not None
    assert done.was is State.QUEUED
    assert redis_server.client.llen(LIST) == 0
    assert queue_seen(store).waiting == 0


def test_a_task_cancelled_between_attempts_never_wakes_up(store: SyncStore, redis_server: Redis) -> None:
    """TS-049: a task that waits for its next attempt counts as queued for cancellation."""
    lease = running(store, "a")
    store.run(steps.retry_later("a", lease.token, A_MINUTE, ""))
    store.run(steps.cancel("a"))
    redis_server.client.zadd(key("scheduled", "gpu_medium"), {"a": 0})

    assert store.run(chores.promote(QUEUES)) == 0
    assert record(store, "a").state is State.CANCELLED


def test_a_running_task_that_is_cancelled_keeps_its_place_until_it_has_stopped(store: SyncStore) -> None:
    """TS-042: the record is cancelled at once; the worker is told to stop, and frees the place when it has."""
    lease = running(store, "a")
    store.run(steps.cancel("a"))

    assert record(store, "a").state is State.CANCELLED
    assert queue_seen(store).running == 1
    assert store.run(steps.renew("w", "gpu_medium", b"{}", [("a", lease.token)])).verdicts == ("stop",)
    assert not store.run(steps.hand_back("a", lease.token, "stopping"))
    assert queue_seen(store).running == 0


def test_a_cancelled_task_cannot_complete(store: SyncStore) -> None:
    """What the client was told stays true: a result that comes after the cancellation is refused."""
    lease = running(store, "a")
    store.run(steps.cancel("a"))

    assert not store.run(steps.complete("a", lease.token, b"{}"))
    assert record(store, "a").state is State.CANCELLED


def test_every_move_of_the_table_has_a_step(store: SyncStore) -> None:
    """TS-025: the steps make exactly the moves that the table allows, and the table ends in three final states."""
    seen = {(State.QUEUED, to) for to in (State.PROCESSING, State.FAILED, State.CANCELLED)}
    seen |= {(State.PROCESSING, State.QUEUED)}
    seen |= {(State.PROCESSING, to) for to in (State.COMPLETED, State.FAILED, State.CANCELLED)}

    assert seen == {(state, to) for state, moves in MOVES.items() for to in moves}
    assert {state for state in State if is_final(state)} == {State.COMPLETED, State.FAILED, State.CANCELLED}


def test_expired_records_leave_every_index(store: SyncStore, redis_server: Redis) -> None:
    """TS-036: 24 hours after its creation a finished task is gone without a trace; an unfinished one stays."""
    lease = running(store, "old")
    store.run(steps.complete("old", lease.token, b"{}"))
    submitted(store, "waiting")
    expires = redis_server.client.zscore(key("expiry"), "old")
    assert expires is not None
    remaining = expires - record(store, "old").created_ms
    assert remaining == scripts.RETENTION.total_seconds() * 1000

    redis_server.client.zadd(key("expiry"), {"old": 1})  # a day later
    assert store.run(chores.expire()) == 1

    assert [task.id for task in store.run(steps.project_tasks("p")).tasks] == ["waiting"]
    assert store.run(steps.task("old")) is None
    assert not [name for name in redis_server.client.keys("*") if b"old" in name or b"completed" in name]
