"""Limits as clients meet them: refusals, headers, and what is never half done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from genfleet.contract.keys import PREFIX
from genfleet.contract.states import State
from genfleet.store import outbox, steps
from genfleet.store.client import SyncStore
from genfleet.store.outbox import DeliveryState
from genfleet_service.settings import ServiceSettings
from tests.service.acts import PROJECT, claim, in_line, post, settled, submission, submitted
from tests.support.servers import Redis, Site

FEW = {
    "GENFLEET_WEBHOOK_CONCURRENCY": "0",
    "GENFLEET_SUBMISSIONS_PER_MINUTE": "6",
    "GENFLEET_STATUS_READS_PER_MINUTE": "2",
    "GENFLEET_STATUS_READS_SAVED_SECONDS": "120",
    "GENFLEET_PROJECT_TASKS": "4",
    "GENFLEET_QUEUE_LENGTH": "5",
}


@pytest.fixture(scope="module")
def _strict(_redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with Site(_redis, tmp_path_factory.mktemp("strict")).api(**FEW) as client:
        yield client


@pytest.fixture
def strict(redis_server: Redis, _strict: httpx.Client) -> httpx.Client:
    """An API with low limits."""
    return _strict


def is_refused(answer: httpx.Response, status: int, error: str, *words: str) -> bool:
    """Whether a refusal is well formed: three keys, and the same number of seconds in body and header."""
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, error), answer.text
    assert body.keys() == {"error", "message", "retry_after"}
    assert int(answer.headers["retry-after"]) == body["retry_after"] >= 1
    assert all(word in body["message"] for word in words), body
    return True


def total(api: httpx.Client) -> int:
    """How many tasks were ever accepted."""
    return int(api.get("/api/v1/tasks/metrics").json()["metrics"]["total_tasks"])


def test_the_documented_limits_hold_where_nobody_set_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """TS-150, TS-151, TS-152, TS-153: 100 and 1,000 a minute and 50 in progress; 50 tasks may be polled for 10 minutes."""
    limits = ServiceSettings().limits()
    assert (limits.submissions.per_minute, limits.reads.per_minute, limits.project_tasks) == (100, 1000, 50)
    assert limits.submissions.burst == 100
    asked_too_much_a_minute = 50 * 30 - limits.reads.per_minute
    assert limits.reads.burst // asked_too_much_a_minute == 10


def test_answers_say_what_is_left(api: httpx.Client) -> None:
    """TS-154: RateLimit and RateLimit-Policy, in the syntax of the IETF's draft, on answers that are no refusals."""
    answer = post(api, submission())
    assert answer.headers["ratelimit-policy"] == '"submissions";q=100;w=60, "project";q=50;qu="concurrent-requests"'
    assert answer.headers["ratelimit"] == '"submissions";r=99;t=1, "project";r=49'
    look = api.get(f"/api/v1/tasks/{answer.json()['task_id']}/status")
    assert look.headers["ratelimit-policy"] == '"reads";q=5000;w=300'
    assert look.headers["ratelimit"] == '"reads";r=4999;t=1'


def test_too_many_submissions_of_a_key(strict: httpx.Client) -> None:
    """TS-150, TS-154: 429 as documented, with Retry-After; nothing of the refused task is there."""
    for number in range(6):
        submitted(strict, project_id=f"p{number % 3}", task_type=("generate_image", "generate_video")[number % 2])
    answer = post(strict, submission())
    assert is_refused(answer, 429, "rate_limit_exceeded", "6 tasks a minute")
    assert answer.json()["retry_after"] in range(9, 11)
    assert re.fullmatch(r'"submissions";r=0;t=(9|10), "project";r=4', answer.headers["ratelimit"])
    assert total(strict) == 6


def test_too_many_looks_of_a_key(strict: httpx.Client) -> None:
    """TS-151, TS-154: the full record counts like the status; lists and health do not."""
    task_id = submitted(strict)
    for path in ("/status", "", "/status", ""):
        assert strict.get(f"/api/v1/tasks/{task_id}{path}").status_code == 200
    for path in ("/status", ""):
        assert is_refused(strict.get(f"/api/v1/tasks/{task_id}{path}"), 429, "rate_limit_exceeded", "2 times a minute")
    assert strict.get(f"/api/v1/projects/{PROJECT}/tasks").status_code == 200
    assert strict.get("/api/v1/health").status_code == 200


