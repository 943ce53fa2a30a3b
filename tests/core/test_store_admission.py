"""Who is let in, on a real Redis: the limits of a submission and of a look, and requests that are repeated."""

from __future__ import annotations

from typing import Any

import pytest

from genfleet.contract.keys import PREFIX, key
from genfleet.contract.limits import Limits, Rate, Reason, Refused
from genfleet.contract.states import State
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet.store.records import Looked, Once, Submitted
from tests.support.servers import Redis
from tests.support.tasks import new_task, record, running, submitted

A_FEW = Rate(per_minute=7, saved_s=60)
"""Not a divisor of a minute: fractions of a millisecond must not add up to a lost turn."""
SLOWLY = Limits(submissions=A_FEW)


def ask(store: SyncStore, limits: Limits, once: Once | None = None, **more: Any) -> Submitted | Refused:
    """A submission that is measured against limits."""
    return store.run(steps.submit_within(limits, new_task(**more), once))


def accepted(store: SyncStore, limits: Limits, once: Once | None = None, **more: Any) -> Submitted:
    """One that has to be let in."""
    answer = ask(store, limits, once, **more)
    assert isinstance(answer, Submitted), answer
    return answer


def refused(store: SyncStore, limits: Limits, once: Once | None = None, **more: Any) -> Refused:
    """One that has to be refused."""
    answer = ask(store, limits, once, **more)
    assert isinstance(answer, Refused), answer
    return answer


def let_time_pass(redis_server: Redis, ms: float) -> None:
    """Moves every rate into the past, as if it had been used so much earlier."""
    for name in redis_server.client.scan_iter(f"{PREFIX}rate:*"):
        full_at = float(redis_server.client.get(name) or 0)
        redis_server.client.set(name, f"{full_at - ms:.3f}")


def everything(redis_server: Redis) -> dict[bytes, bytes | None]:
    """All that Redis holds, but for what an API that serves other tests writes by itself."""
    names = set(redis_server.client.scan_iter()) - {key("key_uses").encode(), key("upkeep").encode()}
    return {name: redis_server.client.dump(name) for name in names - {key("last_reap").encode()}}


def test_a_rate_lets_in_its_number_and_then_says_when_to_come_back(store: SyncStore, redis_server: Redis) -> None:
    """TS-150, TS-154: what is left is counted down; then nothing is let in until a minute's seventh part has passed."""
    left = [accepted(store, SLOWLY).left.of_rate for _ in range(7)]
    assert left == [6, 5, 4, 3, 2, 1, 0]

    answer = refused(store, SLOWLY)
    assert (answer.reason, answer.left.of_rate) == (Reason.SUBMISSIONS, 0)
    assert 8_000 < answer.wait_ms <= 60_000 / 7 + 1

    let_time_pass(redis_server, answer.wait_ms)
    assert accepted(store, SLOWLY).left.of_rate == 0
    assert refused(store, SLOWLY).reason is Reason.SUBMISSIONS


def test_what_is_not_used_is_saved_up_but_no_longer_than_said(store: SyncStore, redis_server: Redis) -> None:
    """TS-153: a bucket of two minutes' worth lets twice the number in at once, and a long pause does not fill it further."""
    twice = Limits(submissions=Rate(per_minute=3, saved_s=120))
    assert [accepted(store, twice).left.of_rate for _ in range(6)] == [5, 4, 3, 2, 1, 0]
    let_time_pass(redis_server, 3_600_000)
    assert accepted(store, twice).left.of_rate == 5


def test_a_bucket_smaller_than_one_still_lets_one_in(store: SyncStore) -> None:
    """TS-154: two a minute, saved up for a second, are one now and one in half a minute, not none for ever."""
    rare = Limits(submissions=Rate(per_minute=2, saved_s=1))
    assert accepted(store, rare).left.of_rate == 0
    assert 29_000 < refused(store, rare).wait_ms <= 30_001


def test_a_lowered_limit_counts_at_once(store: SyncStore) -> None:
    """TS-150: nobody waits out what was spent under a higher limit."""
    for _ in range(10):
        accepted(store, Limits(submissions=Rate(per_minute=1, saved_s=600)))
    assert refused(store, Limits(submissions=Rate(per_minute=60, saved_s=1))).wait_ms <= 1_001


def test_each_key_has_a_rate_of_its_own(store: SyncStore, redis_server: Redis) -> None:
    """TS-150: per API key. Rates leave Redis by themselves when they are full again."""
    once_a_minute = Limits(submissions=Rate(per_minute=1))
    tasks = [new_task(key_id=name) for name in ("a", "b", "a")]
    answers = [store.run(steps.submit_within(once_a_minute, task)) for task in tasks]
    assert [type(answer) for answer in answers] == [Submitted, Submitted, Refused]
    assert 59_000 < redis_server.client.pttl(key("rate", "submissions", "a")) <= 60_001


def test_a_project_has_so_many_tasks_in_progress_and_no_more(store: SyncStore) -> None:
    """TS-152: queued and running ones count, of this project only; whatever ends one makes room."""
    two = Limits(project_tasks=2)
    lease = running(store, project="p")
    assert accepted(store, two, project="p").left.in_progress == 2
    answer = refused(store, two, project="p")
    assert (answer.reason, answer.left.in_progress) == (Reason.PROJECT, 2)
    assert answer.wait_ms >= 1_000
    assert accepted(store, two, project="another").left.in_progress == 1
    store.run(steps.complete(lease.task_id, lease.token, b"{}"))
    assert accepted(store, two, project="p").left.in_progress == 2


