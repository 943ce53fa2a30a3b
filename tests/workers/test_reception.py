"""Bad messages and real parts: kombu's own transport, and a real worker that they must not end."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import kombu
import pytest
from kombu.transport import redis as kombu_redis

from genfleet.contract.keys import LIST_SEPARATOR, PRIORITY_STEPS, broker_list, key
from genfleet.contract.states import State
from genfleet.store import dead_letters, steps
from genfleet.store.client import SyncStore
from genfleet.store.dead_letters import Letter, LetterState
from genfleet_workers.claims import Claims
from genfleet_workers.family import Family
from genfleet_workers.holdings import Holdings
from genfleet_workers.reception import Client, Connection, Reception
from tests.support.bad_messages import bytes_of, good, mutations, the_seventeen
from tests.support.servers import Redis, Site, free_port
from tests.support.tasks import submitted
from tests.support.waiting import wait_for

LIST = broker_list("gpu_medium", 0)


def letters(store: SyncStore) -> list[Letter]:
    """All that wait for people, the oldest first."""
    return list(store.run(dead_letters.page(LetterState.WAITING, None, 0, 1000)).letters)[::-1]


def whole(store: SyncStore, letter: Letter) -> Letter:
    """With the message itself."""
    kept = store.run(dead_letters.read(letter.id))
    assert kept is not None
    return kept


def is_quiet(redis_server: Redis) -> bool:
    """Whether every message has been dealt with, and kombu keeps none."""
    lists = [broker_list("gpu_medium", step) for step in PRIORITY_STEPS]
    return not redis_server.client.exists(*lists, "unacked", "unacked_index")


# -- what of kombu's is relied on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "channel"),
    [
        ("redis://127.0.0.1:1/0", kombu_redis.Channel),
        ("rediss://127.0.0.1:1/0", kombu_redis.Channel),
        ("redis+socket:///tmp/redis.sock", kombu_redis.Channel),
        ("sentinel://127.0.0.1:1/0", kombu_redis.SentinelChannel),
    ],
)
def test_every_kind_of_connection_has_a_reception(url: str, channel: type) -> None:
    """However Redis is reached: kombu asks the channel for its client, and it is ours."""
    used: Any = Connection(url).get_transport_cls().Channel  # type: ignore[attr-defined, no-untyped-call]  # kombu's types are few

    assert issubclass(used, channel)
    assert used.from_transport_options[-1] == "receive"
    chosen = used.__new__(used)
    assert chosen._get_client() is not Client, "without a reception, it is kombu's own"
    chosen.receive = bytes.join
    assert chosen._get_client().func is Client


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Redis]:
    """A Redis whose chores nobody does."""
    server = Redis(tmp_path, free_port())
    server.start()
    yield server
    server.stop()


def test_kombu_sees_what_the_reception_lets_in_and_nothing_else(alone: Redis) -> None:
    """The contract with kombu: BRPOP goes through the client, and nothing is what kombu hears when nothing came."""
    seen = list[tuple[bytes, bytes]]()

    def receive(name: bytes, raw: bytes) -> bytes | None:
        seen.append((name, raw))
        return None if raw == b"bad" else bytes_of(good("changed"))

    options = {"receive": receive, "priority_steps": list(PRIORITY_STEPS), "sep": LIST_SEPARATOR}
    heard = list[str]()
    with Connection(alone.url, transport_options=options) as connection:  # type: ignore[no-untyped-call]  # as above
        queue = kombu.Queue("gpu_medium", kombu.Exchange(""), routing_key="gpu_medium")
        consumer = kombu.Consumer(
            connection.channel(), [queue], on_message=lambda message: heard.append(message.headers["id"])
        )
        with consumer:
            alone.client.lpush(broker_list("gpu_medium", 2), b"bad", bytes_of(good("a")), b"bad")
            wait_for("all three have come", lambda: _drained(connection) and len(seen) == 3)
            assert heard == ["changed"]
            assert alone.client.hkeys("unacked") == [b"tag-changed"]

    assert seen == [(broker_list("gpu_medium", 2).encode(), raw) for raw in (b"bad", bytes_of(good("a")), b"bad")]
    assert alone.client.llen(LIST) == 1, "what was not acknowledged went back when the connection was closed"


def test_what_was_not_acknowledged_goes_back_to_the_list_that_it_came_from(alone: Redis) -> None:
    """A worker that leaves puts back what it has not started, and each message keeps its turn, whatever its producer said."""
    reception = Reception(cast(Claims, None), lambda: datetime.now(UTC))  # they are all whole: none is set aside
    lists = [broker_list("gpu_medium", step) for step in PRIORITY_STEPS]
    for name in lists:
        alone.client.lpush(name, bytes_of(good(name)))
    heard = list[str]()
    options = {"receive": reception, "priority_steps": list(PRIORITY_STEPS), "sep": LIST_SEPARATOR}
    with Connection(alone.url, transport_options=options) as connection:  # type: ignore[no-untyped-call]  # as above
        queue = kombu.Queue("gpu_medium", kombu.Exchange(""), routing_key="gpu_medium")
        consumer = kombu.Consumer(
            connection.channel(), [queue], on_message=lambda message: heard.append(message.headers["id"])
        )
        with consumer:
            wait_for("all have come", lambda: _drained(connection) and len(heard) == len(lists))
            assert heard == lists, "in the order of their lists"
            assert not alone.client.exists(*lists)

    assert [alone.client.llen(name) for name in lists] == [1] * len(lists)


def _drained(connection: kombu.Connection) -> bool:
    with contextlib.suppress(TimeoutError):
        connection.drain_events(timeout=0.1)
    return True


# -- a real worker ---------------------------------------------------------------------------------------------------------


def test_no_bad_message_ends_a_worker_or_holds_up_the_next(site: Site, store: SyncStore) -> None:
    """T15, M8, F10: the 17 that end or jam a stock worker are set aside, each with its reason, and good ones between them run."""
    bad = the_seventeen()
    with site.worker(GENFLEET_TASKS_PER_PROCESS="100") as process:
        for number, raw in enumerate(bad.values()):
            site.redis.client.lpush(LIST, raw, bytes_of(good(f"good-{number}")))
        for number in range(len(bad)):
            wait_for("a good one is run", lambda: _is_completed(store, f"good-{number}"), within=30)  # noqa: B023
        wait_for("nothing is left", lambda: is_quiet(site.redis))
        assert process.poll() is None

    kept = letters(store)
    assert [whole(store, letter).raw for letter in kept] == [raw[: dead_letters.RAW_KEPT] for raw in bad.values()]
    assert all(letter.reason and letter.queue == "gpu_medium" and letter.worker == "worker@test" for letter in kept)
    named = {letter.task_id: letter.task_type for letter in kept if letter.task_id}
    assert named["bad unknown task"] == "nope.x"
    assert named["bad pickle"] == "generate_image"


def test_mutations_of_a_good_message_are_run_or_set_aside(site: Site, store: SyncStore) -> None:
    """T15 in short: 200 of them, and nothing is lost without a word, nothing stays, and the worker goes on."""
    with site.worker(concurrency=2) as process:
        site.redis.client.lpush(LIST, *mutations(seed=7, number=200))
        task_id = submitted(store)
        wait_for("a good one is run", lambda: _is_completed(store, task_id), within=60)
        wait_for("nothing is left", lambda: not site.redis.client.llen(LIST), within=60)
        assert process.poll() is None

    assert len(letters(store)) > 50


def _is_completed(store: SyncStore, task_id: str) -> bool:
    task = store.run(steps.task(task_id))
    return bool(task and task.state is State.COMPLETED)


class Executing:
    """A pickle that makes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


