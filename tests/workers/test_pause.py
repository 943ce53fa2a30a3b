"""A paused queue with real workers, which wait for their next message at that moment."""

from __future__ import annotations

from genfleet.contract.keys import broker_list
from genfleet.contract.states import State
from genfleet.store import chores, pauses
from genfleet.store.client import SyncStore
from tests.support.servers import Site
from tests.support.tasks import queue_seen, record, submitted
from tests.support.waiting import wait_for

QUEUE = "gpu_medium"
LIST = broker_list(QUEUE, 2)


def phase(store: SyncStore) -> str:
    """What the one worker says of itself."""
    (worker,) = queue_seen(store).workers
    return str(worker.about["phase"])


def test_a_worker_that_waits_for_a_message_starts_nothing_in_a_pause(site: Site, store: SyncStore) -> None:
    """It takes at most the messages of its last two seconds; then it rests, and goes on when the pause is over."""
    with site.worker():
        running = submitted(store, seconds=1.5)
        wait_for("it runs", lambda: record(store, running).state is State.PROCESSING)
        store.run(pauses.pause(QUEUE, ""))
        first = submitted(store)
        wait_for("the running task ends", lambda: record(store, running).state is State.COMPLETED)
        wait_for("the worker rests", lambda: phase(store) == "drained")
        second = submitted(store)
        assert [record(store, task_id).state for task_id in (first, second)] == [State.QUEUED] * 2

        store.run(pauses.unpause(QUEUE))
        store.run(pauses.remake(QUEUE))
        for task_id in (first, second):
            wait_for("it is completed", lambda: record(store, task_id).state is State.COMPLETED)  # noqa: B023
        assert phase(store) == "ready"
    assert [record(store, task_id).attempt for task_id in (first, second)] == [1, 1]


def test_a_message_that_was_taken_in_a_pause_is_made_anew_by_the_chores(site: Site, store: SyncStore) -> None:
    """A worker that has not heard of the pause takes the message and is turned away: the task still waits, and starts."""
    with site.worker():
        store.run(pauses.pause(QUEUE, ""))
        task_id = submitted(store)
        wait_for("the message is gone", lambda: site.redis.client.llen(LIST) == 0)
        assert record(store, task_id).state is State.QUEUED
        store.run(pauses.unpause(QUEUE))
        assert store.run(chores.recover([QUEUE], grace=pauses.AT_ONCE)) <= 1
        wait_for("it is completed", lambda: record(store, task_id).state is State.COMPLETED)
