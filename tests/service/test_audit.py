"""Whoever changes something is written down, once, and never what they sent: S27 of the list in `docs/security.md`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store import audit
from genfleet.store.client import SyncStore
from genfleet_service.audit import NOT_KEPT
from genfleet_service.main import main
from tests.service.acts import PROJECT, settled, submission, submitted
from tests.service.every_route import WAYS, Way
from tests.support.servers import Redis, Site
from tests.support.waiting import wait_for

CANARY = "canary-7f3a"
CHANGES = [way for way in WAYS if way.is_change]


@pytest.fixture(scope="module")
def watched(_redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """An API that logs for machines, and its log."""
    site = Site(_redis, tmp_path_factory.mktemp("watched"))
    with site.api(GENFLEET_LOG_FORMAT="json", GENFLEET_WEBHOOK_CONCURRENCY="0") as client:
        yield client, site.folder / "api.log"


def logged(log: Path) -> list[dict[str, Any]]:
    """The audit lines of a log."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == "audit"]


def kept(api: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    """What the API tells of the audit log."""
    entries: list[dict[str, Any]] = api.get("/api/v1/audit", params=query).json()["entries"]
    return entries


def written(log: Path, before: int, many: int) -> list[dict[str, Any]]:
    """The lines that were added: they are written after the answer."""
    wait_for("the lines are written", lambda: len(logged(log)) >= before + many)
    return logged(log)[before:]


@pytest.mark.parametrize("way", CHANGES, ids=lambda way: f"{way.method} {way.action}")
def test_every_change_is_written_down_once(
    watched: tuple[httpx.Client, Path], redis_server: Redis, store: SyncStore, way: Way
) -> None:
    """S27: who, with which key, what, in which project, about what, from where, and the answer; done or refused."""
    api, log = watched
    state = State.FAILED if "retry" in way.path or "resend" in way.path else State.QUEUED
    task = settled(api, store, state, project_id=PROJECT)
    admin = api.post("/api/v1/keys", json={"name": "an admin", "scopes": ["submit", "read", "admin"]}).json()
    reader = api.post("/api/v1/keys", json={"name": "a reader", "scopes": ["read"]}).json()
    wait_for("all that is kept", lambda: [each["target"] for each in kept(api)][:1] == [reader["key_id"]])
    redis_server.client.delete(key("audit"))
    before = len(logged(log))

    request = way.request(task=task, project=PROJECT, key=reader["key_id"])
    refused = api.request(**request, headers={"X-API-Key": reader["api_key"]})
    nobody = api.request(**request, headers={"X-API-Key": "wrong"})
    done = api.request(**request, headers={"X-API-Key": admin["api_key"]})
    assert (refused.status_code, nobody.status_code) == (403, 401)
    assert done.status_code in (200, 400, 404), done.text

    denied, unknown, entry = written(log, before, 3)
    assert (entry["action"], entry["key_id"], entry["name"]) == (way.action, admin["key_id"], "an admin")
    assert (entry["status"], entry["address"]) == (done.status_code, "127.0.0.1")
    has_project = any(word in way.path for word in ("{task_id}", "{project_id", "submit", "batch", "quarantine"))
    assert entry["project"] == (PROJECT if has_project else None)
    makes_something = way.action in (*NOT_KEPT, "keys-create")
    assert bool(entry["target"]) == (makes_something or bool(re.search("{(?!project)", way.path)))
    assert (denied["key_id"], denied["status"]) == (reader["key_id"], 403)
    assert denied["action"] == f"{way.method} {request['url']}"
    assert (unknown["key_id"], unknown["status"]) == (None, 401)

    expected = [denied["action"]] if way.action in NOT_KEPT else [way.action, denied["action"]]
    wait_for("they are kept", lambda: [each["action"] for each in kept(api)] == expected)
    assert len(logged(log)) == before + 3


@pytest.mark.parametrize("way", [way for way in WAYS if not way.is_change], ids=lambda way: way.action)
def test_looking_is_not_written_down(watched: tuple[httpx.Client, Path], redis_server: Redis, way: Way) -> None:
    """S27: the log is of changes."""
    api, log = watched
    before = len(logged(log))
    api.request(**way.request(task="unknown"))
    submitted(api)
    (entry,) = written(log, before, 1)
    assert entry["action"] == "tasks-submit"


def test_nothing_that_was_sent_is_written_down(watched: tuple[httpx.Client, Path], redis_server: Redis) -> None:
    """S27, S12: no body, query, key or secret; not even of what was refused."""
    api, log = watched
    secret = {"prompt": CANARY}
    api.post(
        "/api/v1/tasks/submit",
        json=submission(task_data=secret, metadata=secret, callback_url=f"https://x.example/{CANARY}"),
    )
    api.post("/api/v1/tasks/submit", json=submission(task_data=secret, priority=CANARY))
    api.post("/api/v1/tasks/submit", params={"q": CANARY}, content=CANARY, headers={"Idempotency-Key": CANARY})
    api.post("/api/v1/queues/default/pause", json={"reason": CANARY})
    api.post("/api/v1/queues/default/resume", headers={"X-API-Key": CANARY, "Cookie": CANARY, "User-Agent": CANARY})
    api.post("/api/v1/queues/default/resume", headers={"X-Forwarded-For": CANARY})
    made = api.post("/api/v1/keys", json={"name": "a name may be seen"}).json()
    wait_for("the last is kept", lambda: kept(api)[0]["target"] == made["key_id"])
    entries = redis_server.client.xrange(key("audit"))
    assert CANARY not in log.read_text() + repr(entries)
    assert made["api_key"] not in log.read_text() + repr(entries)


def test_the_log_is_read_a_page_at_a_time(watched: tuple[httpx.Client, Path], store: SyncStore) -> None:
    """S27: the newest first, and with `next` those before."""
    api, _ = watched
    for number in range(5):
        store.run(
            audit.add(
                {
                    "action": "a",
                    "key_id": None,
                    "name": None,
                    "project": None,
                    "target": str(number),
                    "address": None,
                    "status": 200,
                }
            )
        )
    first = api.get("/api/v1/audit", params={"limit": 3}).json()
    assert [entry["target"] for entry in first["entries"]] == ["4", "3", "2"]
    last = api.get("/api/v1/audit", params={"limit": 3, "before": first["next"]}).json()
    assert ([entry["target"] for entry in last["entries"]], last["next"]) == (["1", "0"], None)
    assert api.get("/api/v1/audit", params={"before": "x"}).status_code == httpx.codes.BAD_REQUEST


def test_the_log_does_not_grow_for_ever(store: SyncStore, redis_server: Redis) -> None:
    """S27: about the last 10,000 entries are kept."""
    for _ in range(100):
        with redis_server.client.pipeline(transaction=False) as line:
            for _ in range(110):
                call = audit.add({"action": "a"})
                line.eval(call.what.text, 0, *call.args)  # type: ignore[union-attr]  # a script
            line.execute()
    assert audit.KEPT <= redis_server.client.xlen(key("audit")) <= audit.KEPT + 200


def test_only_admins_read_the_log(api: httpx.Client) -> None:
    """S27: it tells of every project."""
    made = api.post("/api/v1/keys", json={"name": "no admin", "scopes": ["submit", "read"]}).json()
    answer = api.get("/api/v1/audit", headers={"X-API-Key": made["api_key"]})
    assert answer.status_code == httpx.codes.FORBIDDEN


def test_a_change_is_done_while_the_log_cannot_be_kept(watched: tuple[httpx.Client, Path], redis_server: Redis) -> None:
    """S27: what Redis does not take is in the program's log; nobody is refused for it."""
    api, log = watched
    redis_server.client.set(key("audit"), "no stream")
    before = len(logged(log))
    assert api.post("/api/v1/queues/default/resume").status_code == httpx.codes.OK
    (entry,) = written(log, before, 1)
    assert entry["action"] == "queues-resume"
    wait_for("the trouble is told", lambda: "audit_not_kept" in log.read_text())


def test_the_address_behind_a_proxy(site: Site) -> None:
    """S27: what a trusted proxy says of where a request came from; from anybody else it is not believed."""
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    with site.api(GENFLEET_TRUSTED_PROXIES="127.0.0.0/8", GENFLEET_WEBHOOK_CONCURRENCY="0") as api:
        api.post("/api/v1/queues/default/resume", headers=forwarded)
        wait_for("it is kept", lambda: [each["address"] for each in kept(api)] == ["203.0.113.9"])
    with site.api(GENFLEET_WEBHOOK_CONCURRENCY="0") as api:
        api.post("/api/v1/queues/default/resume", headers=forwarded)
        wait_for("it is kept", lambda: [each["address"] for each in kept(api)] == ["127.0.0.1", "203.0.113.9"])


def test_the_operators_commands_are_written_down(
    redis_server: Redis, store: SyncStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """S27: keys that are made straight in Redis are in the log as well, with the user of the machine."""
    monkeypatch.setenv("REDIS_URL", redis_server.url)

    def command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["genfleet-api", *arguments])
        assert main() == 0
        return capsys.readouterr().out.strip()

    key_id = command("create-key", "first").split("_")[1]
    command("rotate-key", key_id)
    command("revoke-key", key_id)
    told = [(entry["action"], entry["target"], " on " in entry["name"]) for _, entry in store.run(audit.read(10))]
    assert told == [(f"genfleet-api {word}-key", key_id, True) for word in ("revoke", "rotate", "create")]
