"""Many tasks of a project at once: cancelled or submitted again by a filter, as often as it is asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from genfleet.contract.states import State
from genfleet.contract.task_types import QUEUES
from genfleet.store import bulk, capacity, steps
from genfleet.store.bulk import Filter
from genfleet.store.client import SyncStore
from tests.service.acts import PROJECT, in_line, look, make_older, settled, started, submitted
from tests.support.servers import Redis, Site
from tests.support.tasks import record
from tests.support.waiting import wait_for


def act(api: httpx.Client, action: str, project: str = PROJECT, **body: Any) -> dict[str, Any]:
    """The answer to a request on many tasks."""
    answer = api.post(f"/api/v1/projects/{project}/tasks/{action}", json=body)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def numbers(said: dict[str, Any]) -> tuple[int, int, int, int]:
    """Matched, done, skipped, remaining."""
    return said["matched"], said["done"], said["skipped"], said["remaining"]


def copies(store: SyncStore, project: str = PROJECT) -> list[str]:
    """The queued tasks of a project."""
    return [task.id for task in store.run(steps.project_tasks(project, state=State.QUEUED, limit=100)).tasks]


def test_a_dry_run_tells_and_does_nothing(api: httpx.Client, store: SyncStore) -> None:
    """TS-031: how many fit, and some of them; nothing is changed."""
    made = [submitted(api) for _ in range(7)]
    said = act(api, "cancel", dry_run=True)
    assert (said["dry_run"], numbers(said)) == (True, (7, 0, 0, 7))
    sample = {task["task_id"] for task in said["sample"]}  # the newest, but several may be of one millisecond
    assert (len(sample), sample <= set(made)) == (5, True)
    assert {record(store, task_id).state for task_id in made} == {State.QUEUED}


def test_a_cancellation_without_a_body_is_refused(api: httpx.Client, store: SyncStore) -> None:
    """TS-146: whoever forgets the body does not lose a project; the answer says what to send, `{}` for all."""
    task_id = submitted(api)
    answer = api.post(f"/api/v1/projects/{PROJECT}/tasks/cancel")
    words = 'Say which: {"status": "queued"}, or {} for all; {"dry_run": true} only counts'
    assert (answer.status_code, answer.json()["details"]) == (400, {"body": words})
    assert record(store, task_id).state is State.QUEUED
    assert act(api, "cancel")["done"] == 1


def test_queued_and_running_tasks_are_cancelled(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-039, TS-042: each as by itself, with its message gone; a second request finds nothing to do."""
    waiting, running = submitted(api), started(api, store)
    over = settled(api, store, State.COMPLETED)
    later = submitted(api, delay_seconds=60)
    of_others = in_line(redis_server) - 1  # a test's claim leaves its message where it is
    assert numbers(act(api, "cancel")) == (3, 3, 0, 0)
    assert {record(store, task_id).state for task_id in (waiting, running, later)} == {State.CANCELLED}
    assert record(store, over).state is State.COMPLETED
    assert in_line(redis_server) == of_others
    assert numbers(act(api, "cancel")) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("wanted", "hit"),
    [
        pytest.param({"status": "processing"}, {"running"}, id="by status"),
        pytest.param({"task_type": "generate_video"}, {"video"}, id="by type"),
        pytest.param({"since": "old"}, {"running", "video", "new"}, id="since"),
        pytest.param({"until": "old"}, {"oldest"}, id="until"),
    ],
)
def test_only_what_fits_is_cancelled(
    api: httpx.Client, store: SyncStore, redis_server: Redis, wanted: dict[str, str], hit: set[str]
) -> None:
    """TS-030, TS-031, TS-038: the filters of the list, and never another project's tasks."""
    made = {name: submitted(api) for name in ("oldest", "old", "new")}
    make_older(redis_server, made["oldest"], timedelta(hours=3))
    make_older(redis_server, made["old"], timedelta(hours=2))
    made |= {"running": started(api, store), "video": submitted(api, task_type="generate_video")}
    made["other"] = submitted(api, project_id="other")
    moment = (
        f"{look(api, made['old'])['created_at'].removesuffix('Z')}.{record(store, made['old']).created_ms % 1000:03d}Z"
    )
    said = act(api, "cancel", **{name: moment if value == "old" else value for name, value in wanted.items()})
    assert said["done"] == len(hit)
    assert {name for name, task_id in made.items() if record(store, task_id).state is State.CANCELLED} == hit


def test_a_chunk_says_what_is_left_and_leaves_alone_what_came_later(store: SyncStore, api: httpx.Client) -> None:
    """Each step is bounded, so others' requests come between; the end of the time is fixed by the first."""
    made = [submitted(api) for _ in range(5)]
    wanted = Filter(PROJECT, State.QUEUED)
    first = store.run(bulk.cancel_some(wanted, 2))
    assert (first.done, first.left) == (2, 3)
    assert sum(record(store, task_id).state is State.CANCELLED for task_id in made) == 2
    wait_for("a later millisecond", lambda: store.run(capacity.observe(QUEUES)).now_ms >= first.before_ms)
    late = submitted(api)
    rest = store.run(bulk.cancel_some(Filter(PROJECT, State.QUEUED, before_ms=first.before_ms), 100))
    assert (rest.done, rest.left) == (3, 0)
    assert record(store, late).state is State.QUEUED


