"""What a key is good for: scopes, projects, rotation and revocation, by API and command line."""

from __future__ import annotations

import hashlib
import re
import sys
from typing import Any, cast

import httpx
import orjson
import pytest

from genfleet.contract.keys import key
from genfleet.store import api_keys
from genfleet.store.client import SyncStore
from genfleet_service.access import Scope, scope_needed
from genfleet_service.keyring import key_id_of_settings
from genfleet_service.main import main
from tests.service.acts import PROJECT, submission, submitted
from tests.support.servers import KEY, Redis, Site
from tests.support.waiting import wait_for


def make(api: httpx.Client, **terms: Any) -> dict[str, Any]:
    """A key that was just made, by the API."""
    answer = api.post("/api/v1/keys", json={"name": "auto-movie"} | terms)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def ask(api: httpx.Client, secret: str, method: str, path: str, **more: Any) -> httpx.Response:
    """A request with another key than the test's own."""
    return api.request(method, f"/api/v1{path}", headers={"X-API-Key": secret}, **more)


def may(api: httpx.Client, secret: str) -> bool:
    """Whether a key opens the door."""
    return ask(api, secret, "GET", "/queues").status_code == 200


def kept(redis_server: Redis, key_id: str) -> bytes:
    """What Redis holds of a key."""
    return cast(bytes, redis_server.client.hget(key("api_keys"), key_id))


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/api/v1/tasks/x/status", Scope.READ),
        ("HEAD", "/api/v1/tasks/x", Scope.READ),
        ("GET", "/api/v1/projects/a/b/tasks", Scope.READ),
        ("GET", "/api/v1/queues", Scope.READ),
        ("POST", "/api/v1/tasks/submit", Scope.SUBMIT),
        ("DELETE", "/api/v1/tasks/x", Scope.SUBMIT),
        ("POST", "/api/v1/projects/p/anything", Scope.SUBMIT),
        ("POST", "/api/v1/queues/gpu_heavy/pause", Scope.ADMIN),
        ("POST", "/api/v1/webhooks/secret/rotate", Scope.SUBMIT),
        ("GET", "/api/v1/webhooks/secret", Scope.SUBMIT),
        ("PATCH", "/api/v1/whatever/comes", Scope.ADMIN),
        ("POST", "/api/v1/tasksomething", Scope.ADMIN),
        ("GET", "/api/v1/keys", Scope.ADMIN),
        ("GET", "/api/v1/dead-letters", Scope.ADMIN),
        ("POST", "/api/v1/dead-letters/7/resend", Scope.ADMIN),
        ("GET", "/api/v1/quarantine", Scope.READ),
        ("POST", "/api/v1/quarantine/retry", Scope.SUBMIT),
        ("DELETE", "/api/v1/quarantine/x", Scope.SUBMIT),
        ("DELETE", "/api/v1/keys/x", Scope.ADMIN),
        ("GET", "/api/v1/doctor", Scope.ADMIN),
        ("GET", "/api/v1/health", None),
    ],
)
def test_what_needs_which_scope(method: str, path: str, needed: Scope | None) -> None:
    """NS-012: looking needs read, changing tasks submit; keys, and changes of anything else, admin."""
    assert scope_needed(method, path) is needed


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_does_what_its_scopes_say_and_nothing_else(api: httpx.Client, scope: Scope) -> None:
    """NS-012: 403 names the scope that is missing, and nothing was done."""
    secret = make(api, scopes=[scope])["api_key"]
    asked: dict[Scope, tuple[str, str, Any]] = {
        Scope.SUBMIT: ("POST", "/tasks/submit", submission()),
        Scope.READ: ("GET", f"/projects/{PROJECT}/tasks", None),
        Scope.ADMIN: ("GET", "/keys", None),
    }
    for needed, (method, path, body) in asked.items():
        answer = ask(api, secret, method, path, json=body)
        if needed is scope:
            assert answer.status_code == 200, answer.text
        else:
            missing = f"This API key lacks the scope '{needed}'"
            assert (answer.status_code, answer.json()) == (403, {"error": "forbidden", "message": missing})
    tasks = api.get(f"/api/v1/projects/{PROJECT}/tasks").json()["pagination"]["total"]
    assert tasks == (1 if scope is Scope.SUBMIT else 0)
    assert ask(api, secret, "GET", "/health").status_code == 200


