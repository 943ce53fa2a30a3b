"""Each program as a Redis user of its own that may do what it needs and nothing else (S10)."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from genfleet.contract.redis_terms import Severity
from genfleet.contract.task_types import QUEUES
from genfleet.store import capacity, chores, redis_check
from genfleet.store.calls import Call
from genfleet.store.client import SyncStore
from genfleet.store.rights import Program, user_line
from tests.support.receivers import receiving
from tests.support.sentinels import server
from tests.support.servers import Redis, Site, free_port, program
from tests.support.waiting import wait_for

DENIED = [
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("CONFIG", "GET", "requirepass"),
    ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
    ("DEBUG", "SLEEP", "0"),
    ("ACL", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("SHUTDOWN",),
    ("REPLICAOF", "NO", "ONE"),
    ("MONITOR",),
    ("SET", "elsewhere", "x"),
    ("GET", "elsewhere"),
    ("PUBLISH", "elsewhere", "x"),
]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A Redis where nobody is let in without a name."""

    port: int

    def url(self, name: str) -> str:
        """As this user."""
        return f"redis://{name}:secret@127.0.0.1:{self.port}/0"

    def as_user(self, name: str) -> redis.Redis:
        """A plain client."""
        return redis.Redis(port=self.port, username=name, password="secret")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """A user for each program, one for the test, and the default user off."""
    port = free_port()
    with server(tmp_path / "redis", port, "--appendonly", "yes"):
        with redis.Redis(port=port) as client:
            client.execute_command("ACL", "SETUSER", "admin", "on", ">secret", "allkeys", "allchannels", "+@all")
            for each in Program:
                words = user_line(each, each.value, "secret").split()[1:]
                try:
                    client.execute_command("ACL", "SETUSER", *words)
                except redis.ResponseError:  # 7.0 knows no CLIENT SETINFO, and takes no right to it
                    words.remove("+client|setinfo")
                    client.execute_command("ACL", "SETUSER", *words)
            client.execute_command("ACL", "SETUSER", "default", "off")
        yield Guarded(port)


def test_the_main_line_needs_no_more_than_each_program_may(guarded: Guarded, tmp_path: Path) -> None:
    """S10, M24: submit, run, settle, retry, cancel, webhooks, events, pauses, keys, scaling: nothing of it is denied."""
    site = Site(Redis(tmp_path, free_port()), tmp_path)
    with receiving() as receiver, site.api(REDIS_URL=guarded.url("api"), GENFLEET_ALERT_PERIOD_SECONDS="0.2",
        GENFLEET_ALLOW_HTTP_CALLBACKS="true", GENFLEET_ALLOW_PRIVATE_CALLBACKS="true") as api, _worker(site, guarded):  # fmt: skip
        known = guarded.as_user("admin")

        def submit(**says: Any) -> str:
            body = {"project_id": "p", "task_type": "generate_image", "task_data": {"prompt": "x"} | says}
            more = {"callback_url": f"{receiver.url}/hook", "metadata": {"a": 1}}
            answer = api.post("/api/v1/tasks/submit", json=body | more, headers={"Idempotency-Key": str(uuid.uuid4())})
            assert answer.is_success, answer.text
            return str(answer.json()["task_id"])

        def status(task_id: str) -> str:
            return str(api.get(f"/api/v1/tasks/{task_id}/status").json()["status"])

        done, failed, cancelled = submit(), submit(fail="PermanentError"), submit(seconds=30)
        with api.stream("GET", f"/api/v1/tasks/{done}/events") as events:
            assert any("completed" in line for line in events.iter_lines())
        wait_for("it fails", lambda: status(failed) == "failed", within=30)
        wait_for("it runs", lambda: status(cancelled) == "processing", within=30)
        assert api.delete(f"/api/v1/tasks/{cancelled}/cancel").is_success
        again = api.post(f"/api/v1/tasks/{failed}/retry").json()["new_task_id"]
        later = submit(fail="TransientError")
        wait_for("it waits for its next attempt", lambda: known.zcard("genfleet:scheduled:gpu_medium"), within=30)
        assert later
        wait_for("it fails again", lambda: status(again) == "failed", within=30)
        wait_for("webhooks arrive", lambda: len(receiver.received) >= 3, within=30)
        for path in ("tasks/metrics", "tasks/health", "health", "queues", "workers", "keys", "doctor", "projects/p/tasks",
            "projects/p/usage", f"tasks/{done}", f"tasks/{done}/logs", f"tasks/{done}/deliveries", "webhooks/deliveries"):  # fmt: skip
            assert api.get(f"/api/v1/{path}").is_success, path
        assert api.post("/api/v1/queues/default/pause", json={}).is_success
        assert api.post("/api/v1/queues/default/resume").is_success
        key_id = api.post("/api/v1/keys", json={"name": "n"}).json()["key_id"]
        assert api.delete(f"/api/v1/keys/{key_id}").is_success
        operator = SyncStore(guarded.url("operator"))
        work: list[Call[Any]] = [capacity.observe(QUEUES), chores.reap(QUEUES), chores.recover(QUEUES), chores.expire()]
        work += [capacity.report("gpu_medium", b"{}"), capacity.forget(["gpu_medium"])]
        for call in (*work, capacity.drain("w"), capacity.resume("w")):
            operator.run(call)
        operator.close()

        denied = [entry for entry in known.acl_log() if not _is_a_look(entry)]
        assert not denied, "\n".join(map(str, denied))
        assert "Traceback" not in (tmp_path / "worker.log").read_text()


