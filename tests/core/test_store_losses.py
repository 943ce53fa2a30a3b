"""What may be lost and comes back: workers, messages, replies, Redis itself."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from datetime import timedelta

import pytest

from genfleet.contract.keys import UNACKED, UNACKED_INDEX, broker_list, key
from genfleet.contract.states import State
from genfleet.contract.task_types import QUEUES
from genfleet.errors import StoreUnavailable
from genfleet.store import api_keys, capacity, chores, dead_letters, scripts, steps, upkeep
from genfleet.store.client import AsyncStore, SyncStore
from genfleet.store.dead_letters import LetterState
from genfleet.store.records import Cancelled, TaskRecord
from tests.support.servers import Redis, free_port
from tests.support.tasks import new_task, queue_seen, record, running, submitted
from tests.support.waiting import wait_for

LIST = broker_list("gpu_medium", 2)


def next_out(redis_server: Redis) -> bytes:
    """The message that the list hands out next."""
    message = redis_server.client.lindex(LIST, -1)
    assert isinstance(message, bytes)
    return message


def _let_leases_run_out(redis_server: Redis, *ids: str, looked_ms_ago: int = 0) -> None:
    """As if their workers had not been heard of for a lease, and somebody had looked at the leases so long ago."""
    redis_server.client.zadd(key("leases", "gpu_medium"), {name: number + 1 for number, name in enumerate(ids)})
    seconds, micros = redis_server.client.time()
    redis_server.client.set(key("last_reap"), seconds * 1000 + micros // 1000 - looked_ms_ago)


def test_a_broken_record_does_not_cost_a_worker_its_other_leases(store: SyncStore, redis_server: Redis) -> None:
    """T24: whatever lies under the key of one task, the beat renews the rest."""
    running(store, "broken")
    running(store, "good")
    redis_server.client.set(key("task", "broken"), "no record")

    beat = store.run(steps.renew("w", "gpu_medium", b"{}", [("broken", 1), ("good", 1)]))
    assert beat.verdicts == ("lost", "held")


def test_the_task_of_a_lost_worker_is_next_in_line_under_a_new_token(store: SyncStore, redis_server: Redis) -> None:
    """A lease that ran out puts its task before those that wait, and fences its old worker off at once."""
    running(store, "lost")
    submitted(store, "patient")
    redis_server.client.hset(UNACKED, "lost.1", "[]")
    redis_server.client.zadd(UNACKED_INDEX, {"lost.1": 1})
    _let_leases_run_out(redis_server, "lost")

    assert store.run(chores.reap(QUEUES)) == 1

    assert b'"id": "lost"' in next_out(redis_server)
    assert (redis_server.client.hlen(UNACKED), redis_server.client.zcard(UNACKED_INDEX)) == (0, 0)
    assert store.run(steps.renew("w", "gpu_medium", b"{}", [("lost", 1)])).verdicts == ("lost",)
    assert not store.run(steps.complete("lost", 1, b"{}"))
    assert store.run(steps.claim("lost", "2", "other", "lost.2")).verdict == "run"


def test_a_lease_that_is_renewed_is_not_reaped(store: SyncStore, redis_server: Redis) -> None:
    """A worker that beats keeps what it runs."""
    lease = running(store, "a")
    _let_leases_run_out(redis_server, "a")
    assert store.run(steps.renew("w", "gpu_medium", b"{}", [("a", lease.token)])).verdicts == ("held",)

    assert store.run(chores.reap(QUEUES)) == 0


def test_a_task_that_takes_three_workers_with_it_is_set_aside(store: SyncStore, redis_server: Redis) -> None:
    """Poison does not go round for ever: after the third lost worker it fails, once, with its story."""
    submitted(store, "poison")
    for token in range(1, scripts.CRASHES_ALLOWED + 1):
        assert store.run(steps.claim("poison", str(token), "w", f"poison.{token}")).verdict == "run"
        _let_leases_run_out(redis_server, "poison")
        assert store.run(chores.reap(QUEUES)) == 1

    task = record(store, "poison")
    assert task.state is State.FAILED
    assert "3 workers were lost" in (task.error or "")
    assert redis_server.client.zscore(key("quarantine"), "poison") is not None
    assert redis_server.client.hget(key("counters"), "failed_tasks") == b"1"


def test_after_an_outage_longer_than_a_lease_everyone_gets_one_more(store: SyncStore, redis_server: Redis) -> None:
    """While Redis was away nobody could renew, so no worker is taken for lost until it could."""
    running(store, "a")
    _let_leases_run_out(redis_server, "a", looked_ms_ago=60_000)

    assert store.run(chores.reap(QUEUES)) == 0
    assert record(store, "a").state is State.PROCESSING
    _let_leases_run_out(redis_server, "a")
    assert store.run(chores.reap(QUEUES)) == 1


def test_a_redis_that_is_slow_is_not_away(store: SyncStore, redis_server: Redis) -> None:
    """T12: at two seconds for an answer, looks at the leases are five apart. Lost workers are found all the same."""
    slow = timedelta(seconds=2)
    running(store, "a")
    _let_leases_run_out(redis_server, "a", looked_ms_ago=5_000)

    assert store.run(chores.reap(QUEUES, slow)) == 1


def test_an_answer_that_is_late_for_once_does_not_make_redis_slow(store: SyncStore, redis_server: Redis) -> None:
    """T12: after it stood still, everyone gets a lease of grace, also if the one who looks was just waiting for it."""
    rounds = upkeep.Rounds("program")
    for wait_s in (0.0, 2.0):
        with rounds.timed():
            time.sleep(wait_s)
    running(store, "a")
    _let_leases_run_out(redis_server, "a", looked_ms_ago=5_000)

    assert store.run(rounds.chores()["reaped"]) == 0


def test_an_attempt_that_has_settled_its_task_is_not_lost(store: SyncStore) -> None:
    """A beat that comes between that and the end of its process does not kill the process; of a task that was given up, it does."""
    completed, failed = running(store, "completed"), running(store, "failed")
    store.run(steps.complete("completed", completed.token, b"{}"))
    store.run(steps.fail("failed", failed.token, "error"))

    held = [("completed", completed.token), ("failed", failed.token), ("completed", completed.token + 1)]
    assert store.run(steps.renew("w", "gpu_medium", b"{}", held)).verdicts == ("done", "lost", "lost")


def test_a_worker_that_hands_back_costs_the_task_nothing(store: SyncStore) -> None:
    """NS-009: no retry and no crash is counted, and the task is next in line."""
    lease = running(store, "a")

    assert store.run(steps.hand_back("a", lease.token, "stopping"))

    assert (record(store, "a").state, record(store, "a").attempt) == (State.QUEUED, 1)
    assert record(store, "a").started_ms is None


@pytest.mark.parametrize("behind", [True, False], ids=["others were handed out since", "its list is empty"])
def test_a_lost_message_is_made_again(store: SyncStore, redis_server: Redis, behind: bool) -> None:
    """Kombu pops a message before it notes it down; a task that lost its message so is found and gets another."""
    submitted(store, "lost")
    redis_server.client.rpop(LIST)  # the worker that popped it is gone
    if behind:
        created_ms = record(store, "lost").created_ms
        wait_for("a later millisecond", lambda: store.run(api_keys.read()).now_ms > created_ms)
        submitted(store, "later")
    redis_server.client.hset(key("task", "lost"), "pushed", 1)  # it has waited for long
    assert store.run(chores.recover(QUEUES)) == 0, "too early: it may be on its way"

    redis_server.client.hset(key("task", "lost"), "missed", 2)
    assert store.run(chores.recover(QUEUES)) == 1
    assert b'"id": "lost"' in next_out(redis_server)
    redis_server.client.rpop(LIST)
    assert store.run(chores.recover(QUEUES)) == 0, "too early again: that was another message"

    assert store.run(steps.claim("lost", "1", "w", "lost.2")).verdict == "run"


def test_a_message_that_is_in_its_list_is_not_made_again(store: SyncStore, redis_server: Redis) -> None:
    """However long they wait: tasks in line are not lost."""
    for name in ("a", "b", "c"):
        submitted(store, name)
        redis_server.client.hset(key("task", name), "pushed", 1)

    assert store.run(chores.recover(QUEUES)) == 0


def test_a_long_list_is_searched_for_few_tasks_at_a_time(store: SyncStore, redis_server: Redis) -> None:
    """Hundreds of lost messages (a pause leaves them) of a list of thousands do not hold up Redis; all come back, in order."""
    names = [submitted(store) for _ in range(150)]
    redis_server.client.delete(LIST)
    created_ms = record(store, names[-1]).created_ms
    wait_for("a later millisecond", lambda: store.run(api_keys.read()).now_ms > created_ms)
    submitted(store, "later")
    redis_server.client.lpush(LIST, *[b"{}"] * scripts.LIST_SEARCHED)
    wait_for("they could have been taken", lambda: store.run(api_keys.read()).now_ms > created_ms + 10)

    at_once = scripts.LOST_SEARCHED // scripts.LIST_SEARCHED
    assert [store.run(chores.recover(QUEUES, grace=timedelta(0))) for _ in range(2)] == [at_once, 0]
    for name in names[:at_once]:
        assert f'"id": "{name}"'.encode() in next_out(redis_server)
        redis_server.client.rpop(LIST)
        assert store.run(steps.claim(name, "1", "w", name)).verdict == "run"
    assert store.run(chores.recover(QUEUES, grace=timedelta(0))) == len(names) - at_once


def test_a_stray_message_does_not_stop_the_search(store: SyncStore, redis_server: Redis) -> None:
    """Rubbish at the head of a list says nothing of what is handed out next, and breaks nothing."""
    submitted(store, "a")
    redis_server.client.hset(key("task", "a"), "pushed", 1)
    redis_server.client.rpush(LIST, b"\xff\xfe", b"[]", b'{"headers": {"id": 7}}')

    assert store.run(chores.recover(QUEUES)) == 0


def test_chores_are_done_once_a_period(store: SyncStore, redis_server: Redis) -> None:
    """However many programs are up, one of them does the chores of a second."""
    redis_server.client.delete(key("upkeep"))
    took = [store.run(chores.take_upkeep(f"program-{number}", upkeep.PERIOD)) for number in range(5)]

    assert took == [True, False, False, False, False]


def test_scripts_come_back_after_redis_forgot_them(store: SyncStore, redis_server: Redis) -> None:
    """A Redis that was restarted knows no script; the next call brings it along."""
    submitted(store, "a")
    redis_server.client.script_flush()

    assert store.run(steps.cancel("a")) is not None


def test_steps_asked_for_together_travel_together_and_answer_apart(redis_server: Redis) -> None:
    """A step that is wrong by itself fails alone; the others of the same trip have their answers."""

    async def ask() -> list[object]:
        store = AsyncStore(redis_server.url)
        redis_server.client.set(key("task", "wrong"), "not a hash")
        await store.run(steps.submit(new_task("a")))
        calls = [store.run(steps.task("a")), store.run(steps.task("wrong")), store.run(steps.cancel("a"))]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await store.close()
        return list(answers)

    read, wrong, cancelled = asyncio.run(ask())
    assert "WRONGTYPE" in str(wrong)
    assert isinstance(read, TaskRecord)
    assert isinstance(cancelled, Cancelled)


def test_an_unreachable_redis_is_unavailable_not_empty() -> None:
    """Neither client ever answers for a Redis that is not there."""
    url = f"redis://127.0.0.1:{free_port()}/0"

    async def ask() -> None:
        store = AsyncStore(url)
        try:
            await store.run(capacity.observe(QUEUES))
        finally:
            await store.close()

    with pytest.raises(StoreUnavailable):
        asyncio.run(ask())
    store = SyncStore(url)
    with pytest.raises(StoreUnavailable):
        store.run(capacity.observe(QUEUES))
    store.close()


def test_what_was_accepted_survives_a_killed_redis(store: SyncStore, redis_server: Redis) -> None:
    """The append-only file brings back record, message and place in line."""
    submitted(store, "a")
    wait_for("the file is synced", lambda: redis_server.client.info("persistence")["aof_pending_bio_fsync"] == 0)
    redis_server.stop(signal.SIGKILL)
    redis_server.start()

    assert record(store, "a").state is State.QUEUED
    assert queue_seen(store).waiting == 1
    assert store.run(steps.claim("a", "1", "w", "a.1")).verdict == "run"


def test_tasks_that_come_back_together_keep_their_order(store: SyncStore, redis_server: Redis) -> None:
    """The one that has waited longest is next, and those that are in line already are not taken for lost."""
    for name in "abcd":
        running(store, name)
    redis_server.client.delete(LIST)  # their workers took the messages
    _let_leases_run_out(redis_server, *"abcd")
    assert store.run(chores.reap(QUEUES)) == 4

    order = [json.loads(message)["headers"]["id"] for message in redis_server.client.lrange(LIST, 0, -1)]
    assert order[::-1] == ["a", "b", "c", "d"]


def test_out_of_order_is_not_lost(store: SyncStore, redis_server: Redis) -> None:
    """Whatever the order of a list: a task whose message is in it gets no second one."""
    for name in "abcd":
        submitted(store, name)
        redis_server.client.hset(key("task", name), "pushed", 1)
    messages = redis_server.client.lrange(LIST, 0, -1)
    redis_server.client.delete(LIST)
    redis_server.client.rpush(LIST, *reversed(messages))

    assert store.run(chores.recover(QUEUES)) == 0
    assert redis_server.client.llen(LIST) == 4


def test_one_broken_record_does_not_keep_others_from_their_chores(store: SyncStore, redis_server: Redis) -> None:
    """What cannot be read is set aside with its reason; the chores of all others are done in the same round."""
    for name in ("broken", "whole"):
        submitted(store, name)
        redis_server.client.hset(key("task", name), mapping={"pushed": 1, "missed": 2})
    redis_server.client.delete(LIST, key("task", "broken"))
    redis_server.client.set(key("task", "broken"), "not a hash")

    assert store.run(chores.recover(QUEUES)) == 1

    assert store.run(steps.claim("whole", "1", "w", "n")).verdict == "run"
    (letter,) = store.run(dead_letters.page(LetterState.WAITING, None, 0, 10)).letters
    assert (letter.task_id, letter.size) == ("broken", None)
    assert "WRONGTYPE" in letter.reason
