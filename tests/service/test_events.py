"""The events of a task as a stream: every one of them, in order and once, whatever happens on the way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store import chores, steps
from genfleet.store.client import AsyncStore, SyncStore
from genfleet.store.records import Event
from genfleet_service.feed import TAIL, Feed, Gap
from tests.service.acts import UNKNOWN_TASK, claim, settled, started, submitted
from tests.support.listener import Heard, Parser, listening, stream_of
from tests.support.servers import KEY, Redis, Site, free_port, program
from tests.support.tasks import running
from tests.support.waiting import wait_for


def path(task_id: str) -> str:
    """Where the events of a task are."""
    return f"/api/v1/tasks/{task_id}/events"


def report(store: SyncStore, task_id: str, *fractions: float, token: int = 1) -> None:
    """The running attempt says how far it is."""
    for fraction in fractions:
        assert store.run(steps.progress(task_id, token, fraction, "rendering"))


def complete(store: SyncStore, task_id: str, token: int = 1) -> None:
    """The running attempt is done."""
    assert store.run(steps.complete(task_id, token, b'{"media_url":"https://media.ft.tc/a.png"}'))


# -- from the beginning to the end ---------------------------------------------------------------------------------------


def test_a_task_is_followed_from_its_submission_to_its_end(api: httpx.Client, store: SyncStore) -> None:
    """What happens is heard as it happens, from a task that only waits to its result; then the stream ends by itself."""
    task_id = submitted(api)
    with listening(api, path(task_id)) as listener:
        listener.wait_for("queued")
        claim(store, task_id)
        listener.wait_for("processing")
        report(store, task_id, 0.25)
        listener.wait_for("progress")
        complete(store, task_id)
        listener.wait_for_end()
    assert listener.ids == [0, 1, 2, 3]
    assert listener.kinds == ["queued", "processing", "progress", "completed"]
    assert {event.data["task_id"] for event in listener.heard} == {task_id}
    assert listener.heard[1].data["attempt"] == 1
    assert (listener.heard[2].data["progress"], listener.heard[2].data["current_step"]) == (0.25, "rendering")
    assert listener.heard[3].data["task"] == api.get(f"/api/v1/tasks/{task_id}/status").json()


def test_nothing_on_the_way_may_keep_the_stream(api: httpx.Client) -> None:
    """The headers say what it is, and that neither a cache nor a proxy may gather it; a browser is told when to return."""
    with listening(api, path(submitted(api))) as listener:
        listener.wait_for("queued")
        headers = listener.response.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert listener.parser.retry == 2000


def test_a_task_that_has_ended_tells_its_whole_story(api: httpx.Client, store: SyncStore) -> None:
    """Who comes late hears all that those heard who were there, and the end of the stream."""
    task_id = settled(api, store, State.COMPLETED)
    assert [event.event for event in stream_of(api, path(task_id))] == ["state"] * 3
    assert [event.data["status"] for event in stream_of(api, path(task_id))] == ["queued", "processing", "completed"]


def test_events_that_have_expired_leave_the_end(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """An hour after the end the record still says how it ended: one event, under the number that it had."""
    task_id = settled(api, store, State.FAILED)
    (*_, last) = stream_of(api, path(task_id))
    assert redis_server.client.ttl(key("events", task_id)) > 0
    redis_server.client.delete(key("events", task_id))
    assert stream_of(api, path(task_id)) == [last]
    assert last.data["task"]["error"]


def test_a_cancelled_task_ends_its_streams(api: httpx.Client) -> None:
    """TS-043: a task that never ran ends with its cancellation."""
    task_id = submitted(api)
    with listening(api, path(task_id)) as listener:
        listener.wait_for("queued")
        api.delete(f"/api/v1/tasks/{task_id}")
        listener.wait_for_end()
    assert listener.kinds == ["queued", "cancelled"]


def test_retries_and_lost_workers_are_told(api: httpx.Client, store: SyncStore) -> None:
    """TS-110, NS-011: why an attempt ended, when the next one is, and that a worker was lost; then it goes on."""
    task_id = started(api, store)
    with listening(api, path(task_id)) as listener:
        store.run(steps.lose(task_id, 1, "its worker stopped answering"))
        claim(store, task_id, 2)
        store.run(steps.retry_later(task_id, 2, timedelta(0), "no connection"))
        store.run(chores.promote(["gpu_medium"]))
        claim(store, task_id, 3)
        complete(store, task_id, 3)
        listener.wait_for_end()
    assert listener.kinds == [
        "queued", "processing", "lost", "queued", "processing", "queued", "retry", "processing", "completed",
    ]  # fmt: skip
    told = {event.event: event.data for event in listener.heard}
    assert told["lost"]["reason"] == "its worker stopped answering"
    assert told["retry"]["error"] == "no connection"
    assert [event.data["attempt"] for event in listener.heard if event.kind == "processing"] == [1, 1, 2]


def test_an_unknown_task(api: httpx.Client) -> None:
    """TS-145: a documented 404, not a stream that never says anything."""
    answer = api.get(path("abc123"))
    assert (answer.status_code, answer.json()) == (404, UNKNOWN_TASK)


def test_json_is_given_to_those_who_ask_for_it(api: httpx.Client, store: SyncStore) -> None:
    """Who cannot read a stream gets the events so far, in the same words."""
    task_id = settled(api, store, State.COMPLETED)
    body = api.get(path(task_id), headers={"Accept": "application/json"}).json()
    heard = [{"id": event.id, "event": event.event, "data": event.data} for event in stream_of(api, path(task_id))]
    assert body == {"task_id": task_id, "events": heard, "complete": True}


# -- going on ------------------------------------------------------------------------------------------------------------


def test_it_goes_on_after_the_last_event_that_was_heard(api: httpx.Client, store: SyncStore) -> None:
    """`Last-Event-ID` in mid-task: what was missed and what comes, from the very next event, none twice."""
    task_id = started(api, store)
    report(store, task_id, 0.1, 0.2, 0.3)
    with listening(api, path(task_id), after=2) as listener:
        wait_for("what was missed", lambda: listener.ids == [3, 4])
        report(store, task_id, 0.4)
        complete(store, task_id)
        listener.wait_for_end()
    assert listener.ids == [3, 4, 5, 6]


def test_browsers_say_it_in_the_address_first_and_in_the_header_later(api: httpx.Client, store: SyncStore) -> None:
    """A browser repeats its first address when it connects again, so the header counts before the parameter."""
    task_id = settled(api, store, State.COMPLETED)
    address = f"{path(task_id)}?last_event_id=0"
    assert [event.id for event in stream_of(api, address)] == [1, 2]
    assert [event.id for event in stream_of(api, address, after=1)] == [2]


def test_who_has_heard_the_end_is_told_to_stay_away(api: httpx.Client, store: SyncStore) -> None:
    """204, the only answer after which a browser does not connect again."""
    task_id = settled(api, store, State.COMPLETED)
    answer = api.get(path(task_id), headers={"Last-Event-ID": "2"})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("wrong", ["-1", "1-0", "seven", "1" * 30])
def test_an_id_that_is_none(api: httpx.Client, wrong: str) -> None:
    """TS-146: refused with the remedy, rather than taken for the beginning."""
    answer = api.get(path(submitted(api)), params={"last_event_id": wrong})
    assert answer.status_code == 400
    assert answer.json()["details"]["last_event_id"].startswith("Must be the id of an event of this task")


# -- gaps ----------------------------------------------------------------------------------------------------------------


def test_a_gap_is_said_where_events_are_no_longer_kept(
    api: httpx.Client, store: SyncStore, redis_server: Redis
) -> None:
    """The stream is capped: who asks for what has left it hears how many are missing, and then those that are left."""
    task_id = started(api, store)
    report(store, task_id, 0.1, 0.2, 0.3)
    redis_server.client.xtrim(key("events", task_id), maxlen=2, approximate=False)
    gap = {"task_id": task_id, "after": 1, "next": 3, "missed": 1}
    with listening(api, path(task_id), after=1) as listener:
        wait_for("those that are left", lambda: listener.ids == [2, 3, 4])
        assert (listener.heard[0].event, listener.heard[0].data) == ("gap", gap)
    with listening(api, path(task_id), after=2) as listener:
        wait_for("those that are left", lambda: listener.ids == [3, 4])
    with listening(api, path(task_id)) as listener:
        wait_for("those that are left", lambda: listener.kinds == ["queued", "gap", "progress", "progress"])


def test_the_stream_is_really_capped(store: SyncStore, redis_server: Redis) -> None:
    """However long a task runs and however much it says, its stream stays within some 1,000 events."""
    lease = running(store)
    for number in range(1, 1301, 100):
        assert store.run(steps.log(lease.task_id, lease.token, number, [("info", "x" * 500)] * 100))
    assert 1000 <= redis_server.client.xlen(key("events", lease.task_id)) < 1200
    for thousandth in range(1000):
        assert store.run(steps.progress(lease.task_id, lease.token, thousandth / 1000, "rendering"))
    (told,) = store.run(steps.events([(lease.task_id, 1301)]))
    assert 99 <= len(told.events) <= 101  # each hundredth, and the step


def test_events_that_redis_lost_are_a_gap_as_well(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """Redis may come back without its last second: who has heard more than it knows goes on from what there is."""
    task_id = started(api, store)
    with listening(api, path(task_id), after=7) as listener:
        listener.wait_for("gap")
        assert listener.heard[0].data == {"task_id": task_id, "after": 7, "next": 2, "missed": 0}
        report(store, task_id, 0.5)
        wait_for("what comes", lambda: listener.ids == [1, 2])


def test_a_task_that_redis_no_longer_knows_ends_its_streams(
    api: httpx.Client, store: SyncStore, redis_server: Redis
) -> None:
    """Never a silent hang: a gap after which nothing comes, and the end."""
    task_id = started(api, store)
    with listening(api, path(task_id)) as listener:
        listener.wait_for("processing")
        redis_server.client.flushall()
        redis_server.client.publish(key("events", task_id), "")
        listener.wait_for_end()
    assert listener.heard[-1].data == {"task_id": task_id, "after": 1, "next": None, "missed": None}


# -- the service behind it -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick(_redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An API whose heart beats fast."""
    with Site(_redis, tmp_path_factory.mktemp("quick")).api(GENFLEET_HEARTBEAT_SECONDS="0.1") as client:
        yield client


