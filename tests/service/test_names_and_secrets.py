"""Names that would be paths or commands, and secrets that would be told: S12, S14 and S17 of the list in `docs/security.md`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx
import orjson
import pytest
import redis

from genfleet.contract.keys import PREFIX
from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.service.acts import claim, post, submission, submitted
from tests.service.every_route import WAYS
from tests.support.servers import KEY, Redis, Site, free_port
from tests.support.waiting import wait_for

# -- S14: names are never paths ------------------------------------------------------------------------------------------

UPS = (
    "../",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "..%5c",
    "..\\",
    "%252e%252e%252f",
    "..%c0%af",
    "....//",
    "..;/",
    "/",
    "//",
    "%00/../",
)
AIMS = (
    "secret.txt",
    "etc/passwd",
    "secret.txt%00.png",
    "secret.txt%20",
    "secret.txt/.",
    "secret.txt?x=.png",
    "proc/self/environ",
    "secret.txt#.png",
)
PATHS = [up * depth + aim for up, aim, depth in product(UPS, AIMS, (1, 3))]
INSIDE = "what-is-outside-91c2"


def raw(api: httpx.Client, path: str) -> bytes:
    """The answer to a path just as it is written: clients tidy paths up."""
    with socket.create_connection((api.base_url.host, api.base_url.port or 80)) as opened:
        opened.settimeout(10)
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        opened.sendall(head.encode())
        return b"".join(iter(lambda: opened.recv(65536), b""))


def test_no_name_leads_out_of_its_place(site: Site) -> None:
    """S14: more than 200 ways to leave a folder, by the media route and by each parameter of a path, and by links."""
    media = site.folder / "media"
    (media / "ab").mkdir(parents=True)
    (site.folder / "secret.txt").write_text(INSIDE)
    (media / "ab" / "link.png").symlink_to(site.folder / "secret.txt")
    (media / "folder").symlink_to(site.folder)
    (media / "ab" / "real.png").write_bytes(b"a picture")
    assert len(PATHS) >= 200
    with site.api(GENFLEET_WEBHOOK_CONCURRENCY="0", GENFLEET_STATUS_READS_PER_MINUTE="0") as api:
        assert raw(api, "/media/ab/real.png").startswith(b"HTTP/1.1 200")
        for path in (*PATHS, "ab/link.png", "folder/secret.txt"):
            for place in ("/media/", "/media/ab/", "/media"):
                answer = raw(api, place + path)
                assert answer[9:12] in (b"400", b"404", b"405", b"403"), (place, path, answer[:80])
                assert INSIDE.encode() not in answer
                assert b"root:" not in answer
        patterns = sorted({way.path for way in WAYS if way.method == "GET" and "{" in way.path})
        for pattern, path in product(patterns, PATHS[::9]):
            name = pattern[pattern.index("{") : pattern.index("}") + 1]
            answer = raw(api, pattern.replace(name, path))
            assert answer[9:10] in (b"2", b"4"), (pattern, path, answer[:200])
            assert INSIDE.encode() not in answer
    assert "unexpected" not in (site.folder / "api.log").read_text()


def test_what_is_no_picture_is_saved_and_not_shown(site: Site) -> None:
    """S14: pages and drawings among the files are downloads, in a sandbox, under the type of their name."""
    folder = site.folder / "media"
    folder.mkdir()
    for name in ("a.html", "a.svg", "a.xml", "a.js", "a.txt", "a.pdf", "a"):
        (folder / name).write_text("<script>alert(1)</script>")
    (folder / "a.png").write_bytes(b"x")
    with site.api(GENFLEET_WEBHOOK_CONCURRENCY="0") as api:
        for file in folder.iterdir():
            answer = api.get(f"/media/{file.name}")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            assert answer.headers.get("Content-Disposition") == (None if file.suffix == ".png" else "attachment"), file


# -- S17: words are never commands ---------------------------------------------------------------------------------------

ODD = (
    "{}", "{project}", "%s%d", "a:b", "genfleet:task:x", "*", "?", "[a-z]", "\\", '"', "'", "]]", "return 1 --", "$1", "\x06\x16",
    "a\x00b", "a\nb", "a\r\nSET x y\r\n", "*3\r\n$3\r\nSET", "\u2028", "😀", "\ud7ff", "é" * 100, "a" * 255, " ", ".", "..",
    "redis.call('FLUSHALL')", "'; redis.call('FLUSHALL') --", "{{7*7}}", "${7*7}", "`id`", "$(id)", "nil", "NaN", "0", "-1",
)  # fmt: skip


@pytest.fixture
def free(api: httpx.Client) -> Iterator[httpx.Client]:
    """The API, by a key without limits."""
    wanted = {
        "name": "no limits",
        "scopes": ["submit", "read", "admin"],
        "submissions_per_minute": 0,
        "project_tasks": 0,
    }
    made = api.post("/api/v1/keys", json=wanted).json()["api_key"]
    with httpx.Client(base_url=api.base_url, headers={"X-API-Key": made}, trust_env=False, timeout=20) as client:
        yield client


def test_no_name_becomes_part_of_a_script(free: httpx.Client, redis_server: Redis) -> None:
    """S17: whatever a project, a type, a field or an idempotency key is called, it is kept as it is and nothing else happens."""
    redis_server.client.set("canary", "alive")
    for name in ODD:
        answer = post(free, submission(project_id=name, task_data={name: name}, metadata={name: [name]}))
        assert answer.status_code == httpx.codes.OK, (name, answer.text)
        task = free.get(f"/api/v1/tasks/{answer.json()['task_id']}").json()
        assert (task["project_id"], task["task_data"], task["metadata"]) == (name, {name: name}, {name: [name]})
        assert post(free, submission(task_type=name)).status_code == httpx.codes.BAD_REQUEST
        # Nothing but these words is in a queue, whatever the path says.
        assert free.post("/api/v1/queues/x/pause", json={"reason": name}).status_code == httpx.codes.NOT_FOUND
        assert free.post("/api/v1/queues/default/pause", json={"reason": name}).json()["paused"]["reason"] == name
    for name in filter(lambda name: name.isascii() and name.isprintable() and " " not in name, ODD):
        first, again = (
            free.post("/api/v1/tasks/submit", json=submission(), headers={"Idempotency-Key": name}) for _ in range(2)
        )
        assert first.json()["task_id"] == again.json()["task_id"]
    assert redis_server.client.get("canary") == b"alive"
    strays = [key for key in redis_server.client.scan_iter("*") if not key.startswith(PREFIX.encode())]
    assert set(strays) <= {b"canary", *(key for key in strays if key.split(b"\x06")[0] in (b"gpu_medium", b"default"))}


# -- S12: secrets are not told -------------------------------------------------------------------------------------------

SECRETS = {
    "password of Redis": "canary-redis-41aa",
    "a key of the settings": "canary-key-52bb",
    "a query of a callback": "canary-query-63cc",
    "what was sent": "canary-prompt-74dd",
    "an idempotency key": "canary-once-85ee",
    "a wrong key": "canary-wrong-96ff",
}


def test_no_secret_is_told(redis_server: Redis, tmp_path: Path, store: SyncStore) -> None:
    """S12: put everywhere, they are in no log, no key of Redis, no event, no message and no answer but that of the task itself."""
    server = Redis(tmp_path, free_port())
    (tmp_path / "site").mkdir()
    url = f"redis://:{SECRETS['password of Redis']}@127.0.0.1:{server.port}/0"
    server.start()
    server.client.config_set("requirepass", SECRETS["password of Redis"])
    guarded = SyncStore(url)
    try:
        site = Site(server, tmp_path / "site")
        told = {"REDIS_URL": url, "API_KEY": f"{KEY},{SECRETS['a key of the settings']}", "GENFLEET_LOG_LEVEL": "debug"}
        log = site.folder / "api.log"
        with site.api(**told, GENFLEET_ALLOW_HTTP_CALLBACKS="true", GENFLEET_WEBHOOK_DELAYS="[0.1]") as api:
            made = api.post("/api/v1/keys", json={"name": "somebody"}).json()["api_key"]
            signing = api.get("/api/v1/webhooks/secret").json()["secret"]
            callback = f"http://localhost.localdomain:1/hook?token={SECRETS['a query of a callback']}"
            body = submission(task_data={"prompt": SECRETS["what was sent"]}, callback_url=callback)
            task_id = api.post(
                "/api/v1/tasks/submit", json=body, headers={"Idempotency-Key": SECRETS["an idempotency key"]}
            ).json()["task_id"]
            api.post("/api/v1/tasks/submit", content=b'{"task_type": "' + SECRETS["what was sent"].encode())
            for key in (SECRETS["a wrong key"], SECRETS["a key of the settings"], made):
                api.get("/api/v1/queues", headers={"X-API-Key": key})
            claim(guarded, task_id)
            guarded.run(steps.complete(task_id, 1, orjson.dumps({"text": SECRETS["what was sent"]})))
            wait_for("the webhook is given up", lambda: "after all retries" in log.read_text(), within=30)
            paths = (
                "queues",
                "workers",
                "keys",
                "audit",
                "health",
                "tasks/metrics",
                "projects/detective_series_001/usage",
                f"tasks/{task_id}/logs",
            )
            answers = "".join(api.get(f"/api/v1/{path}").text for path in paths)
            server_log, keys, values = (
                log.read_text(),
                _keys(server, SECRETS["password of Redis"]),
                _values(server, SECRETS["password of Redis"]),
            )
    finally:
        guarded.close()
        server.stop()
    everything = {*SECRETS.values(), made, signing}
    assert not [secret for secret in everything if secret in server_log]
    assert not [secret for secret in everything if secret in answers]
    assert not [secret for secret in everything - {SECRETS["an idempotency key"]} if secret in keys]
    elsewhere = {*everything} - {
        SECRETS["a query of a callback"],
        SECRETS["what was sent"],
        signing,
        SECRETS["an idempotency key"],
    }
    assert not [secret for secret in elsewhere if secret in values]


def _keys(server: Redis, password: str) -> str:
    with redis.Redis(port=server.port, password=password) as client:
        return repr(list(client.scan_iter("*")))


def _values(server: Redis, password: str) -> str:
    with redis.Redis(port=server.port, password=password) as client:
        return repr([client.dump(key) for key in client.scan_iter("*")])


def test_messages_hold_no_more_than_an_id(api: httpx.Client, redis_server: Redis) -> None:
    """S12, S9: what waits for a worker names a task and its token; not even a part of what was sent is in it."""
    submitted(api, task_data={"prompt": SECRETS["what was sent"]}, metadata={"note": SECRETS["what was sent"]})
    lists = [key for key in redis_server.client.scan_iter("*") if redis_server.client.type(key) == b"list"]
    messages = [message for key in lists for message in redis_server.client.lrange(key, 0, -1)]
    assert messages
    assert SECRETS["what was sent"] not in repr(messages)