@pytest.mark.parametrize("end", ["cancel", "fail", "lose its worker for good"])
def test_no_place_of_a_project_is_lost(store: SyncStore, end: str) -> None:
    """TS-152: the place of a task that was cancelled, failed or took its workers with it is free again."""
    one = Limits(project_tasks=1)
    lease = running(store, "a")
    assert refused(store, one).reason is Reason.PROJECT
    match end:
        case "cancel":
            store.run(steps.cancel("a"))
        case "fail":
            store.run(steps.fail("a", lease.token, "no face"))
        case _:
            for token in (1, 2, 3):
                if token > 1:
                    assert store.run(steps.claim("a", str(token), "w", f"a.{token}")).lease
                assert refused(store, one).reason is Reason.PROJECT
                assert store.run(steps.lose("a", token, "killed"))
            assert record(store, "a").state is State.FAILED
    assert accepted(store, one).left.in_progress == 1


def test_a_queue_takes_no_more_than_its_length(store: SyncStore) -> None:
    """TS-147: what waits counts; what runs does not; another queue is another length."""
    short = Limits(queue_length=1)
    running(store)
    accepted(store, short)
    answer = refused(store, short)
    assert (answer.reason, answer.wait_ms) == (Reason.QUEUE, 120_000)
    accepted(store, short, kind="generate_video")


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(Limits(submissions=Rate(per_minute=1)), id="rate"),
        pytest.param(Limits(project_tasks=1), id="project"),
        pytest.param(Limits(queue_length=1), id="queue"),
    ],
)
def test_a_refusal_leaves_nothing_behind(store: SyncStore, redis_server: Redis, limits: Limits) -> None:
    """TS-154: no record, no index, no count, no message, no key of the request; not even the rate is spent."""
    accepted(store, limits)
    before = everything(redis_server)
    refused(store, limits, Once("k", "f"))
    assert everything(redis_server) == before


def test_a_repeated_request_makes_one_task(store: SyncStore, redis_server: Redis) -> None:
    """NS-005: the second one is told what the first one was, though its own id is another, and the rate does not count it."""
    one = Limits(submissions=Rate(per_minute=1), project_tasks=1, queue_length=1)
    first = accepted(store, one, Once("k", "f"), task_id="first")
    again = accepted(store, one, Once("k", "f"), task_id="second")
    assert (first.id, first.replayed, again.replayed) == ("first", False, True)
    assert (again.id, again.created_ms, again.position, again.state) == ("first", first.created_ms, 1, State.QUEUED)
    assert store.run(steps.task("second")) is None
    assert redis_server.client.pttl(key("once", "", "k")) > 24 * 3_600_000 - 60_000


def test_a_repeated_request_gets_the_first_answer_later_too(store: SyncStore) -> None:
    """NS-005: whatever became of the task in between, its position and state are told as they were."""
    submitted(store, "before")
    first = accepted(store, Limits(), Once("k", "f"), task_id="first")
    store.run(steps.cancel("before"))
    store.run(steps.cancel("first"))
    again = accepted(store, Limits(), Once("k", "f"))
    assert (again.position, again.state) == (first.position, State.QUEUED) == (2, State.QUEUED)


def test_another_request_under_the_same_name_is_refused(store: SyncStore, redis_server: Redis) -> None:
    """NS-005: and nothing is there of it; the same name of another API key is another name."""
    accepted(store, Limits(), Once("k", "f"))
    before = everything(redis_server)
    assert refused(store, Limits(), Once("k", "g")).reason is Reason.REUSED
    assert everything(redis_server) == before
    assert not accepted(store, Limits(), Once("k", "g"), key_id="another").replayed


def test_a_lost_reply_is_no_repeated_request(store: SyncStore) -> None:
    """NS-005, TS-016: a step that is carried out again by the connection answers as it did, and counts nothing twice."""
    call = steps.submit_within(SLOWLY, new_task(), Once("k", "f"))
    first, second = store.run(call), store.run(call)
    assert first == second
    assert accepted(store, SLOWLY).left.of_rate == 5


def test_looks_have_a_rate_of_their_own(store: SyncStore) -> None:
    """TS-151, TS-154: looks are counted beside submissions, whether there is such a task or not."""
    submitted(store, "a")
    rate = Rate(per_minute=2)
    answers = [store.run(steps.look(task_id, "k", rate)) for task_id in ("a", "nobody", "a")]
    assert [type(answer) for answer in answers] == [Looked, Looked, Refused]
    found, nobody, no_more = answers
    assert isinstance(found, Looked)
    assert isinstance(nobody, Looked)
    assert isinstance(no_more, Refused)
    assert (found.left.of_rate, nobody.task, nobody.left.of_rate) == (1, None, 0)
    assert (no_more.reason, 29_000 < no_more.wait_ms <= 30_001) == (Reason.READS, True)


def test_a_look_reads_a_status_or_all(store: SyncStore) -> None:
    """TS-020, NS-001: a status is the record without what may be large; without names, it is all of it."""
    submitted(store, "a", prompt="x" * 1000)
    status, whole = (store.run(steps.look("a", "k", Rate(), *fields)) for fields in ((), ((),)))
    assert isinstance(status, Looked)
    assert isinstance(whole, Looked)
    assert status.task is not None
    assert (status.task.state, status.task.data) == (State.QUEUED, {})
    assert whole.task == record(store, "a")


def test_a_full_redis_still_tells_how_a_task_is(store: SyncStore, redis_server: Redis) -> None:
    """NS-010, TS-147: a look that cannot be counted is a look all the same."""
    submitted(store, "a")
    redis_server.client.config_set("maxmemory", "1")
    try:
        answer = store.run(steps.look("a", "k", Rate(per_minute=1)))
    finally:
        redis_server.client.config_set("maxmemory", "0")
    assert isinstance(answer, Looked)
    assert answer.task is not None
