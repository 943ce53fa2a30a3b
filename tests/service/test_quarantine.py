"""Tasks that took three workers with them: seen with their story, submitted again, let go; by whom is kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from genfleet_service.keyring import key_id_of_settings
from tests.service.acts import look, settled
from tests.service.test_key_terms import ask, make
from tests.support.servers import KEY, Site
from tests.support.tasks import poisoned, record

WARD = "/api/v1/quarantine"


def ids(api: httpx.Client, **filters: Any) -> list[str]:
    """Of the tasks in quarantine, newest first."""
    answer = api.get(WARD, params=filters)
    assert answer.status_code == 200, answer.text
    return [task["task_id"] for task in answer.json()["tasks"]]


def test_a_poison_task_is_seen_with_its_story(api: httpx.Client, store: SyncStore) -> None:
    """T3: the list says what and why; the task itself which worker ran each attempt, since when, and how it was lost."""
    task_id = poisoned(store)
    failed = settled(api, store, State.FAILED)

    answer = api.get(WARD).json()
    (task,) = answer["tasks"]
    assert (task["task_id"], task["project_id"], task["task_type"]) == (task_id, "p", "generate_image")
    assert "3 workers were lost" in task["error"]
    assert answer["pagination"] == {"page": 1, "limit": 20, "total": 1, "total_pages": 1}
    seen = look(api, task_id)
    assert seen["quarantined_at"] == task["quarantined_at"]
    assert [(each["how"], each["worker"], each["reason"]) for each in seen["story"]] == [
        ("lost", f"worker-{number}", "its process was killed by signal 9") for number in (1, 2, 3)
    ]
    assert all(each["started_at"] <= each["at"] for each in seen["story"])
    assert look(api, failed)["quarantined_at"] is None


def test_a_task_that_lost_its_worker_says_so(api: httpx.Client, store: SyncStore) -> None:
    """Its status tells why the attempt before this one ended, and its events which worker it was."""
    task_id = poisoned(store)
    assert api.get(f"/api/v1/tasks/{task_id}/status").json()["last_error"] == (
        "Its worker was lost: its process was killed by signal 9"
    )
    told = api.get(f"/api/v1/tasks/{task_id}/events", headers={"Accept": "application/json"}).json()["events"]
    lost = [event["data"] for event in told if event["event"] == "lost"]
    assert [(data["worker"], data["reason"]) for data in lost] == [
        (f"worker-{number}", "its process was killed by signal 9") for number in (1, 2, 3)
    ]


def test_pages_and_filters_of_the_quarantine(api: httpx.Client, store: SyncStore) -> None:
    """Newest first, of a project, of a type, page by page."""
    made = [poisoned(store, project=project) for project in ("a", "b", "a")]
    video = poisoned(store, project="b", kind="generate_video")

    assert set(ids(api)) == {*made, video}
    assert set(ids(api, project_id="a")) == {made[0], made[2]}
    assert ids(api, task_type="generate_video") == [video]
    assert ids(api, project_id="b", task_type="generate_image") == [made[1]]
    assert sorted(task for page in (1, 2, 3, 4) for task in ids(api, limit=1, page=page)) == sorted([*made, video])
    answer = api.get(WARD, params={"task_type": "nope"})
    assert (answer.status_code, answer.json()["error"]) == (400, "validation_error")


def test_a_key_for_a_project_sees_and_retries_its_own(api: httpx.Client, store: SyncStore) -> None:
    """S7, NS-012: it has to name its project, and another's tasks are not there for it."""
    mine, theirs = poisoned(store, project="mine"), poisoned(store, project="theirs")
    secret = make(api, projects=["mine"])["api_key"]

    def status(method: str, path: str, **more: Any) -> int:
        return ask(api, secret, method, path, **more).status_code

    seen = ask(api, secret, "GET", "/quarantine", params={"project_id": "mine"}).json()
    assert [task["task_id"] for task in seen["tasks"]] == [mine]
    assert status("GET", "/quarantine") == 403
    assert status("GET", "/quarantine", params={"project_id": "theirs"}) == 403
    assert status("POST", "/quarantine/retry", json={}) == 403
    assert status("POST", "/quarantine/retry", json={"project_id": "theirs"}) == 403
    assert status("DELETE", f"/quarantine/{theirs}") == 404
    assert status("GET", f"/tasks/{theirs}") == 404
    assert ids(api, project_id="theirs") == [theirs]
    assert status("POST", "/quarantine/retry", json={"project_id": "mine"}) == 200
    assert ids(api) == [theirs]