def test_a_key_for_some_projects_knows_no_others(api: httpx.Client) -> None:
    """NS-012, TS-038: it may not submit to another project or list it, and what is there is not there for it."""
    secret = make(api, projects=["theirs", "theirs too"])["api_key"]
    ours = submitted(api, project_id="ours")
    theirs = ask(api, secret, "POST", "/tasks/submit", json=submission(project_id="theirs")).json()["task_id"]
    forbidden = {"error": "forbidden", "message": "This API key may not use project 'ours'"}
    for method, path, body in (
        ("POST", "/tasks/submit", submission(project_id="ours")),
        ("GET", "/projects/ours/tasks", None),
    ):
        answer = ask(api, secret, method, path, json=body)
        assert (answer.status_code, answer.json()) == (403, forbidden)
    unknown = {"error": "task_not_found", "message": f"Task with ID '{ours}' not found"}
    for method, path in (
        ("GET", f"/tasks/{ours}/status"),
        ("GET", f"/tasks/{ours}"),
        ("DELETE", f"/tasks/{ours}"),
        ("DELETE", f"/tasks/{ours}/cancel"),
        ("POST", f"/tasks/{ours}/retry"),
    ):
        answer = ask(api, secret, method, path)
        assert (answer.status_code, answer.json()) == (404, unknown), path
    assert ask(api, secret, "GET", f"/tasks/{theirs}/status").status_code == 200
    assert ask(api, secret, "GET", "/projects/theirs/tasks").json()["pagination"]["total"] == 1
    assert ask(api, secret, "DELETE", f"/tasks/{theirs}").status_code == 200
    assert api.get(f"/api/v1/tasks/{ours}/status").json()["status"] == "queued"


def test_a_key_is_listed_and_its_secret_is_not(api: httpx.Client, redis_server: Redis) -> None:
    """NS-012, TS-005: with its terms, its age and its last use, for those of the settings as well; never the secret."""
    terms = {"scopes": ["read"], "projects": ["a"], "submissions_per_minute": 5}
    made = make(api, **terms)
    secret = made.pop("api_key")
    assert re.fullmatch(rf"gf_{made['key_id']}_[\w-]{{43}}", secret)
    assert ask(api, secret, "GET", "/projects/a/tasks").status_code == 200

    def used() -> dict[str, Any] | None:
        rows: list[dict[str, Any]] = api.get("/api/v1/keys").json()["keys"]
        found = {row["key_id"]: row for row in rows}
        assert found.keys() == {made["key_id"], key_id_of_settings(KEY)}
        ours = found[key_id_of_settings(KEY)]
        assert (ours["name"], ours["source"], ours["scopes"]) == (
            "environment",
            "settings",
            ["admin", "read", "submit"],
        )
        return found[made["key_id"]] if found[made["key_id"]]["last_used_at"] and ours["last_used_at"] else None

    row = wait_for("both keys' last use is written down", used)
    assert row | {"last_used_at": None} == made
    assert made == {
        "key_id": made["key_id"],
        "name": "auto-movie",
        "source": "redis",
        **terms,
        "status_reads_per_minute": None,
        "project_tasks": None,
        "created_at": made["created_at"],
        "last_used_at": None,
        "previous_valid_until": None,
    }
    assert secret.rpartition("_")[2].encode() not in kept(redis_server, made["key_id"])