def test_a_pickle_is_never_opened(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """S8: JSON and nothing else, whatever the message calls itself."""
    mark = tmp_path / "opened"
    body = base64.b64encode(pickle.dumps(Executing(mark))).decode()
    with site.worker():
        for content_type in ("application/x-python-serialize", "application/json"):
            site.redis.client.lpush(LIST, bytes_of(good("a") | {"content-type": content_type, "body": body}))
        wait_for("both are set aside", lambda: len(letters(store)) == 2)

    assert not mark.exists()


def test_a_task_of_ours_outlives_its_message(site: Site, store: SyncStore) -> None:
    """Its message was spoiled in the queue: that is set aside, and the task that waits gets another message and runs."""
    task_id = submitted(store)
    name = broker_list("gpu_medium", 2)
    spoiled = json.loads(site.redis.client.rpop(name) or b"")  # type: ignore[arg-type]  # redis-py's types have all replies in one
    spoiled["body"] = "!!!"
    site.redis.client.lpush(name, json.dumps(spoiled))
    with site.worker():
        wait_for("it is set aside", lambda: letters(store))
        wait_for("the task is run all the same", lambda: _is_completed(store, task_id), within=30)

    (letter,) = letters(store)
    assert (letter.task_id, letter.times) == (task_id, 1)
    assert "not base64" in letter.reason


def test_a_task_that_no_worker_knows_yet_has_one_letter(store: SyncStore) -> None:
    """F12: a message that comes again and again, because its task waits, does not crowd out the others."""
    task_id = submitted(store)
    for _ in range(5):
        store.run(dead_letters.set_message_aside("Unknown", b"x", broker_list=LIST, task_id=task_id))
        store.run(dead_letters.set_message_aside("Unknown", b"x", broker_list=LIST, task_id="nobody's"))

    assert sorted(letter.times for letter in letters(store)) == [1, 1, 1, 1, 1, 5]


def test_a_message_whose_record_is_broken_is_kept(site: Site, store: SyncStore) -> None:
    """What fails no sooner than at its claim is set aside as well, whole, and kombu forgets it in the same step."""
    broken = submitted(store)
    site.redis.client.delete(key("task", broken))
    site.redis.client.set(key("task", broken), "not a hash")
    with site.worker():
        wait_for("it is set aside", lambda: letters(store))
        wait_for("kombu has forgotten it", lambda: is_quiet(site.redis))

    (letter,) = [letter for letter in letters(store) if letter.size]
    assert "WRONGTYPE" in letter.reason
    assert json.loads(whole(store, letter).raw or b"")["headers"]["id"] == broken


def test_what_cannot_be_set_aside_at_once_is_set_aside_later(alone: Redis, tmp_path: Path) -> None:
    """Redis went away just then: the message is kept until the beat can tell it."""
    store = SyncStore(alone.url)
    holdings = Holdings(tmp_path, 30, Family(), lambda: None)
    claims = Claims(store, holdings, "w", "gpu_medium")
    alone.stop()
    claims.set_aside("It is not JSON", b"x", LIST)
    (report,) = holdings.reports()
    alone.start()

    store.run(report)
    assert [letter.reason for letter in letters(store)] == ["It is not JSON"]
    store.close()


def test_the_17_are_not_counted_as_tasks(store: SyncStore, site: Site) -> None:
    """A message that was set aside is neither a task nor a failure; it has a number of its own."""
    with site.worker():
        site.redis.client.lpush(LIST, b"garbage{{{")
        wait_for("it is set aside", lambda: letters(store))

    counters = site.redis.client.hgetall(key("counters"))
    assert (counters[b"dead_letters"], counters.get(b"total_tasks"), counters.get(b"failed_tasks")) == (
        b"1",
        None,
        None,
    )
