"""The Python client, sync and async, against a real API and a real worker."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import httpx
import pytest

from genfleet.contract.states import State
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet_client import (
    AsyncClient,
    Client,
    Forbidden,
    InvalidRequest,
    NotFound,
    Retries,
    ServiceUnavailable,
    TaskCancelled,
    TaskFailed,
    TaskServiceClient,
    TaskTimeout,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from tests.clients.conftest import QUICK
from tests.clients.front import Front, answers, limits_batches_to, loses_the_answer, over_the_limit
from tests.support.servers import KEY, Site, free_port
from tests.support.tasks import record, running, submitted


def task_ids(store: SyncStore, project: str = "p") -> list[str]:
    """The tasks of a project."""
    return [task.id for task in store.run(steps.project_tasks(project, offset=0, limit=100)).tasks]


# -- a task and its end --------------------------------------------------------------------------------------------------


def test_a_task_is_submitted_and_waited_for(client: Client, worker: None, tmp_path: Path) -> None:
    """TS-008, TS-021, TS-165: the answers are the documented bodies, and the last one has the result."""
    data = {"seconds": 0.1, "until": str(tmp_path / "seen")}  # it does not end before it was seen to run
    task = client.submit("p", "generate_image", data, priority=1, metadata={"user_id": "u"})
    seen = []
    for status in client.follow(task["task_id"], timeout=20):
        seen.append(status)
        if status["status"] == "processing":
            (tmp_path / "seen").touch()

    assert task["status"] == "queued"
    assert {status["status"] for status in seen} >= {"processing", "completed"}
    progress = [status["progress"] or 0 for status in seen]
    assert progress == sorted(progress)
    assert client.wait(task["task_id"]) == client.status(task["task_id"])
    assert (seen[-1]["result"] or {})["media_url"].endswith(".txt")
    assert client.task(task["task_id"])["metadata"] == {"user_id": "u"}


def test_a_failed_task_raises_and_is_not_submitted_again(client: Client, worker: None, store: SyncStore) -> None:
    """TS-114, TS-162: the documented text; what the service tried is not tried once more by the client."""
    task = client.submit("p", "generate_image", {"fail": "PermanentError", "message": "no such style"})

    with pytest.raises(TaskFailed, match=r"^Task failed: .*no such style") as failed:
        client.wait(task["task_id"], timeout=20)

    assert failed.value.status["status"] == "failed"
    assert task_ids(store) == [task["task_id"]]


def test_a_cancelled_task_raises(client: Client) -> None:
    """TS-041, TS-162."""
    task = client.submit("p", "generate_video", {})
    assert client.cancel(task["task_id"])["previous_state"] == "queued"

    with pytest.raises(TaskCancelled, match=r"^Task was cancelled$"):
        client.wait(task["task_id"])


def test_a_wait_ends_at_its_timeout_and_the_task_goes_on(client: Client, front: Front, store: SyncStore) -> None:
    """TS-162, TS-153: the documented text, and far fewer looks than one each 20 ms."""
    task = client.submit("p", "generate_video", {})

    with pytest.raises(TaskTimeout, match=r"^Task timeout after 1.5 seconds$"):
        client.wait(task["task_id"], timeout=1.5)

    assert record(store, task["task_id"]).state is State.QUEUED
    assert len(front.requests) < 8


def test_many_tasks_are_awaited_at_once(front: Front, worker: None) -> None:
    """TS-166: a batch of parallel submissions, and of waits, in one event loop."""

    async def batch() -> list[str]:
        async with AsyncClient(front.url, KEY) as client:
            tasks = await asyncio.gather(*(client.submit("p", "generate_image", {}) for _ in range(8)))
            ends = await asyncio.gather(*(client.wait(task["task_id"], timeout=30) for task in tasks))
            assert [end["task_id"] async for end in client.tasks("p", status="completed")]
            return [end["status"] for end in ends]

    assert asyncio.run(batch()) == ["completed"] * 8


# -- events --------------------------------------------------------------------------------------------------------------


def test_events_come_once_each_over_a_cut_connection(client: Client, front: Front, worker: None) -> None:
    """TS-165: from the submission to the end, in order; a connection that is cut is made again behind the last event."""
    task = client.submit("p", "generate_image", {"seconds": 0.6})
    front.cuts = [900]

    events = list(client.events(task["task_id"]))

    assert [path.rpartition("/")[2] for _, path in front.requests].count("events") == 2
    assert [int(event.id or -1) for event in events] == list(range(len(events)))
    assert (events[0].type, events[0].data["status"]) == ("state", "queued")
    assert [event.is_final for event in events].count(True) == 1
    assert events[-1].data["task"] == client.status(task["task_id"])


def test_events_go_on_behind_the_last_one(client: Client, worker: None) -> None:
    """TS-165: also in another process, which knows no more than the id; after the last one there are none."""
    task = client.submit("p", "generate_image", {"seconds": 0.2})
    events = list(client.events(task["task_id"]))

    assert list(client.events(task["task_id"], events[1].id)) == events[2:]
    assert list(client.events(task["task_id"], events[-1].id)) == []
    assert list(client.events(task["task_id"], int(events[1].id or ""))) == events[2:]


def test_a_task_is_followed_by_its_events(client: Client, front: Front, worker: None) -> None:
    """TS-153: one stream in place of a look every two seconds, whatever is shown of the progress meanwhile."""
    task = client.submit("p", "generate_image", {"seconds": 1})
    front.requests.clear()

    seen = [status["progress"] for status in client.follow(task["task_id"])]

    assert len(seen) >= 3
    assert seen == sorted(seen, key=lambda progress: progress or 0)
    assert len(front.requests) <= 5  # the status, the stream, and the status after each change of the state


def test_a_task_is_followed_through_a_retry(client: Client, worker: None, store: SyncStore) -> None:
    """TS-110, TS-114: an attempt that fails is not the end; when the next one comes is told."""
    task = client.submit("p", "generate_image", {"fail": "TransientError"})
    for status in client.follow(task["task_id"]):
        if status["next_attempt_at"]:
            assert (status["status"], status["attempt"]) == ("queued", 2)
            break
    else:
        pytest.fail("it ended without another attempt")


def test_where_there_is_no_stream_it_is_looked_at(client: Client, front: Front, worker: None) -> None:
    """TS-153: an older service, or a proxy that lets no stream through."""
    task = client.submit("p", "generate_image", {"seconds": 0.5})
    front.requests.clear()
    front.streams = False

    assert client.wait(task["task_id"])["status"] == "completed"
    assert [path.rpartition("/")[2] for _, path in front.requests].count("events") == 1


def test_a_stream_that_is_cut_again_and_again_does_not_matter(client: Client, front: Front, worker: None) -> None:
    """TS-165: not even where nothing gets through but the greeting."""
    task = client.submit("p", "generate_image", {"seconds": 1})
    front.cuts = [10] * 3

    assert client.wait(task["task_id"])["status"] == "completed"


def test_events_of_an_unknown_task_are_told(front: Front) -> None:
    """TS-145: the async client, too."""

    async def listen() -> None:
        async with AsyncClient(front.url, KEY) as client:
            async for _event in client.events("abc"):
                pytest.fail("there is no such task")

    with pytest.raises(NotFound):
        asyncio.run(listen())


def test_the_async_client_follows_by_events(front: Front, worker: None) -> None:
    """TS-165: the same talk, done by asyncio."""

    async def follow() -> list[str]:
        async with AsyncClient(front.url, KEY) as client:
            task = await client.submit("p", "generate_image", {"seconds": 0.5})
            front.cuts = [700]
            return [status["status"] async for status in client.follow(task["task_id"])]

    assert asyncio.run(follow())[-1] == "completed"


# -- what is lost, refused or away ---------------------------------------------------------------------------------------


def test_a_lost_answer_makes_no_second_task(client: Client, front: Front, store: SyncStore) -> None:
    """NS-005: the submission is sent again under its key, and answered as it was the first time."""
    front.tricks = [loses_the_answer]

    task = client.submit("p", "generate_video", {})

    assert [path for _, path in front.requests] == ["/api/v1/tasks/submit"] * 2
    assert task_ids(store) == [task["task_id"]]


def test_a_lost_answer_to_a_retry_makes_no_second_one(client: Client, front: Front, store: SyncStore) -> None:
    """TS-052, NS-005: each retry makes another task, but not twice."""
    task_id = submitted(store, kind="generate_video")
    store.run(steps.cancel(task_id))
    front.tricks = [loses_the_answer]

    answer = client.retry(task_id)

    assert set(task_ids(store)) == {task_id, answer["new_task_id"]}


def test_what_has_no_name_is_never_sent_twice(client: Client, front: Front) -> None:
    """NS-012: a key that is made twice would leave one that nobody has seen, so that a lost answer is told."""
    front.tricks = [loses_the_answer]

    with pytest.raises(Unreachable):
        client.create_key("auto-movie")

    assert [key["name"] for key in client.api_keys()].count("auto-movie") == 1


def test_keys_are_made_used_rotated_and_revoked(client: Client, front: Front) -> None:
    """NS-012: by whoever may give them out; a key for reading alone is forbidden to submit."""
    made = client.create_key("board", scopes=["read"])
    with Client(front.url, made["api_key"]) as board:
        assert board.queues()
        with pytest.raises(Forbidden):
            board.submit("p", "generate_video", {})
    assert client.rotate_key(made["key_id"], grace_seconds=0)["api_key"] != made["api_key"]
    assert client.revoke_key(made["key_id"])["status"] == "revoked"


def test_a_limit_is_waited_for(client: Client, front: Front) -> None:
    """TS-153, TS-154: as long as the service said; the caller sees a slower answer and no error."""
    front.tricks = [over_the_limit(1), over_the_limit(1)]

    assert client.submit("p", "generate_video", {})["status"] == "queued"
    assert len(front.requests) == 3


def test_a_limit_that_stays_is_told(front: Front) -> None:
    """TS-154: after its patience the client says what the service said."""
    front.tricks = [over_the_limit(1)] * 2
    with (
        Client(front.url, KEY, retries=Retries(limit_patience=1.5)) as client,
        pytest.raises(TooManyRequests) as refused,
    ):
        client.submit("p", "generate_video", {})

    assert (refused.value.error, refused.value.retry_after) == ("rate_limit_exceeded", 1.0)


def test_parts_of_a_batch_wait_for_a_limit(client: Client, front: Front, store: SyncStore) -> None:
    """TS-153, TS-154: as a task alone would; what was accepted before is not made twice, and what is wrong stays refused."""
    parts: list[dict[str, Any]] = [{"project_id": "p", "task_type": "generate_video", "task_data": {}}] * 3
    front.tricks = [limits_batches_to(1, retry_after=1)]

    answer = client.submit_batch([*parts, parts[0] | {"priority": 9}])

    made = [result["task"]["task_id"] for result in answer["results"] if result["task"]]
    assert [bool(result["error"]) for result in answer["results"]] == [False, False, False, True]
    assert sorted(task_ids(store)) == sorted(made)
    assert len(front.requests) == 2


def test_parts_that_were_accepted_are_told_whatever_comes_after(client: Client, front: Front, store: SyncStore) -> None:
    """TS-147: the service goes away while the others wait for a limit."""
    parts = [{"project_id": "p", "task_type": "generate_video", "task_data": {}}] * 2
    front.tricks = [limits_batches_to(1, retry_after=1), answers(500, '{"error": "internal_error"}')]

    answer = client.submit_batch(parts)

    assert [result["task"] and result["task"]["task_id"] for result in answer["results"]] == [*task_ids(store), None]


def test_parts_that_a_limit_keeps_out_are_told(front: Front, store: SyncStore) -> None:
    """TS-154: after its patience the client gives what the service said, with what was accepted."""
    parts = [{"project_id": "p", "task_type": "generate_video", "task_data": {}}] * 2
    front.tricks = [limits_batches_to(1, retry_after=30)]
    with Client(front.url, KEY, retries=QUICK) as client:
        answer = client.submit_batch(parts)

    assert (answer["accepted"], answer["refused"], len(task_ids(store))) == (1, 1, 1)


def test_an_outage_is_waited_for(client: Client, front: Front, store: SyncStore) -> None:
    """TS-147: a service that is away for a moment, or has a proxy before it that says so in HTML, is not an error."""
    task_id = submitted(store, kind="generate_video")
    front.tricks = [answers(503, "<html>no upstream</html>"), loses_the_answer]

    assert client.status(task_id)["status"] == "queued"


def test_an_outage_that_stays_is_told(site: Site, tmp_path: Any) -> None:
    """TS-147: by what the service says of it, with the seconds after which to come again."""
    with site.api() as api, Client(str(api.base_url), KEY, retries=QUICK) as client:
        site.redis.stop()
        with pytest.raises(ServiceUnavailable, match="Redis cannot be reached") as refused:
            client.status("abc")
        site.redis.start()

    assert refused.value.retry_after == 5.0


def test_a_proxy_with_nobody_behind_it_is_told(client: Client, front: Front) -> None:
    """TS-147: HTML is no reason to hide which status it was."""
    front.tricks = [answers(502, "<html>bad gateway</html>")] * 3
    with pytest.raises(ServiceUnavailable, match=r"is not available \(HTTP 502\)"):
        client.queues()


def test_somebody_else_there_is_told(client: Client, front: Front) -> None:
    """A page of something else is not taken for an answer."""
    front.tricks = [answers(200, "<html>welcome</html>")]
    with pytest.raises(Unreachable, match="does not answer as genfleet does"):
        client.queues()


def test_nobody_there_is_told() -> None:
    """With the address that was tried."""
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, retries=Retries(attempts=1)) as client, pytest.raises(Unreachable, match=url):
        client.queues()


def test_refusals_have_classes_and_details(client: Client, front: Front) -> None:
    """TS-144 to TS-146: what a program wants to know of a refusal, without reading its text."""
    with pytest.raises(InvalidRequest) as invalid:
        client.submit("p", "generate_video", {"duration": 99}, priority=9)
    assert (invalid.value.status, invalid.value.error) == (400, "validation_error")
    assert invalid.value.details.keys() == {"priority", "task_data.duration"}
    assert invalid.value.message == "Invalid task data"
    assert "task_data.duration: Duration must be between 1 and 30 seconds" in str(invalid.value)
    with pytest.raises(NotFound, match=r"Task with ID 'a\?b' not found"):
        client.task("a?b")
    with Client(front.url, "wrong") as stranger, pytest.raises(Unauthorized):
        stranger.queues()


# -- lists, and the rest of the API --------------------------------------------------------------------------------------


def test_a_list_is_read_page_by_page(client: Client, front: Front, store: SyncStore) -> None:
    """TS-030, TS-035: every task once, newest first, and no page more than there are; filters go with every page."""
    made = [submitted(store, f"{number:03}", project="a project/1", kind="generate_video") for number in range(130)]
    store.run(steps.cancel(made[0]))

    assert [task["task_id"] for task in client.tasks("a project/1")] == made[::-1]
    assert len(front.requests) == 2
    assert [task["task_id"] for task in client.tasks("a project/1", status="cancelled")] == made[:1]


def test_a_task_that_moves_to_the_next_page_is_found_once(client: Client, store: SyncStore) -> None:
    """TS-035: new tasks are put before the others, also while somebody reads."""
    made = [submitted(store, f"{number:03}", kind="generate_video") for number in range(101)]
    pages = client.tasks("p")
    first = next(pages)["task_id"]
    submitted(store, kind="generate_video")

    assert [first, *(task["task_id"] for task in pages)] == made[::-1]


def test_numbers_are_those_of_the_api(client: Client, api: httpx.Client, store: SyncStore) -> None:
    """TS-057, TS-063, TS-071, NS-008: nothing is added, and the envelopes of lists are taken off."""
    running(store, kind="generate_video")

    assert client.health()["queue_sizes"] == api.get("/api/v1/health").json()["queue_sizes"]
    assert client.metrics()["currently_running"] == 1
    assert client.queue_health()["metrics"]["total_tasks"] == 1
    assert [queue["running"] for queue in client.queues() if queue["queue"] == "gpu_heavy"] == [1]
    assert client.workers() == api.get("/api/v1/workers").json()["workers"]


# -- one client, three faces ---------------------------------------------------------------------------------------------


def test_both_clients_have_the_same_methods() -> None:
    """Whoever knows one knows the other: names and parameters are the same."""

    def methods(of: Client | AsyncClient) -> dict[str, list[str]]:
        public = (name for name in dir(of) if not name.startswith("_"))
        return {name: list(inspect.signature(getattr(of, name)).parameters) for name in public}

    with Client("http://localhost:1") as one:
        assert methods(one) == methods(AsyncClient("http://localhost:1"))
        assert "callback_url" in methods(one)["submit"]


def test_the_documents_client_has_their_signatures(front: Front, worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """TS-161, TS-163: every call that the documents show is valid, under their environment; a callback can be given."""
    monkeypatch.setenv("TASK_SERVICE_URL", front.url)
    monkeypatch.setenv("CELERY_TASK_API_KEY", KEY)

    async def use() -> None:
        client = TaskServiceClient()
        task = await client.submit_task(
            "p", "generate_image", {}, 2, {"user_id": "u"}, callback_url="https://a.example/"
        )
        assert (await client.get_task_status(task["task_id"]))["project_id"] == "p"
        end = await client.wait_for_completion(task["task_id"], timeout=30, poll_interval=2)
        assert end["status"] == "completed"
        await client.close()

    asyncio.run(use())