def test_silence_has_a_heartbeat(redis_server: Redis, quick: httpx.Client, store: SyncStore) -> None:
    """A stream on which nothing happens says so, in a line that is no event."""
    with listening(quick, path(submitted(quick))) as listener:
        wait_for("three heartbeats", lambda: listener.parser.heartbeats >= 3)
        assert listener.kinds == ["queued"]


def test_who_hangs_up_is_forgotten(redis_server: Redis, quick: httpx.Client, store: SyncStore) -> None:
    """Nothing listens for a client that has gone; while there are some, all of them share one connection."""
    client = redis_server.client
    tasks = [submitted(quick) for _ in range(3)]
    channels = [key("events", task_id) for task_id in tasks]

    def heard() -> list[int]:
        return [count for _, count in client.pubsub_numsub(*channels)]

    before = len(client.client_list(_type="pubsub"))
    with listening(quick, path(tasks[0])), listening(quick, path(tasks[0])), listening(quick, path(tasks[1])):
        wait_for("two tasks are listened to", lambda: heard() == [1, 1, 0])
        assert len(client.client_list(_type="pubsub")) <= max(before, 2)  # of this API, and of the one that tests share
    wait_for("nobody listens", lambda: heard() == [0, 0, 0])


def test_fifty_listeners_hear_everything_once_and_in_order(
    redis_server: Redis, quick: httpx.Client, store: SyncStore
) -> None:
    """Many at once, on one task and on others: all of them hear all of their task, and nothing else."""
    tasks = [started(quick, store) for _ in range(5)]
    heard: list[tuple[str, list[Heard]]] = []

    async def listen(client: httpx.AsyncClient, task_id: str) -> None:
        parser = Parser()
        async with client.stream("GET", path(task_id)) as response:
            lines = [line async for line in response.aiter_lines()]
        heard.append((task_id, [event for line in lines if (event := parser.feed(line))]))

    async def everything() -> None:
        limits = httpx.Limits(max_connections=None)
        headers = {"X-API-Key": KEY}
        async with (
            httpx.AsyncClient(base_url=quick.base_url, headers=headers, limits=limits, trust_env=False) as client,
            anyio.create_task_group() as group,
        ):
            for number in range(50):
                group.start_soon(listen, client, tasks[number % 5])
            await anyio.to_thread.run_sync(work)

    def work() -> None:
        for hundredth in range(0, 100, 5):
            for task_id in tasks:
                report(store, task_id, hundredth / 100)
        for task_id in tasks:
            complete(store, task_id)

    anyio.run(everything)
    assert len(heard) == 50
    for task_id, events in heard:
        assert [event.id for event in events] == list(range(23))
        assert {event.data["task_id"] for event in events} == {task_id}


