"""The story of a task, and the quarantine: what became of its attempts, where poison goes, and what leaves it there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store import chores, scripts, steps
from genfleet.store.client import SyncStore
from tests.support.servers import Redis
from tests.support.tasks import new_task, poisoned, record, running, submitted


def test_each_lost_attempt_is_a_chapter_of_the_story(store: SyncStore) -> None:
    """T3: which worker ran it, since when, and how it was lost; the record still says so when the events are gone."""
    task = record(store, poisoned(store, "poison"))

    assert [(each.how, each.worker, each.why) for each in task.story] == [
        ("lost", f"worker-{number}", "its process was killed by signal 9") for number in (1, 2, 3)
    ]
    for each in task.story:
        assert each.began_ms is not None
        assert task.created_ms <= each.began_ms <= each.at_ms
    assert task.state is State.FAILED
    assert task.quarantined_ms == task.finished_ms
    assert task.last_error == "Its worker was lost: its process was killed by signal 9"


def test_what_ended_an_attempt_is_told(store: SyncStore) -> None:
    """A task that was handed back, failed for a passing reason or was lost says so, in its events and in its story."""
    running(store, "a")
    assert store.run(steps.hand_back("a", 1, "its worker had to stop"))
    assert store.run(steps.claim("a", "2", "other", "2")).lease
    assert store.run(steps.retry_later("a", 2, timedelta(0), "no connection"))
    store.run(chores.promote(["gpu_medium"]))
    assert store.run(steps.claim("a", "3", "other", "3")).lease
    assert store.run(steps.fail("a", 3, "no such model"))

    task = record(store, "a")
    assert [(each.how, each.attempt, each.why) for each in task.story] == [
        ("handed_back", 1, "its worker had to stop"),
        ("failed", 1, "no connection"),
        ("failed", 2, "no such model"),
    ]
    (told,) = store.run(steps.events([("a", 0)]))
    (event,) = (event for event in told.events if "handed_back" in event.fields)
    assert event.fields == {"handed_back": "its worker had to stop", "worker": "w"}


def test_whatever_ended_an_attempt_its_record_can_be_read(store: SyncStore) -> None:
    """Some characters end a line for Python and not for JSON; an engine may say any of them."""
    said = "a\u2028b\x85c\x1cd\ne"
    running(store, "a")
    assert store.run(steps.fail("a", 1, said))

    assert [each.why for each in record(store, "a").story] == [said]


def test_a_story_keeps_its_newest_chapters(store: SyncStore) -> None:
    """A task that is handed back for days does not make its record grow for ever."""
    submitted(store, "a")
    for token in range(1, scripts.STORY_KEPT + 6):
        assert store.run(steps.claim("a", str(token), "w", str(token))).lease
        assert store.run(steps.hand_back("a", token, f"reason {token}"))

    story = record(store, "a").story
    assert [story[0].why, story[-1].why] == ["reason 6", f"reason {scripts.STORY_KEPT + 5}"]
    assert len(story) == scripts.STORY_KEPT


def test_a_poison_task_is_kept_over_a_weekend(store: SyncStore, redis_server: Redis) -> None:
    """In quarantine a record outlives its 24 hours. When it goes in the end, that is counted, and nothing is left of it."""
    poisoned(store, "poison")
    at = redis_server.client.zscore(key("expiry"), "poison")
    assert isinstance(at, float)
    assert at - record(store, "poison").created_ms >= scripts.QUARANTINE_KEPT.total_seconds() * 1000

    redis_server.client.zadd(key("expiry"), {"poison": 1})
    store.run(chores.expire())

    assert redis_server.client.keys(key("quarantine") + "*") == []
    assert redis_server.client.hget(key("counters"), "dropped_quarantined") == b"1"


def test_a_poison_task_that_is_submitted_again_leaves_the_quarantine(store: SyncStore, redis_server: Redis) -> None:
    """T3: the new task has lost no worker, and the story of the old one says who did it; once, however often it is sent."""
    poisoned(store, "poison")
    again = replace(new_task("again", key_id="4f1c"), retry_of="poison", copies=True)
    for _ in range(2):
        store.run(steps.submit(again))

    old = record(store, "poison")
    assert old.quarantined_ms is None
    assert [(each.how, each.new_id, each.by) for each in old.story[3:]] == [("retried", "again", "4f1c")]
    assert redis_server.client.keys(key("quarantine") + "*") == []
    assert redis_server.client.hget(key("task", "again"), "crashes") == b"0"
    assert record(store, "again").story == ()


def test_the_quarantine_has_an_end(store: SyncStore, redis_server: Redis) -> None:
    """Of more tasks than it holds the oldest stays a failed task and leaves, which is counted."""
    redis_server.client.zadd(key("quarantine"), {f"old-{number}": number for number in range(scripts.QUARANTINE_MOST)})
    poisoned(store, "poison")

    assert redis_server.client.zcard(key("quarantine")) == scripts.QUARANTINE_MOST
    assert redis_server.client.zscore(key("quarantine"), "old-0") is None
    assert redis_server.client.hget(key("counters"), "dropped_quarantined") == b"1"
