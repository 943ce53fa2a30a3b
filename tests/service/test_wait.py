"""`Prefer: wait`: the end of a task as the answer to its submission, for clients that would wait for it anyway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.service.acts import PROJECT, claim, settled, submission, submitted
from tests.support.servers import Redis, Site
from tests.support.waiting import wait_for

SUBMITTED = {"task_id", "status", "project_id", "estimated_duration", "queue_position", "created_at"}


@pytest.fixture
def meanwhile() -> Iterator[Callable[..., Future[httpx.Response]]]:
    """Sends a request that is not answered yet."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit


def submit(api: httpx.Client, prefer: str) -> httpx.Response:
    """A submission that would rather wait."""
    return api.post("/api/v1/tasks/submit", json=submission(), headers={"Prefer": prefer})


def the_task(store: SyncStore) -> str:
    """The id of the one task that there is, once it is there."""

    def ids() -> list[str]:
        return [task.id for task in store.run(steps.project_tasks(PROJECT)).tasks]

    return wait_for("a task is submitted", ids)[0]


def test_a_submission_is_answered_with_the_end(
    api: httpx.Client, store: SyncStore, meanwhile: Callable[..., Future[httpx.Response]]
) -> None:
    """TS-014, TS-021: every field of a submission and of a status, as soon as the task has ended."""
    asked = meanwhile(submit, api, "respond-async, wait=20")
    task_id = the_task(store)
    claim(store, task_id)
    assert not asked.done()
    store.run(steps.complete(task_id, 1, b'{"media_url":"https://media.ft.tc/a.png"}'))
    answer = asked.result(10)
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=20")
    body = answer.json()
    assert body["queue_position"] == 1
    assert {**body, **api.get(f"/api/v1/tasks/{task_id}/status").json()} == body
    assert (body["status"], body["result"]) == ("completed", {"media_url": "https://media.ft.tc/a.png"})
    assert body.keys() > SUBMITTED


def test_a_repeated_submission_waits_for_the_first_one(
    api: httpx.Client, store: SyncStore, redis_server: Redis
) -> None:
    """TS-014: with an Idempotency-Key a client that lost the answer asks again, and hears of the end, however long ago."""
    headers = {"Prefer": "wait=0", "Idempotency-Key": "once"}
    first = api.post("/api/v1/tasks/submit", json=submission(), headers=headers).json()
    claim(store, first["task_id"])
    store.run(steps.complete(first["task_id"], 1, b"{}"))
    redis_server.client.delete(key("events", first["task_id"]))
    again = api.post("/api/v1/tasks/submit", json=submission(), headers=headers).json()
    assert (again["task_id"], again["status"]) == (first["task_id"], "completed")


def test_a_wait_that_is_over_gives_the_usual_answer(api: httpx.Client) -> None:
    """TS-014: the task goes on, and the answer is that of a submission without a wait."""
    answer = submit(api, "wait=0")
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=0")
    assert (answer.json().keys(), answer.json()["status"]) == (SUBMITTED, "queued")
    assert api.get(f"/api/v1/tasks/{answer.json()['task_id']}/status").json()["status"] == "queued"


def test_nobody_waits_longer_than_allowed(redis_server: Redis, site: Site) -> None:
    """The service says how long it waited at the most, which may be less than was asked for."""
    with site.api(GENFLEET_LONGEST_WAIT_SECONDS="1") as api:
        began = time.monotonic()
        assert submit(api, "wait=600").headers["preference-applied"] == "wait=1"
        assert 1 <= time.monotonic() - began < 5


@pytest.mark.parametrize("prefer", ["respond-async", "wait", "wait=soon", "wait=-1", "await=5", "wait=5s"])
def test_what_cannot_be_understood_is_no_wait(api: httpx.Client, prefer: str) -> None:
    """RFC 7240: a preference is ignored rather than refused, and then not said to be applied."""
    answer = submit(api, prefer)
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


def test_a_look_at_the_status_may_wait_as_well(
    api: httpx.Client, store: SyncStore, meanwhile: Callable[..., Future[httpx.Response]]
) -> None:
    """TS-021, TS-153: one request in place of many looks; a cancelled task has ended, too."""
    task_id = submitted(api)
    address = f"/api/v1/tasks/{task_id}/status"
    asked = meanwhile(api.get, address, headers={"Prefer": "wait=20"})
    wait_for("it waits", asked.running)
    api.delete(f"/api/v1/tasks/{task_id}")
    answer = asked.result(10)
    assert (answer.json()["status"], answer.headers["preference-applied"]) == ("cancelled", "wait=20")
    assert api.get(address, headers={"Prefer": "wait=0"}).json() == answer.json()


def test_a_task_that_has_ended_is_told_of_at_once(api: httpx.Client, store: SyncStore) -> None:
    """Nobody waits for what has happened already."""
    task_id = settled(api, store, State.FAILED)
    answer = api.get(f"/api/v1/tasks/{task_id}/status", headers={"Prefer": "wait=20"}, timeout=5)
    assert (answer.json()["status"], answer.headers["preference-applied"]) == ("failed", "wait=20")