def test_a_slow_listener_is_behind_but_misses_nothing(redis_server: Redis, store: SyncStore) -> None:
    """What is kept at hand is bounded: who comes back after more than that is read to from Redis."""
    lease = running(store)
    told = 3 * TAIL

    async def listen() -> list[Event | Gap | None]:
        own = AsyncStore(redis_server.url)
        feed = Feed(own)
        async with anyio.create_task_group() as group:
            group.start_soon(feed.run)
            listener = feed.follow(lease.task_id, 1, 0, 60)
            heard = [await anext(listener)]
            for number in range(1, told + 1):
                await own.run(steps.log(lease.task_id, lease.token, number, [("info", str(number))]))
                await anyio.lowlevel.checkpoint()
            await own.run(steps.complete(lease.task_id, lease.token, b"{}"))
            heard += [event async for event in listener]
            group.cancel_scope.cancel()
        await own.close()
        return heard

    heard = anyio.run(listen)
    assert [event.number for event in heard if event] == list(range(1, told + 3))


def test_nobody_is_ahead_of_the_feed(redis_server: Redis, store: SyncStore) -> None:
    """A listener that reads Redis meets events of which the feed has not heard yet: they come by the feed, once."""
    lease = running(store)
    store.run(steps.complete(lease.task_id, lease.token, b"{}"))

    async def listen() -> list[Event | Gap | None]:
        own = AsyncStore(redis_server.url)
        feed = Feed(own)
        listener = feed.follow(lease.task_id, 1, 0, 0.05)
        heard = [await anext(listener), await anext(listener)]
        async with anyio.create_task_group() as group:
            group.start_soon(feed.run)
            heard += [event async for event in listener if event]
            group.cancel_scope.cancel()
        await own.close()
        return heard

    first, nothing, second = anyio.run(listen)
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert (first.number, nothing, second.number) == (1, None, 2)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """An installation whose Redis may be stopped."""
    (tmp_path / "redis").mkdir()
    site = Site(Redis(tmp_path / "redis", free_port()), tmp_path)
    site.redis.start()
    yield site
    site.redis.stop()