def test_failed_tasks_are_submitted_again_once(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-053, TS-054: each under a new id with its own data; a request that is repeated makes no second copy."""
    failed = [settled(api, store, State.FAILED, task_data={"prompt": str(number)}, priority=3) for number in range(3)]
    settled(api, store, State.CANCELLED)
    before = in_line(redis_server, priority=3)
    assert numbers(act(api, "retry")) == (3, 3, 0, 0)
    made = {record(store, task_id).retry_of: record(store, task_id) for task_id in copies(store)}
    assert made.keys() == set(failed)
    for number, task_id in enumerate(failed):
        again = made[task_id]
        assert (again.data, again.priority, again.type) == ({"prompt": str(number)}, 3, "generate_image")
    assert in_line(redis_server, priority=3) - before == 3
    assert numbers(act(api, "retry")) == (3, 0, 3, 0)
    assert len(copies(store)) == 3
    assert numbers(act(api, "retry", status="cancelled")) == (1, 1, 0, 0)


def test_a_retry_goes_on_where_a_limit_stopped_it(site: Site, store: SyncStore) -> None:
    """TS-152, TS-154: what the limits let in is submitted; the answer says why it stopped and where to go on."""
    with site.api(GENFLEET_PROJECT_TASKS="4") as api:
        for _ in range(6):
            settled(api, store, State.FAILED)
        first = act(api, "retry")
        assert numbers(first) == (6, 4, 0, 2)
        assert (first["stopped_by"]["error"], first["cursor"] is not None) == ("rate_limit_exceeded", True)
        for task_id in copies(store):
            store.run(steps.cancel(task_id))
        second = act(api, "retry", cursor=first["cursor"])
    assert (numbers(second), second["cursor"], second["stopped_by"]) == ((2, 2, 0, 0), None, None)


def test_a_full_queue_keeps_out_its_own_tasks_alone(site: Site, store: SyncStore) -> None:
    """TS-147: what another queue took is told as done, and only once, although the next request begins before it."""
    with site.api(GENFLEET_QUEUE_LENGTH="1") as api:
        for task_type in ("generate_image", "generate_video"):
            settled(api, store, State.FAILED, task_type=task_type)
        other = submitted(api, project_id="other")
        first = act(api, "retry")
        assert (numbers(first), first["stopped_by"]["error"]) == ((2, 1, 0, 1), "service_unavailable")
        store.run(steps.cancel(other))
        assert numbers(act(api, "retry")) == (2, 1, 1, 0)
    assert len(copies(store)) == 2


def test_a_cursor_finds_its_place_among_tasks_of_one_moment(store: SyncStore, api: httpx.Client) -> None:
    """Many tasks may have been created in one millisecond: none is left out, and none comes twice."""
    made = [settled(api, store, State.FAILED) for _ in range(5)]
    index = f"genfleet:index:failed:*:{PROJECT}"
    client = store._redis
    client.zadd(index, dict.fromkeys(made, 1000))
    seen: list[str] = []
    after = None
    while True:
        chosen = store.run(bulk.select(Filter(PROJECT, State.FAILED), after, 2))
        seen += [task.id for task in chosen.tasks]
        if not chosen.left:
            break
        after = chosen.tasks[-1]
    assert sorted(seen) == sorted(made)


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        pytest.param("cancel", {"status": "failed"}, "status", id="a state that cannot be cancelled"),
        pytest.param("retry", {"status": "queued"}, "status", id="a state that cannot be retried"),
        pytest.param("cancel", {"task_type": "x"}, "task_type", id="an unknown type"),
        pytest.param("retry", {"cursor": "5"}, "cursor", id="a broken cursor"),
        pytest.param("cancel", {"since": 5}, "since", id="a number for a time"),
        pytest.param("cancel", {"limit": 5}, "limit", id="another field"),
    ],
)
def test_wrong_requests(api: httpx.Client, action: str, body: dict[str, Any], field: str) -> None:
    """TS-146: 400 with the field by name, and nothing is done."""
    answer = api.post(f"/api/v1/projects/{PROJECT}/tasks/{action}", json=body)
    assert (answer.status_code, list(answer.json()["details"])) == (400, [field])


def test_a_misspelt_field_is_asked_about(api: httpx.Client) -> None:
    """TS-146: who writes `dryrun` cancels nothing, and reads which name was meant."""
    answer = api.post(f"/api/v1/projects/{PROJECT}/tasks/cancel", json={"dryrun": True})
    words = "dryrun is not known; did you mean 'dry_run'?"
    assert (answer.status_code, answer.json()["details"]) == (400, {"dryrun": words})
