"""The tasks of a project: filters, pages, order, and what is never shown."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet.store.scripts import CHORE_LIMIT, SHOWN_IN_LISTS
from tests.service.acts import (
    PROJECT,
    VIDEO_RESULT,
    exact,
    halt_chores,
    look,
    make_older,
    moment_of,
    set_times,
    settled,
    started,
    submitted,
)
from tests.support.servers import Redis

NO_TIME = "Must be a time in ISO 8601, such as 2026-01-31T10:00:00Z"


def listed(api: httpx.Client, project: str = PROJECT, **query: Any) -> dict[str, Any]:
    """One page of a project's tasks."""
    answer = api.get(f"/api/v1/projects/{quote(project, safe='')}/tasks", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ids(body: dict[str, Any]) -> list[str]:
    """The tasks of a page, in their order."""
    return [task["task_id"] for task in body["tasks"]]


def hours_old(api: httpx.Client, redis_server: Redis, *ages: float) -> list[str]:
    """Queued tasks of these ages in hours."""
    made = [submitted(api) for _ in ages]
    for task_id, age in zip(made, ages, strict=True):
        make_older(redis_server, task_id, timedelta(hours=age))
    return made


def test_the_whole_answer(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-029, TS-032, TS-033, PR-008: the documented item with the two fields of the first edition, and the page."""
    data = {"scene_description": "Detective enters the dark alley", "duration": 7}
    task_id = settled(api, store, State.COMPLETED, task_type="generate_video", task_data=data)
    finished = "2025-10-04T10:20:06Z"
    set_times(redis_server, task_id, created="2025-10-04T10:20:00Z", updated=finished, finished=finished)
    assert listed(api) == {
        "tasks": [
            {
                "task_id": task_id,
                "project_id": PROJECT,
                "task_type": "generate_video",
                "status": "completed",
                "task_data": data,
                "result": VIDEO_RESULT,
                "created_at": "2025-10-04T10:20:00Z",
                "updated_at": finished,
                "completed_at": finished,
                "result_url": VIDEO_RESULT["media_url"],
            }
        ],
        "pagination": {"page": 1, "limit": 20, "total": 1, "total_pages": 1},
    }


def test_what_is_not_known_yet_is_null(api: httpx.Client) -> None:
    """TS-033: a task that waits has no result, no end and no address of a file."""
    submitted(api)
    (task,) = listed(api)["tasks"]
    assert (task["status"], task["result"], task["completed_at"], task["result_url"]) == ("queued", None, None, None)


def test_a_project_without_tasks(api: httpx.Client) -> None:
    """NS-007: an empty list has no pages at all."""
    empty = {"tasks": [], "pagination": {"page": 1, "limit": 20, "total": 0, "total_pages": 0}}
    assert listed(api, "nobody-has-heard-of-it") == empty


def test_newest_first(api: httpx.Client, redis_server: Redis) -> None:
    """TS-035, PR-009: by the time of creation, whatever order the ids or the states have."""
    middle, oldest, newest = hours_old(api, redis_server, 2, 3, 1)
    assert ids(listed(api)) == [newest, middle, oldest]


def test_a_change_of_state_keeps_the_order(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-035: the oldest task stays last, also when it is the last that something happened to."""
    newer, older = hours_old(api, redis_server, 1, 2)
    assert store.run(steps.cancel(older))
    assert ids(listed(api)) == [newer, older]


@pytest.mark.parametrize("state", list(State))
def test_by_status(api: httpx.Client, store: SyncStore, state: State) -> None:
    """TS-031, PR-006: each of the five states can be asked for, and only its tasks come."""
    by_state = {other: settled(api, store, other) for other in State}
    body = listed(api, status=state.value)
    assert (ids(body), body["pagination"]["total"]) == ([by_state[state]], 1)


def test_by_type(api: httpx.Client) -> None:
    """TS-031, PR-007: only tasks of the type that was asked for; one that nobody submitted has none."""
    video, image = submitted(api, task_type="generate_video"), submitted(api, task_type="generate_image")
    assert ids(listed(api, task_type="generate_video")) == [video]
    assert ids(listed(api, task_type="generate_image")) == [image]
    assert ids(listed(api, task_type="evaluate_department")) == []


def test_filters_combine_with_and(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-031, TS-030: a task is shown, and counted, only if it fits the status, the type and the time."""
    settled(api, store, State.COMPLETED, task_type="generate_image")
    submitted(api, task_type="generate_video")
    older = settled(api, store, State.COMPLETED, task_type="generate_video")
    make_older(redis_server, older, timedelta(hours=2))
    wanted = settled(api, store, State.COMPLETED, task_type="generate_video")
    make_older(redis_server, wanted, timedelta(hours=1))
    since = moment_of(redis_server, older, "created").replace("Z", ".999Z")
    body = listed(api, status="completed", task_type="generate_video", since=since)
    assert (ids(body), body["pagination"]["total"]) == ([wanted], 1)


def test_a_day_is_a_time(api: httpx.Client) -> None:
    """PR-005: its first moment, in UTC."""
    task_id = submitted(api)
    assert (ids(listed(api, since="2026-01-01")), ids(listed(api, since="2999-01-01"))) == ([task_id], [])


@pytest.mark.parametrize("written", ["{}Z", "{}", "{}+00:00", "{}.000Z"])
def test_since_takes_every_usual_way_to_write_a_time(api: httpx.Client, redis_server: Redis, written: str) -> None:
    """PR-005, TS-030: ISO 8601 with or without a zone (then it is UTC) and with or without a fraction."""
    older, newer = hours_old(api, redis_server, 2, 1)
    since = moment_of(redis_server, newer, "created").removesuffix("Z")
    assert ids(listed(api, since=written.format(since))) == [newer]
    assert older in ids(listed(api))


def test_since_means_after(api: httpx.Client, redis_server: Redis) -> None:
    """PR-005: a task that was created at that very moment is not shown."""
    task_id = submitted(api)
    created = exact(redis_server, task_id, "created")
    assert ids(listed(api, since=created.isoformat())) == []
    assert ids(listed(api, since=(created - timedelta(milliseconds=1)).isoformat())) == [task_id]


def test_pages(api: httpx.Client, redis_server: Redis) -> None:
    """TS-030, TS-034: every task is on exactly one page, the last page is short, and one after it is empty."""
    newest_first = hours_old(api, redis_server, 1, 2, 3, 4, 5)
    pages = [listed(api, page=page, limit=2) for page in (1, 2, 3, 4)]
    assert [ids(page) for page in pages] == [newest_first[0:2], newest_first[2:4], newest_first[4:], []]
    assert [page["pagination"] for page in pages] == [
        {"page": page, "limit": 2, "total": 5, "total_pages": 3} for page in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize(
    ("total", "limit", "pages"),
    [
        pytest.param(5, 20, 1, id="the documents' 5 of 20"),
        pytest.param(4, 2, 2, id="an even number"),
        pytest.param(5, 2, 3, id="rounded up"),
        pytest.param(1, 100, 1, id="the largest page"),
        pytest.param(2, 1, 2, id="the smallest page"),
    ],
)
def test_the_number_of_pages(api: httpx.Client, total: int, limit: int, pages: int) -> None:
    """TS-034: `total_pages` is `total` by `limit`, rounded up."""
    for _ in range(total):
        submitted(api)
    expected = {"page": 1, "limit": limit, "total": total, "total_pages": pages}
    assert listed(api, limit=limit)["pagination"] == expected


@pytest.mark.parametrize(
    ("query", "details"),
    [
        pytest.param({"limit": 0}, {"limit": "Input should be greater than or equal to 1"}, id="NS-007 limit 0"),
        pytest.param({"limit": 101}, {"limit": "Input should be less than or equal to 100"}, id="NS-007 limit 101"),
        pytest.param({"page": 0}, {"page": "Input should be greater than or equal to 1"}, id="NS-007 page 0"),
        pytest.param(
            {"page": "two"},
            {"page": "Must be a whole number"},
            id="a page in words",
        ),
        pytest.param(
            {"status": "done"},
            {"status": "Input should be 'queued', 'processing', 'completed', 'failed' or 'cancelled'"},
            id="a status that does not exist",
        ),
        pytest.param(
            {"since": "yesterday"},
            {"since": NO_TIME},
            id="a time in words",
        ),
        pytest.param(
            {"since": "1769853600", "until": "-1e9"},
            {
                "since": NO_TIME,
                "until": NO_TIME,
            },
            id="times as numbers",
        ),
        pytest.param(
            {"limit": 0, "page": 0},
            {
                "limit": "Input should be greater than or equal to 1",
                "page": "Input should be greater than or equal to 1",
            },
            id="both at once",
        ),
        pytest.param({"stauts": "completed"}, {"stauts": "stauts is not known; did you mean 'status'?"}, id="a slip"),
    ],
)
def test_wrong_queries(api: httpx.Client, query: dict[str, Any], details: dict[str, str]) -> None:
    """NS-007, TS-030, TS-146: 400 in the documented shape, not the framework's 422, with each parameter by name."""
    answer = api.get("/api/v1/projects/p/tasks", params=query)
    assert answer.status_code == 400
    assert answer.json() == {"error": "validation_error", "message": "Invalid query", "details": details}


def test_a_parameter_like_none_of_ours_is_passed_over(api: httpx.Client) -> None:
    """TS-031: what proxies and tools add for themselves hurts nobody."""
    assert api.get("/api/v1/projects/p/tasks", params={"utm_source": "mail", "status": "failed"}).status_code == 200


def test_an_unknown_type_is_not_just_an_empty_list(api: httpx.Client) -> None:
    """TS-031, TS-018: a type with a slip of the pen is refused, with the types that there are."""
    answer = api.get("/api/v1/projects/p/tasks", params={"task_type": "generate_vidoe"})
    assert answer.status_code == 400
    assert answer.json()["details"]["task_type"].startswith("Unknown task type 'generate_vidoe': use one of generate_")


@pytest.mark.parametrize(
    "project",
    [
        pytest.param("68df4dab400c86a6a8cf40c6", id="24 hex digits"),
        pytest.param("user_42_Night & Fog_1735689600000", id="a name with blanks"),
        pytest.param("season-1/episode-2", id="a slash"),
        pytest.param("a/tasks", id="a slash and the word of the path"),
        pytest.param("ünïcode-проект-映画", id="letters of the world"),
        pytest.param("100%?#:*", id="signs with a meaning in addresses and key patterns"),
        pytest.param("x" * 255, id="255 characters"),
    ],
)
def test_a_project_id_is_free_text(api: httpx.Client, project: str) -> None:
    """TS-038: whatever text a project id is, its tasks are found under it, and under no other."""
    task_id = submitted(api, project_id=project)
    submitted(api, project_id=project[:-1] + "~")
    body = listed(api, project)
    assert (ids(body), body["pagination"]["total"]) == ([task_id], 1)
    assert body["tasks"][0]["project_id"] == project


@pytest.mark.parametrize("query", [{}, {"status": "queued"}, {"task_type": "generate_image"}])
def test_a_project_never_shows_the_tasks_of_another(api: httpx.Client, query: dict[str, str]) -> None:
    """TS-038: with or without filters, neither shown nor counted, however alike the ids are."""
    mine = submitted(api, project_id="mine")
    for other in ("yours", "mine2", "Mine", "*:mine", "min"):
        submitted(api, project_id=other)
    body = listed(api, "mine", **query)
    assert (ids(body), body["pagination"]["total"]) == ([mine], 1)


@pytest.mark.parametrize("query", [{}, {"status": "completed"}, {"task_type": "generate_image"}])
def test_expired_tasks_are_neither_shown_nor_counted(
    api: httpx.Client, store: SyncStore, redis_server: Redis, query: dict[str, str]
) -> None:
    """TS-036, PR-009: after 24 hours a finished task is not in the list any more, even if nobody has tidied up yet."""
    halt_chores(store)
    expired, kept = settled(api, store, State.COMPLETED), settled(api, store, State.COMPLETED)
    make_older(redis_server, expired, timedelta(hours=25))
    make_older(redis_server, kept, timedelta(hours=23))
    body = listed(api, **query)
    assert (ids(body), body["pagination"]["total"]) == ([kept], 1)


def test_a_list_does_not_count_expired_tasks_while_the_chores_are_behind(
    api: httpx.Client, store: SyncStore, redis_server: Redis
) -> None:
    """TS-036: more tasks have expired than one look removes, as after a long time away; none is counted, now or later."""
    halt_chores(store)
    kept = [settled(api, store, State.COMPLETED), submitted(api)]
    for task_id in kept:  # older than those that expire: what is left may stand anywhere
        make_older(redis_server, task_id, timedelta(hours=30))
    redis_server.client.zrem(key("expiry"), kept[0])
    expired(redis_server, 2 * CHORE_LIMIT + 5)
    for _ in range(4):
        body = listed(api, limit=1, page=2)
        assert (ids(body), body["pagination"]["total"], body["pagination"]["total_pages"]) == ([kept[0]], 2, 2)


def expired(redis_server: Redis, tasks: int) -> None:
    """Leaves records behind that ended long ago, and that nobody has removed."""
    client = redis_server.client.pipeline()
    for number in range(tasks):
        name, created = f"old-{number}", number + 1
        client.hset(key("task", name), mapping={"state": "failed", "type": "test_prompt", "project": PROJECT})
        for state, kind in itertools.product(("*", "failed"), ("*", "test_prompt")):
            client.zadd(key("index", state, kind, PROJECT), {name: created})
        client.zadd(key("expiry"), {name: created + 1})
    client.execute()


@pytest.mark.parametrize("field", ["task_data", "result"])
def test_a_list_leaves_out_what_is_too_large_for_it(api: httpx.Client, store: SyncStore, field: str) -> None:
    """TS-032, TS-033: a document above 16 KiB is null in a list, with its size beside it, and whole in the task itself."""
    large = {"text": "x" * SHOWN_IN_LISTS}
    if field == "task_data":
        task_id = submitted(api, task_data=large)
    else:
        task_id = started(api, store)
        assert store.run(steps.complete(task_id, 1, orjson.dumps(large)))
    (task,) = listed(api)["tasks"]
    assert (task[field], task["omitted"]) == (None, {field: len(orjson.dumps(large))})
    assert look(api, task_id)[field] == large


def test_a_document_of_16_kib_is_shown(api: httpx.Client) -> None:
    """TS-032: up to that size nothing is left out, and nothing says so."""
    data = {"text": "x" * (SHOWN_IN_LISTS - len('{"text":""}'))}
    submitted(api, task_data=data)
    (task,) = listed(api)["tasks"]
    assert task["task_data"] == data
    assert "omitted" not in task


def test_only_the_fields_that_are_asked_for(api: httpx.Client, store: SyncStore) -> None:
    """TS-032: a client that shows a table asks for its columns, and gets these alone."""
    task_id = settled(api, store, State.COMPLETED)
    submitted(api, task_data={"text": "x" * SHOWN_IN_LISTS})
    tasks = listed(api, fields="task_id, result_url")["tasks"]
    assert tasks[1] == {"task_id": task_id, "result_url": VIDEO_RESULT["media_url"]}
    assert set(tasks[0]) == {"task_id", "result_url"}
    answer = api.get(f"/api/v1/projects/{PROJECT}/tasks", params={"fields": "task_id,name"})
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"].startswith("Unknown field 'name': use some of task_id, project_id, ")


def test_until_means_before(api: httpx.Client, redis_server: Redis) -> None:
    """PR-005: with `since` it makes a window; pages and the total are of the tasks in it."""
    made = hours_old(api, redis_server, 1, 2, 3, 4)
    until = exact(redis_server, made[0], "created").isoformat()
    since = exact(redis_server, made[3], "created").isoformat()
    pages = [listed(api, since=since, until=until, limit=1, page=page) for page in (1, 2, 3)]
    assert [ids(page) for page in pages] == [[made[1]], [made[2]], []]
    assert {page["pagination"]["total"] for page in pages} == {2}
    assert listed(api, since=until, until=since)["pagination"] == {"page": 1, "limit": 20, "total": 0, "total_pages": 0}


def test_an_old_task_that_has_not_ended_is_still_listed(api: httpx.Client, redis_server: Redis) -> None:
    """TS-036: an unfinished task is shown and counted however old it is."""
    (old,) = hours_old(api, redis_server, 30)
    body = listed(api)
    assert (ids(body), body["pagination"]["total"]) == ([old], 1)
