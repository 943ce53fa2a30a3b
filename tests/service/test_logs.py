"""The log of a task: what its engines say of their work, so far and as they say it."""

from __future__ import annotations

import httpx
import pytest

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.service.acts import UNKNOWN_TASK, settled, started, submitted
from tests.support.listener import listening, stream_of
from tests.support.servers import Redis


def path(task_id: str, *, follow: bool = False) -> str:
    """Where the log of a task is."""
    return f"/api/v1/tasks/{task_id}/logs" + ("?follow=true" if follow else "")


def say(store: SyncStore, task_id: str, first: int, *lines: str, token: int = 1) -> bool:
    """The running attempt says something."""
    return store.run(steps.log(task_id, token, first, [("info", line) for line in lines]))


def messages(api: httpx.Client, task_id: str) -> list[str]:
    """What was said so far."""
    return [line["message"] for line in api.get(path(task_id)).json()["logs"]]


def test_the_lines_so_far(api: httpx.Client, store: SyncStore) -> None:
    """Each line with its time and level, in the order in which it was said; all else that happened is left out."""
    task_id = started(api, store)
    say(store, task_id, 1, "3 images", "seed 7")
    store.run(steps.progress(task_id, 1, 0.5, "painting"))
    store.run(steps.log(task_id, 1, 3, [("warning", "one image could not be opened")]))
    body = api.get(path(task_id)).json()
    assert (body["task_id"], body["complete"]) == (task_id, True)
    assert [(line["level"], line["message"]) for line in body["logs"]] == [
        ("info", "3 images"),
        ("info", "seed 7"),
        ("warning", "one image could not be opened"),
    ]
    assert [line["id"] for line in body["logs"]] == [2, 3, 5]


def test_the_log_is_followed_to_the_end(api: httpx.Client, store: SyncStore) -> None:
    """As it is said, without the rest, and then how the task ended; a follower may go on after the last line it had."""
    task_id = started(api, store)
    with listening(api, path(task_id, follow=True)) as listener:
        say(store, task_id, 1, "first")
        listener.wait_for("log")
        store.run(steps.progress(task_id, 1, 0.5, "painting"))
        say(store, task_id, 2, "second")
        store.run(steps.complete(task_id, 1, b"{}"))
        listener.wait_for_end()
    assert listener.kinds == ["log", "log", "completed"]
    assert [event.data.get("message") for event in listener.heard] == ["first", "second", None]
    after = listener.heard[0].id
    assert [event.data.get("message") for event in stream_of(api, path(task_id, follow=True), after)] == [
        "second",
        None,
    ]


def test_a_line_that_arrives_twice_is_kept_once(api: httpx.Client, store: SyncStore) -> None:
    """A worker that lost the reply says its lines again: each is kept once, and what is new among them is kept."""
    task_id = started(api, store)
    assert say(store, task_id, 1, "a", "b")
    assert say(store, task_id, 1, "a", "b")
    assert say(store, task_id, 2, "b", "c")
    assert messages(api, task_id) == ["a", "b", "c"]


def test_each_attempt_counts_its_own_lines(api: httpx.Client, store: SyncStore) -> None:
    """The log goes on over all attempts, and what an attempt says that has lost the task is refused (TS-046)."""
    task_id = started(api, store)
    say(store, task_id, 1, "first attempt")
    store.run(steps.lose(task_id, 1, "gone"))
    assert not say(store, task_id, 2, "said while it waits")
    store.run(steps.claim(task_id, "2", "worker@test", "n"))
    assert say(store, task_id, 1, "second attempt", token=2)
    assert not say(store, task_id, 2, "a ghost")
    assert messages(api, task_id) == ["first attempt", "second attempt"]


@pytest.mark.parametrize("state", [State.QUEUED, State.COMPLETED])
def test_a_task_of_which_nothing_was_said(api: httpx.Client, store: SyncStore, state: State) -> None:
    """An empty list, not an error."""
    assert api.get(path(settled(api, store, state))).json()["logs"] == []


def test_a_log_of_which_a_part_is_gone_says_so(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """Streams are capped: whoever reads the rest is told that it is not all."""
    task_id = started(api, store)
    say(store, task_id, 1, "a", "b")
    redis_server.client.xtrim(key("events", task_id), maxlen=1, approximate=False)
    body = api.get(path(task_id)).json()
    assert ([line["message"] for line in body["logs"]], body["complete"]) == (["b"], False)


def test_an_unknown_task(api: httpx.Client) -> None:
    """TS-145: a documented 404."""
    answer = api.get(path("abc123"))
    assert (answer.status_code, answer.json()) == (404, UNKNOWN_TASK)
    assert submitted(api)