def test_many_are_submitted_again(api: httpx.Client, store: SyncStore) -> None:
    """T3: a dry run only tells; then each is a new task that has lost no worker, and the old one says as what and by whom."""
    made = [poisoned(store) for _ in range(3)]
    kept = poisoned(store, project="other")

    told = api.post(f"{WARD}/retry", json={"project_id": "p", "dry_run": True}).json()
    assert (told["dry_run"], told["matched"], told["done"]) == (True, 3, 0)
    assert {task["task_id"] for task in told["sample"]} == set(made)
    assert len(ids(api)) == 4

    done = api.post(f"{WARD}/retry", json={"project_id": "p"}).json()
    assert (done["matched"], done["done"], done["remaining"], done["stopped_by"]) == (3, 3, 0, None)
    assert ids(api) == [kept]
    for task_id in made:
        old = look(api, task_id)
        last = old["story"][-1]
        assert (old["status"], old["quarantined_at"]) == ("failed", None)
        assert (last["how"], last["key_id"]) == ("retried", key_id_of_settings(KEY))
        new = look(api, last["new_task_id"])
        assert (new["status"], new["retry_of"], new["story"]) == ("queued", task_id, [])


def test_without_a_body_nothing_is_submitted_again(api: httpx.Client, store: SyncStore) -> None:
    """TS-146: whoever forgets the body does not set three dead workers' worth of poison loose again."""
    task_id = poisoned(store)
    answer = api.post(f"{WARD}/retry")
    assert (answer.status_code, list(answer.json()["details"])) == (400, ["body"])
    assert ids(api) == [task_id]


def test_the_limits_hold_for_what_is_submitted_again(site: Site, store: SyncStore) -> None:
    """TS-154: it stops where a limit is, says which, and goes on when it is asked again."""
    made = [poisoned(store) for _ in range(3)]
    with site.api(GENFLEET_PROJECT_TASKS="2") as api:
        done = api.post(f"{WARD}/retry", json={}).json()
        assert (done["matched"], done["done"], done["remaining"]) == (3, 2, 1)
        assert done["stopped_by"]["error"] == "rate_limit_exceeded"
        assert len(ids(api)) == 1
        api.post("/api/v1/projects/p/tasks/cancel", json={})
        assert api.post(f"{WARD}/retry", json={}).json()["done"] == 1
        assert ids(api) == []
    assert all(record(store, task_id).story[-1].how == "retried" for task_id in made)


@pytest.mark.parametrize("how", ["by itself", "with its project"])
def test_any_retry_takes_a_task_out_of_quarantine(api: httpx.Client, store: SyncStore, how: str) -> None:
    """There is one way to submit a task again, whoever asks and wherever."""
    task_id = poisoned(store)
    path = f"tasks/{task_id}/retry" if how == "by itself" else "projects/p/tasks/retry"
    assert api.post(f"/api/v1/{path}").status_code == 200
    assert ids(api) == []
    assert look(api, task_id)["story"][-1]["how"] == "retried"


def test_a_task_is_let_go(api: httpx.Client, store: SyncStore) -> None:
    """It stays failed; who did it is kept; what is not there gets a documented 404."""
    task_id = poisoned(store)
    answer = api.delete(f"{WARD}/{task_id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert ids(api) == []
    last = look(api, task_id)["story"][-1]
    assert (last["how"], last["key_id"]) == ("released", key_id_of_settings(KEY))

    again = api.delete(f"{WARD}/{task_id}")
    assert (again.status_code, again.json()["error"]) == (404, "not_in_quarantine")
    assert api.delete(f"{WARD}/nobody").json()["error"] == "task_not_found"