def _is_a_look(entry: dict[str, Any]) -> bool:
    """What is tried once, and done without.

    CONFIG GET shows passwords, so nobody is given it: the check says what it could not see. And kombu's client asks to be told of
    maintenance, by a command that only some providers know.
    """
    return str(entry["object"]).startswith("config") or entry["object"] in ("client", "client|maint_notifications")


def _worker(site: Site, guarded: Guarded) -> AbstractContextManager[subprocess.Popen[bytes]]:
    environment = site.environment(
        REDIS_URL=guarded.url("worker"),
        GENFLEET_ENGINES="tests.support.engines:engines",
        GENFLEET_STOP_GRACE_SECONDS="1",
    )
    return program("genfleet_workers", "--queue", "gpu_medium", log=site.folder / "worker.log", environment=environment)


@pytest.mark.parametrize("program_", list(Program))
def test_nobody_may_do_what_is_not_needed(guarded: Guarded, program_: Program) -> None:
    """S10: neither commands that harm everybody nor keys that are not ours."""
    with guarded.as_user(program_.value) as client:
        allowed = []
        for words in DENIED:
            try:
                client.execute_command(*words)
                allowed.append(words)
            except redis.exceptions.NoPermissionError:
                continue
        assert allowed == []


@pytest.mark.parametrize("program_", [Program.WORKER, Program.OPERATOR])
def test_secrets_of_the_api_are_for_the_api(guarded: Guarded, program_: Program) -> None:
    """S11: who runs foreign code reads neither keys nor what webhooks are signed with, by a script or without."""
    with guarded.as_user(program_.value) as client:
        for name in ("genfleet:api_keys", "genfleet:webhook_secret:x"):
            with pytest.raises(redis.exceptions.ResponseError, match=r"permission|can't access|ACL failure"):
                client.eval("return redis.call('HGET', ARGV[1], 'x')", 0, name)


def test_without_a_name_nobody_is_let_in(guarded: Guarded) -> None:
    """The default user is off."""
    with redis.Redis(port=guarded.port) as client, pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()


@pytest.mark.parametrize("program_", list(Program))
def test_the_check_at_start_finds_nothing_missing(guarded: Guarded, program_: Program) -> None:
    """And says what it may not see."""
    store = SyncStore(guarded.url(program_.value))
    found = {finding.check: finding.severity for finding in redis_check.look(store, program_, now=None)}
    store.close()

    assert found["rights"] is Severity.OK
    assert found["eviction"] is Severity.OK
    assert found["timeout"] is Severity.UNKNOWN