def test_uses_are_written_down_together(api: httpx.Client, redis_server: Redis) -> None:
    """NS-012: a hundred requests are no hundred writes: those of two seconds are one."""
    secret = make(api)["api_key"]
    before = redis_server.client.info("commandstats")["cmdstat_hset"]["calls"]
    for _ in range(50):
        assert may(api, secret)
    assert redis_server.client.info("commandstats")["cmdstat_hset"]["calls"] - before <= 10


@pytest.mark.parametrize(
    ("terms", "field", "words"),
    [
        pytest.param({"name": ""}, "name", "Name is required", id="no name"),
        pytest.param({"scopes": ["everything"]}, "scopes.0", "'submit', 'read' or 'admin'", id="unknown scope"),
        pytest.param({"scopes": []}, "scopes", "Name at least one scope", id="no scope"),
        pytest.param({"scope": ["read"]}, "scope", "did you mean 'scopes'?", id="misspelt"),
        pytest.param({"projects": []}, "projects", "or leave it out for all", id="no project"),
        pytest.param({"projects": [""]}, "projects.0", "is required", id="a project without a name"),
        pytest.param({"project_tasks": -1}, "project_tasks", "greater than or equal to 0", id="negative limit"),
        pytest.param({"scopes": ["admin"], "projects": ["a"]}, "projects", "every project", id="admin of one project"),
    ],
)
def test_terms_that_cannot_be(api: httpx.Client, terms: dict[str, Any], field: str, words: str) -> None:
    """NS-012, TS-146: 400 that names the field, and no key is made."""
    answer = api.post("/api/v1/keys", json={"name": "auto-movie"} | terms)
    assert (answer.status_code, answer.json()["error"]) == (400, "validation_error")
    ((named, sentence),) = answer.json()["details"].items()
    assert (named, words in sentence) == (field, True), answer.text
    assert len(api.get("/api/v1/keys").json()["keys"]) == 1


def test_a_rotated_key_is_good_under_both_secrets_for_a_while(api: httpx.Client, redis_server: Redis) -> None:
    """NS-012: the old secret stays good for the grace that was asked for; id and terms stay, and so does what they own."""
    made = make(api, scopes=["read"])
    first, path = made["api_key"], f"/api/v1/keys/{made['key_id']}/rotate"
    answer = api.post(path, json={"grace_seconds": 3600}).json()
    second = answer["api_key"]
    assert answer["previous_valid_until"] > answer["created_at"]
    assert (answer["key_id"], answer["scopes"], second != first) == (made["key_id"], ["read"], True)
    assert (may(api, first), may(api, second)) == (True, True)

    entry = orjson.loads(kept(redis_server, made["key_id"]))
    now_s, _ = redis_server.client.time()
    assert entry["previous_until_ms"] // 1000 - now_s in range(3500, 3601)
    entry["previous_until_ms"] = now_s * 1000
    redis_server.client.hset(key("api_keys"), made["key_id"], orjson.dumps(entry))
    wait_for("the first secret is worth nothing", lambda: not may(api, first))

    third = api.post(path, json={"grace_seconds": 0}).json()["api_key"]
    assert [may(api, secret) for secret in (first, second, third)] == [False, False, True]


def test_a_revoked_key_is_refused_everywhere_within_seconds(site: Site, api: httpx.Client) -> None:
    """NS-012: at once by the API that was asked, and by another one within 5 seconds; its tasks go on."""
    with site.api() as another:
        made = make(another)
        wait_for("the key is known to all", lambda: may(api, made["api_key"]) and may(another, made["api_key"]))
        answer = another.delete(f"/api/v1/keys/{made['key_id']}")
        assert (answer.status_code, answer.json()["status"]) == (200, "revoked")
        assert not may(another, made["api_key"])
        wait_for("the other one has heard of it", lambda: not may(api, made["api_key"]), within=5)
    assert api.delete(f"/api/v1/keys/{made['key_id']}").json()["error"] == "key_not_found"


