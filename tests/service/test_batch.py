"""Many submissions in one request: each accepted or refused by itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import pytest

from genfleet.contract.keys import key
from tests.service.acts import look, post, submission
from tests.support.servers import Redis, Site


def batch(api: httpx.Client, *tasks: Any, **headers: str) -> dict[str, Any]:
    """The answer to a batch."""
    answer = api.post("/api/v1/tasks/batch", json={"tasks": tasks}, headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ids(body: dict[str, Any]) -> list[str]:
    """The tasks that were accepted, in their order."""
    return [result["task"]["task_id"] for result in body["results"] if result["task"]]


def test_a_batch_is_as_many_submissions(api: httpx.Client) -> None:
    """TS-014, TS-016: each answer is the documented one, in the order given, and each task has its place in line."""
    parts = (submission(project_id=f"p{number % 2}", task_data={"prompt": str(number)}) for number in range(100))
    body = batch(api, *parts)
    assert (body["accepted"], body["refused"]) == (100, 0)
    assert [result["index"] for result in body["results"]] == list(range(100))
    assert [result["task"]["queue_position"] for result in body["results"]] == list(range(1, 101))
    assert look(api, ids(body)[41])["task_data"] == {"prompt": "41"}


def test_each_wrong_part_has_the_error_that_it_would_have_alone(api: httpx.Client) -> None:
    """TS-146: what is wrong with one keeps none of the others from being done."""
    wrong: list[Any] = [
        submission(priority=9),
        {"task_type": "generate_image", "task_data": {}},
        5,
        submission(task_type="x"),
    ]
    body = batch(api, wrong[0], submission(), *wrong[1:], submission())
    assert [bool(result["task"]) for result in body["results"]] == [False, True, False, False, False, True]
    assert (body["accepted"], body["refused"]) == (2, 4)
    for part, index in ((wrong[0], 0), (wrong[1], 2), (wrong[3], 4)):
        alone = post(api, part)
        assert body["results"][index]["error"] == {"status": alone.status_code, **alone.json()}
    assert body["results"][3]["error"]["details"] == {"body": "Must be a JSON object"}


def test_limits_hold_for_each_part(site: Site) -> None:
    """TS-152, TS-154: the parts that fit are accepted, the others are told when to come again."""
    with site.api(GENFLEET_PROJECT_TASKS="3") as api:
        body = batch(api, *[submission()] * 5)
    assert (body["accepted"], body["refused"]) == (3, 2)
    assert {result["error"]["status"] for result in body["results"][3:]} == {429}
    assert all(result["error"]["retry_after"] >= 1 for result in body["results"][3:])


def test_a_batch_that_is_sent_again_makes_no_task_twice(api: httpx.Client, redis_server: Redis) -> None:
    """NS-005: under its Idempotency-Key each part is answered with the task that it made."""
    tasks = [submission(task_data={"prompt": "a"}), submission(task_data={"prompt": "b"})]
    first, again = (batch(api, *tasks, **{"Idempotency-Key": "one"}) for _ in range(2))
    assert ids(first) == ids(again)
    assert redis_server.client.hget(key("counters"), "total_tasks") == b"2"
    longer = batch(api, *tasks, submission(), **{"Idempotency-Key": "one"})
    assert ids(longer)[:2] == ids(first)
    other = batch(api, submission(task_data={"prompt": "c"}), **{"Idempotency-Key": "one"})
    assert other["results"][0]["error"]["error"] == "idempotency_key_reused"


def test_a_batch_tells_what_is_left_and_whether_it_came_before(site: Site) -> None:
    """TS-150, TS-152, NS-005: the headers of a submission: after all parts, of the project only where there is one."""
    tasks = [submission(task_data={"prompt": text}) for text in "ab"]
    with site.api(GENFLEET_PROJECT_TASKS="5") as api:
        send = partial(api.post, "/api/v1/tasks/batch", headers={"Idempotency-Key": "one"})
        first, again = (send(json={"tasks": tasks}).headers for _ in range(2))
        more = send(json={"tasks": [*tasks, submission(project_id="another")]}).headers
    assert [part.partition(";t=")[0] for part in first["ratelimit"].split(", ")] == [
        '"submissions";r=98',
        '"project";r=3',
    ]
    assert "idempotent-replayed" not in first
    assert again["idempotent-replayed"] == "true"
    assert '"project"' not in more["ratelimit"]
    assert "idempotent-replayed" not in more


def test_a_part_may_have_a_key_of_its_own(api: httpx.Client) -> None:
    """NS-005: the same part in another batch, or alone under that key, is the same task."""
    part = submission(task_data={"prompt": "a"})
    first = batch(api, part | {"idempotency_key": "mine"}, part)
    assert len(set(ids(first))) == 2
    assert ids(batch(api, part | {"idempotency_key": "mine"}))[0] == ids(first)[0]
    alone = api.post("/api/v1/tasks/submit", json=part, headers={"Idempotency-Key": "mine"})
    assert alone.json()["task_id"] == ids(first)[0]


def test_a_part_that_cannot_be_compared_is_refused_alone(api: httpx.Client) -> None:
    """NS-005, TS-146: with a name, what is nested too deep to be compared; the other parts are tasks."""
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    body = batch(api, submission(anything=deep), submission(), **{"Idempotency-Key": "one"})
    assert [result["error"] and result["error"]["status"] for result in body["results"]] == [400, None]


@pytest.mark.parametrize(
    ("body", "details"),
    [
        pytest.param({"tasks": []}, {"tasks": "Give at least one task"}, id="none"),
        pytest.param({}, {"tasks": "Tasks is required"}, id="no list"),
        pytest.param({"tasks": [{}] * 101}, {"tasks": "At most 100 tasks in a batch; these are 101"}, id="101"),
        pytest.param(
            {"tasks": [{}], "project": "p"}, {"project": "Project is not known here: use tasks"}, id="another field"
        ),
    ],
)
def test_what_is_no_batch_is_refused(api: httpx.Client, body: dict[str, Any], details: dict[str, str]) -> None:
    """TS-146: nothing is done, and the field is named."""
    answer = api.post("/api/v1/tasks/batch", json=body)
    assert (answer.status_code, answer.json()["details"]) == (400, details)