def test_redis_may_be_away_in_the_middle(own: Site) -> None:
    """NS-010: the stream lives on, says that it does, and then goes on with the very next event: none lost, none twice."""
    store = SyncStore(own.redis.url)
    with own.api(GENFLEET_HEARTBEAT_SECONDS="0.1") as api:
        task_id = started(api, store)
        with listening(api, path(task_id)) as listener:
            report(store, task_id, 0.1)
            listener.wait_for("progress")
            own.redis.stop()
            silent = listener.parser.heartbeats
            wait_for("heartbeats without Redis", lambda: listener.parser.heartbeats > silent + 1)
            assert api.get(path(task_id)).status_code == 503
            own.redis.start()
            report(store, task_id, 0.2, 0.3)
            complete(store, task_id)
            listener.wait_for_end()
    store.close()
    assert listener.ids == [0, 1, 2, 3, 4, 5], listener.heard


def test_a_service_that_stops_lets_its_listeners_go(redis_server: Redis, store: SyncStore, tmp_path: Path) -> None:
    """A stopping API ends its streams at once, well within its grace; who comes back to another goes on there."""
    port, log = free_port(), tmp_path / "api.log"
    environment = Site(redis_server, tmp_path).environment(PORT=str(port))
    with (
        program("genfleet_service", log=log, environment=environment) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": KEY}, trust_env=False) as api,
    ):
        wait_for("the API answers", lambda: is_up(api), within=30)
        task_id = started(api, store)
        with listening(api, path(task_id)) as listener:
            listener.wait_for("processing")
            process.send_signal(signal.SIGTERM)
            listener.wait_for_end()
            assert process.wait(5) == -signal.SIGTERM
    assert "Cancel" not in log.read_text()


def is_up(api: httpx.Client) -> bool:
    """Whether it answers."""
    try:
        return api.get("/health").is_success
    except httpx.TransportError:
        return False