def test_too_many_tasks_of_a_project(strict: httpx.Client, store: SyncStore) -> None:
    """TS-152, TS-154: queued and running ones count; another project has its own; the end of one makes room."""
    first = submitted(strict)
    claim(store, first)
    for _ in range(3):
        submitted(strict)
    assert is_refused(post(strict, submission()), 429, "rate_limit_exceeded", PROJECT, "4 tasks")
    submitted(strict, project_id="another", task_type="generate_video")
    store.run(steps.complete(first, 1, b"{}"))
    answer = post(strict, submission())
    assert (answer.status_code, answer.headers["ratelimit"].endswith('"project";r=0')) == (200, True)


def test_a_queue_that_is_full(strict: httpx.Client, redis_server: Redis) -> None:
    """TS-147: 503 with the documented message and seconds; nothing is there of what was refused."""
    for number in range(5):
        submitted(strict, project_id=f"p{number}")
    answer = post(strict, submission())
    assert is_refused(answer, 503, "service_unavailable", "All workers are busy, please try again later")
    assert answer.json()["retry_after"] == 120
    assert (total(strict), in_line(redis_server)) == (5, 5)


def test_a_queue_without_workers_is_no_outage(strict: httpx.Client) -> None:
    """TS-147: the fleet is scaled to zero, and the task is accepted: it will wake."""
    assert strict.get("/api/v1/workers").json()["total"] == 0
    assert post(strict, submission()).json()["status"] == "queued"


def test_a_retry_is_a_submission(strict: httpx.Client, store: SyncStore) -> None:
    """TS-150, TS-152: the same rate, the same count of the project, the same refusal, and no new task."""
    failed = settled(strict, store, State.FAILED)
    for number in range(4):
        submitted(strict, task_type=("generate_image", "generate_video")[number % 2])
    answer = strict.post(f"/api/v1/tasks/{failed}/retry")
    assert is_refused(answer, 429, "rate_limit_exceeded", PROJECT)
    assert (total(strict), answer.headers["ratelimit"][:18]) == (5, '"submissions";r=1;')


def test_sending_a_webhook_again_is_a_submission(strict: httpx.Client, store: SyncStore) -> None:
    """TS-150, TS-154: it has the same receiver called, so it is let in as often."""
    task_id = settled(strict, store, State.FAILED, callback_url="https://receiver.invalid/hook")
    again = f"/api/v1/tasks/{task_id}/deliveries/resend"
    for _ in range(5):
        for parcel in store.run(outbox.take(9, 9, 9, {})).parcels:
            store.run(outbox.report(task_id, parcel.token, {"at_ms": 1}, DeliveryState.FAILED))
        assert strict.post(again).status_code == 200
    for parcel in store.run(outbox.take(9, 9, 9, {})).parcels:
        store.run(outbox.report(task_id, parcel.token, {"at_ms": 1}, DeliveryState.FAILED))
    assert is_refused(strict.post(again), 429, "rate_limit_exceeded", "6 tasks a minute")


def test_a_key_may_have_limits_of_its_own(strict: httpx.Client) -> None:
    """TS-150, TS-151, TS-152: they count instead of those of the settings, and 0 is none."""
    terms = {"name": "batch", "submissions_per_minute": 1, "status_reads_per_minute": 0, "project_tasks": 0}
    headers = {"X-API-Key": strict.post("/api/v1/keys", json=terms).json()["api_key"]}
    answer = strict.post("/api/v1/tasks/submit", json=submission(), headers=headers)
    assert answer.headers["ratelimit-policy"] == '"submissions";q=1;w=60'
    assert is_refused(
        strict.post("/api/v1/tasks/submit", json=submission(), headers=headers), 429, "rate_limit_exceeded"
    )
    for _ in range(10):
        look = strict.get(f"/api/v1/tasks/{answer.json()['task_id']}/status", headers=headers)
        assert (look.status_code, "ratelimit" in look.headers) == (200, False)
    assert post(strict, submission()).status_code == 200


def test_a_wrong_submission_costs_nothing(strict: httpx.Client) -> None:
    """TS-150, TS-146: it is told what is wrong with it, also by a key that has nothing left."""
    for _ in range(10):
        assert post(strict, submission(priority=9)).status_code == 400
    assert post(strict, submission()).headers["ratelimit"].startswith('"submissions";r=5;')


