"""What a key may do, and that nothing of another project shows through it: S5 to S7 of the list in `docs/security.md`."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from itertools import product

import httpx
import pytest

from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from genfleet_service.access import Scope
from genfleet_service.keyring import KeyRing
from tests.service.acts import PROJECT, settled, submission
from tests.service.every_route import WAYS
from tests.service.swaps import SECRET, swapped

# -- S6: every route, every scope ----------------------------------------------------------------------------------------


def _for(scope: Scope, *actions: str) -> dict[str, set[Scope]]:
    return {action: {scope} for action in actions}


MAY: dict[str, set[Scope]] = {
    "health-health": set(Scope),
    **_for(
        Scope.READ,
        "fleet-queues",
        "fleet-workers",
        "projects-list_tasks",
        "projects-project_usage",
        "webhooks-rules",
        "webhooks-deliveries",
        "webhooks-deliveries_of_task",
        "tasks-status",
        "tasks-read",
        "tasks-events",
        "tasks-logs",
        "health-metrics",
        "health-queue_health",
        "quarantine-list",
    ),
    **_for(
        Scope.SUBMIT,
        "tasks-submit",
        "tasks-submit_batch",
        "tasks-cancel",
        "tasks-cancel_alias",
        "tasks-retry",
        "projects-cancel_tasks",
        "projects-retry_tasks",
        "webhooks-resend",
        "webhooks-secret",
        "webhooks-rotate",
        "quarantine-retry",
        "quarantine-release",
    ),
    **_for(
        Scope.ADMIN,
        "queues-pause",
        "queues-resume",
        "keys-create",
        "keys-list",
        "keys-rotate",
        "keys-revoke",
        "audit-read",
        "fleet-doctor",
        "dead_letters-list",
        "dead_letters-read",
        "dead_letters-resend",
        "dead_letters-resend_all",
        "dead_letters-remove_all",
        "dead_letters-remove",
    ),
}
"""Who is let in: written by hand, so that a new route is somebody's decision."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Somebody with a key for one project."""

    project: str
    key: str
    ids: list[str] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """What it sends with each request."""
        return {"X-API-Key": self.key}


def key_of(api: httpx.Client, **terms: object) -> str:
    """A new key."""
    answer = api.post("/api/v1/keys", json={"name": "somebody", **terms})
    assert answer.status_code == httpx.codes.OK, answer.text
    return str(answer.json()["api_key"])


def test_every_route_has_its_scope() -> None:
    """S6: none is left out of the table, and none in it is gone."""
    assert {way.action for way in WAYS} == MAY.keys()


@pytest.mark.parametrize("scope", Scope)
def test_only_the_listed_pairs_of_route_and_scope_pass(api: httpx.Client, scope: Scope) -> None:
    """S6: a key with one scope is let into the routes of that scope and refused by every other one."""
    headers = {"X-API-Key": key_of(api, scopes=[scope])}
    passed = {way.action: api.request(**way.request(project=PROJECT), headers=headers).status_code for way in WAYS}
    assert 401 not in passed.values()
    assert {action for action, status in passed.items() if status != 403} == {
        action for action, scopes in MAY.items() if scope in scopes
    }


# -- S7: two tenants -----------------------------------------------------------------------------------------------------

STATES = (State.QUEUED, State.PROCESSING, State.COMPLETED, State.FAILED, State.CANCELLED)


@pytest.fixture
def tenants(api: httpx.Client, store: SyncStore) -> tuple[Tenant, Tenant]:
    """Two of them, with a task in each state."""
    made = []
    for project in ("ours", "theirs"):
        key = key_of(
            api, scopes=["submit", "read"], projects=[project], status_reads_per_minute=0, submissions_per_minute=0
        )
        about = {"task_data": {"prompt": f"{SECRET} {project}"}, "metadata": {"note": f"{SECRET} {project}"}}
        ids = [
            settled(api, store, state, project_id=project, callback_url="https://x.example/hook", **about)
            for state in STATES
        ]
        made.append(Tenant(project, key, ids))
    return made[0], made[1]


OF_TASKS = [way for way in WAYS if "{task_id}" in way.path]
OF_PROJECTS = [way for way in WAYS if "{project_id" in way.path or way.action in ("tasks-submit", "quarantine-retry")]