def test_a_revoked_key_signs_what_is_still_to_come(api: httpx.Client, redis_server: Redis) -> None:
    """NS-012: its tasks go on, and their webhooks are signed as before; when none can be left, the secret goes."""
    made = make(api, scopes=["submit"])
    secret = api.get("/api/v1/webhooks/secret", headers={"X-API-Key": made["api_key"]}).json()["secret"]
    api.delete(f"/api/v1/keys/{made['key_id']}")
    name = key("webhook_secret", made["key_id"])
    assert redis_server.client.hget(name, "secret") == secret.encode()
    assert 30 * 86_400 < redis_server.client.ttl(name) <= 31 * 86_400


def test_keys_that_cannot_be_changed(api: httpx.Client) -> None:
    """NS-012: an unknown key is 404; one of the settings is changed there, and the answer says so."""
    ours = key_id_of_settings(KEY)
    for method, path in (("POST", "/keys/{}/rotate"), ("DELETE", "/keys/{}")):
        unknown = api.request(method, "/api/v1" + path.format("nobody"))
        assert (unknown.status_code, unknown.json()["error"]) == (404, "key_not_found")
        settings = api.request(method, "/api/v1" + path.format(ours))
        assert (settings.status_code, "API_KEY" in settings.json()["message"]) == (400, True)


def test_an_entry_of_an_older_version_stays_good(api: httpx.Client, redis_server: Redis) -> None:
    """NS-012: name and digest were all there was; such a key submits and reads as it did, and gives out no keys."""
    entry = {"name": "auto-movie", "sha256": hashlib.sha256(b"an-older-key").hexdigest()}
    redis_server.client.hset(key("api_keys"), "0123456789ab", orjson.dumps(entry))
    redis_server.client.hset(key("api_keys"), "broken", b'{"sha256": 7}')
    wait_for("the older key is accepted", lambda: may(api, "an-older-key"))
    assert ask(api, "an-older-key", "POST", "/tasks/submit", json=submission()).status_code == 200
    assert ask(api, "an-older-key", "GET", "/keys").status_code == 403


def test_two_who_change_a_key_at_once(store: SyncStore) -> None:
    """NS-012: the second one is told, and nothing of the first one is lost; a lost reply is no second one."""
    assert store.run(api_keys.save("a", b"1"))
    assert store.run(api_keys.save("a", b"2", b"1"))
    assert not store.run(api_keys.save("a", b"3", b"1"))
    assert store.run(api_keys.save("a", b"2", b"1"))
    assert store.run(api_keys.read()).entries == {"a": b"2"}


def test_an_operators_commands(
    api: httpx.Client, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """NS-012: keys are made with scopes, projects and limits, listed, rotated and revoked without an API to ask."""
    for name, value in site.environment().items():
        monkeypatch.setenv(name, value)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["genfleet-api", *words])
        return main(), *capsys.readouterr()

    _, made, _ = command("create-key", "auto-movie", "-s", "read", "-p", "a", "--project-tasks", "5")
    key_id = made.split("_")[1]
    _, listed, _ = command("list-keys")
    assert [line.split() for line in listed.splitlines()[1:]] == [[key_id, "auto-movie", "read", "a", "never"]]
    assert api.get("/api/v1/keys").json()["keys"][1]["project_tasks"] == 5
    _, second, _ = command("rotate-key", key_id, "--grace-seconds", "0")
    wait_for("the second secret is accepted", lambda: may(api, second.strip()))
    assert not may(api, made.strip())
    assert ask(api, second.strip(), "POST", "/tasks/submit", json=submission()).status_code == 403
    assert command("revoke-key", key_id) == (0, "", "")
    assert command("list-keys")[1].splitlines() == ["ID  NAME  SCOPES  PROJECTS  LAST USED"]
    status, _, error = command("revoke-key", key_id)
    assert (status, error.startswith(f"genfleet-api: {key_id}: there is no such key")) == (2, True)
    status, made, error = command("create-key", "x", "-s", "admin", "-p", "a")
    assert (status, made) == (2, "")
    assert error.startswith("genfleet-api: projects: must not be given with the scope admin")