def test_replicas_share_the_limits(strict: httpx.Client, redis_server: Redis, api: httpx.Client) -> None:
    """TS-154: what one API counts is counted for the other as well, and is gone by itself when it no longer matters."""
    submitted(api, project_id="another")
    assert post(strict, submission()).headers["ratelimit"].startswith('"submissions";r=4;')
    names = list(redis_server.client.scan_iter(f"{PREFIX}rate:*"))
    assert all(0 < int(redis_server.client.pttl(name)) <= 60_001 for name in names)


# -- Idempotency-Key -----------------------------------------------------------------------------------------------------


def once(api: httpx.Client, name: str, body: dict[str, Any], **more: str) -> httpx.Response:
    """A submission under an Idempotency-Key."""
    return api.post("/api/v1/tasks/submit", json=body, headers={"Idempotency-Key": name} | more)


def test_a_repeated_submission_is_one_task_with_one_answer(api: httpx.Client, store: SyncStore) -> None:
    """NS-005: byte for byte the same answer, marked as a replay, whatever became of the task; the order of keys is free."""
    body = submission(metadata={"a": 1, "b": {"c": 2, "d": 3}}, priority=1)
    first = once(api, "order-17", body)
    store.run(steps.cancel(first.json()["task_id"]))
    again = once(api, "order-17", dict(reversed(body.items())) | {"metadata": {"b": {"d": 3, "c": 2}, "a": 1}})
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert total(api) == 1


def test_another_submission_under_the_same_name(api: httpx.Client) -> None:
    """NS-005: 422 in the documented shape, and no task; without a name, or under another one, it is a task."""
    once(api, "order-17", submission())
    answer = once(api, "order-17", submission(priority=1))
    assert (answer.status_code, answer.json()["error"]) == (422, "idempotency_key_reused")
    assert total(api) == 1
    assert once(api, "order-18", submission(priority=1)).status_code == 200
    assert post(api, submission()).status_code == 200


def test_names_belong_to_a_key(api: httpx.Client) -> None:
    """NS-005: two applications that number their orders do not meet."""
    made = api.post("/api/v1/keys", json={"name": "other"}).json()
    first = once(api, "1", submission())
    other = once(api, "1", submission(priority=1), **{"X-API-Key": made["api_key"]})
    assert (first.status_code, other.status_code) == (200, 200)


def test_no_limit_counts_a_repeated_submission(strict: httpx.Client) -> None:
    """NS-005: its answer is known, so no limit refuses it; what was refused is not remembered and may be sent again."""
    first = once(strict, "a", submission())
    for _ in range(3):
        submitted(strict)
    assert is_refused(once(strict, "b", submission()), 429, "rate_limit_exceeded")
    for _ in range(10):
        assert once(strict, "a", submission()).json() == first.json()
    strict.delete(f"/api/v1/tasks/{first.json()['task_id']}")
    assert once(strict, "b", submission()).status_code == 200


def test_duplicates_at_the_same_time_are_one_task(api: httpx.Client, redis_server: Redis) -> None:
    """NS-005: twenty at once, over connections of their own: one answer for all of them, and one message."""

    def ask(_number: int) -> httpx.Response:
        return once(api, "at-once", submission())

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert in_line(redis_server) == 1


@pytest.mark.parametrize("name", ["", "x" * 256, "two words", "schlüssel".encode()])
def test_what_is_no_name(api: httpx.Client, name: Any) -> None:
    """NS-005, TS-146: 400 that names the header, and no task."""
    answer = once(api, name, submission())
    assert (answer.status_code, list(answer.json()["details"])) == (400, ["Idempotency-Key"])
    assert total(api) == 0


def test_nesting_that_cannot_be_compared_is_refused(api: httpx.Client) -> None:
    """NS-005, TS-146: a key that we do not know may hold anything, but a request has to be comparable with the next."""
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    answer = once(api, "order-17", submission(anything=deep))
    assert (answer.status_code, list(answer.json()["details"])) == (400, ["body"])
    assert post(api, submission(anything=deep)).status_code == 200


def test_a_repeated_retry_is_one_task(api: httpx.Client, store: SyncStore) -> None:
    """NS-005, TS-052: the same new task for the same retry under the same name."""
    failed = settled(api, store, State.FAILED)
    headers = {"Idempotency-Key": "again"}
    first, again = (api.post(f"/api/v1/tasks/{failed}/retry", headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert total(api) == 2