def test_another_tenants_task_is_not_there(api: httpx.Client, tenants: tuple[Tenant, Tenant]) -> None:
    """S7: by any route, in any state, it is answered as an id that never was, and nothing happens to it."""
    us, them = tenants
    before = [api.get(f"/api/v1/tasks/{task_id}").json() for task_id in them.ids]
    for way, task_id in product(OF_TASKS, them.ids):
        unknown = str(uuid.uuid4())
        answer = api.request(**way.request(task=task_id), headers=us.headers)
        never = api.request(**way.request(task=unknown), headers=us.headers)
        assert answer.status_code == never.status_code == httpx.codes.NOT_FOUND, way
        assert answer.text.replace(task_id, "") == never.text.replace(unknown, ""), way
        assert answer.headers.keys() == never.headers.keys(), way
    after = [api.get(f"/api/v1/tasks/{task_id}").json() for task_id in them.ids]
    for old, new in zip(before, after, strict=True):
        assert {name: old[name] for name in KEPT} == {name: new[name] for name in KEPT}


KEPT = ("project_id", "task_data", "metadata", "result", "error", "callback_url")
NAMES = ("theirs", "there-is-none", "ours/../theirs", "ours%2F..%2Ftheirs", "OURS", "ours%20", "*", "ours*", "ours%00")


def test_another_tenants_project_is_refused_by_its_name(api: httpx.Client, tenants: tuple[Tenant, Tenant]) -> None:
    """S7: the same for one that there is and one that there is not, however it is written."""
    us, _ = tenants
    for way, project in product(OF_PROJECTS, NAMES):
        answer = api.request(**way.request(project=project), headers=us.headers)
        assert answer.status_code == httpx.codes.FORBIDDEN, (way, project, answer.text)
        assert SECRET not in answer.text


def test_batches_lists_and_deliveries_keep_to_their_project(api: httpx.Client, tenants: tuple[Tenant, Tenant]) -> None:
    """S7: where a request could be about several projects, each part is held to the key."""
    us, them = tenants
    parts = [submission(project_id=project) for project in (us.project, them.project)]
    results = api.post("/api/v1/tasks/batch", json={"tasks": parts}, headers=us.headers).json()["results"]
    assert [bool(part["task"]) for part in results] == [True, False]
    assert results[1]["error"]["status"] == 403
    for path in ("/api/v1/webhooks/deliveries", "/api/v1/quarantine"):
        assert api.get(path, headers=us.headers).status_code == 403
        assert api.get(path, params={"project_id": them.project}, headers=us.headers).status_code == 403
        shown = api.get(path, params={"project_id": us.project}, headers=us.headers)
        assert shown.status_code == 200
        assert not any(task_id in shown.text for task_id in them.ids)
    ours, theirs = (api.get("/api/v1/webhooks/secret", headers=each.headers).json()["secret"] for each in tenants)
    assert ours != theirs


def test_an_idempotency_key_tells_nothing_of_another_tenant(api: httpx.Client, tenants: tuple[Tenant, Tenant]) -> None:
    """S7: the same name under another key is another name, for a submission, a batch and a retry."""
    us, them = tenants
    name = {"Idempotency-Key": "the-same"}
    first = api.post("/api/v1/tasks/submit", json=submission(project_id=them.project), headers=them.headers | name)
    second = api.post("/api/v1/tasks/submit", json=submission(project_id=us.project), headers=us.headers | name)
    assert second.status_code == 200
    assert "Idempotent-Replayed" not in second.headers
    assert first.json()["task_id"] != second.json()["task_id"]
    stolen = api.post("/api/v1/tasks/submit", json=submission(project_id=them.project), headers=us.headers | name)
    assert stolen.status_code == 403
    assert first.json()["task_id"] not in stolen.text


def test_swapped_ids_leak_nothing(api: httpx.Client, tenants: tuple[Tenant, Tenant]) -> None:
    """S7: ids of the other tenant, as they are and changed a little, in every place of every route that takes one."""
    us, them = tenants
    asked, leaks = swapped(api, us.headers, them.ids, 400)
    assert asked == 400
    assert leaks == []


# -- S5: time tells nothing ----------------------------------------------------------------------------------------------


def test_a_wrong_secret_takes_as_long_as_an_unknown_key() -> None:
    """S5, S7: nobody finds out by the clock which keys there are: the best of many comparisons differ by less than 5 %.

    Measured where it would show, around the comparison alone: in a request the network's noise is a hundred times as large.
    """
    ring = KeyRing([f"gf_{number:012}_{'s' * 43}" for number in range(6)])
    kinds = {
        "a wrong secret": f"gf_{0:012}_{'s' * 42}t".encode(),
        "another wrong secret": f"gf_{5:012}_{'t' * 43}".encode(),
        "an unknown key": f"gf_{9:012}_{'s' * 43}".encode(),
    }
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(200):
        for kind, key in kinds.items():
            began = time.perf_counter()
            for _ in range(10):
                ring.find(key)
            took[kind].append(time.perf_counter() - began)
    least = {kind: min(times) for kind, times in took.items()}  # what the machine does beside it only adds
    assert max(least.values()) < 1.05 * min(least.values()), least
