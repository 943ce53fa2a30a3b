"""Clients without a key that send slowly, without end, or what no client sends: S14 to S16 of the list in `docs/security.md`."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from genfleet_service.connections import HEAD_MOST
from tests.service.acts import submission
from tests.support.servers import KEY, Redis, Site
from tests.support.waiting import wait_for

MiB = 2**20
SUBMIT = "/api/v1/tasks/submit"


@pytest.fixture(scope="module")
def hurried(
    _redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, psutil.Process, Path]]:
    """An API that is not patient with slow clients, its process, and its log."""
    site = Site(_redis, tmp_path_factory.mktemp("hurried"))
    with site.api_process(
        GENFLEET_HEAD_SECONDS="1", GENFLEET_REQUEST_SECONDS="2", GENFLEET_WEBHOOK_CONCURRENCY="0"
    ) as (client, process):
        yield client, psutil.Process(process.pid), site.folder / "api.log"


def connected(client: httpx.Client) -> socket.socket:
    """A bare connection to an API."""
    opened = socket.create_connection((client.base_url.host, client.base_url.port or 80))
    opened.settimeout(15)
    return opened


def is_closed(opened: socket.socket) -> bool:
    """Whether the other side has hung up; what it said before is thrown away."""
    opened.settimeout(0.05)
    try:
        return opened.recv(65536) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def drip(opened: socket.socket, piece: bytes) -> bool:
    """Send a little more. True once the other side has had enough."""
    try:
        opened.sendall(piece)
    except OSError:
        return True
    return is_closed(opened)


HEAD = f"POST {SUBMIT} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n".encode()


@pytest.mark.parametrize(
    ("start", "more"),
    [
        pytest.param(b"", b"", id="silence"),
        pytest.param(b"", b"\r\n", id="empty lines"),
        pytest.param(b"GET /health HTTP/1.1\r\n", b"X-A: b\r\n", id="headers one by one"),
        pytest.param(b"GET /health HTTP/1.1\r\nX-Long: ", b"a", id="one header for ever"),
        pytest.param(b"G", b"", id="one byte"),
        pytest.param(HEAD + b"Content-Length: 1000000\r\n\r\n{", b" ", id="a body byte by byte"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", id="a body in chunks"),
        pytest.param(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n", id="empty lines after an answer"),
    ],
)
def test_who_is_too_slow_is_cut_off(
    hurried: tuple[httpx.Client, psutil.Process, Path], start: bytes, more: bytes
) -> None:
    """S16: a client that trickles its request (slowloris) loses its connection, whatever part it is slow with."""
    client, _, _ = hurried
    with closing(connected(client)) as slow:
        if start:
            slow.sendall(start)
        wait_for("the connection is closed", lambda: drip(slow, more) if more else is_closed(slow))


def test_hundreds_of_slow_clients_keep_nobody_out(hurried: tuple[httpx.Client, psutil.Process, Path]) -> None:
    """S16: others are served while they hold on, and all their connections are free soon after."""
    client, process, _ = hurried
    before = process.num_fds()
    slow = [connected(client) for _ in range(300)]
    try:
        for each in slow:
            each.sendall(b"GET /health HTTP/1.1\r\nX-A: ")
        assert client.get("/api/v1/queues").status_code == httpx.codes.OK
        wait_for("their connections are closed on our side", lambda: process.num_fds() < before + 20)
    finally:
        for each in slow:
            each.close()


def test_who_waits_for_an_answer_is_not_slow(hurried: tuple[httpx.Client, psutil.Process, Path]) -> None:
    """S16: the service's own time does not count: an answer may take longer than a request."""
    client, _, _ = hurried
    began = time.monotonic()
    answer = client.post(SUBMIT, json=submission(), headers={"Prefer": "wait=4"})
    assert answer.status_code == httpx.codes.OK
    assert answer.headers["Preference-Applied"] == "wait=4"
    assert time.monotonic() - began > 3


def test_one_who_leaves_in_the_middle_is_no_error(hurried: tuple[httpx.Client, psutil.Process, Path]) -> None:
    """S16: half a request and a closed connection is nothing that an operator is woken for."""
    client, _, log = hurried
    with closing(connected(client)) as leaver:
        leaver.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    assert client.get("/api/v1/queues").status_code == httpx.codes.OK
    assert "unexpected" not in log.read_text()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * HEAD_MOST), id="address"),
        pytest.param(b"GET / HTTP/1.1\r\nX-A: %s\r\n\r\n" % (b"a" * HEAD_MOST), id="one header"),
        pytest.param(b"GET / HTTP/1.1\r\n%s\r\n" % (b"X-A: b\r\n" * (HEAD_MOST // 7)), id="many headers"),
    ],
)
def test_heads_have_a_size(hurried: tuple[httpx.Client, psutil.Process, Path], sent: bytes) -> None:
    """S15: 16 KiB of request line and headers, and not a byte more."""
    with closing(connected(hurried[0])) as opened:
        opened.sendall(sent)
        answer = b"".join(iter(lambda: opened.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["error"] == "headers_too_large"


def test_a_head_without_end_fills_no_memory(hurried: tuple[httpx.Client, psutil.Process, Path]) -> None:
    """S15: nothing of what comes after the limit is kept, before anybody asked for a key."""
    client, process, _ = hurried
    before = process.memory_info().rss

    def flood(piece: bytes) -> int:
        sent = 0
        with closing(connected(client)) as opened:
            try:
                opened.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
                while sent < 200 * MiB:
                    opened.sendall(piece)
                    sent += len(piece)
            except OSError:
                return sent
        return sent

    assert flood(b"a" * MiB) < 50 * MiB
    assert flood(b"a: b\r\n" * 100_000) < 50 * MiB
    assert process.memory_info().rss - before < 50 * MiB


def test_bodies_that_come_packed_are_not_unpacked(api: httpx.Client) -> None:
    """S15: a body is JSON as it comes; a packed one, be it a bomb, is refused for what it is."""
    for content in (json.dumps(submission()).encode(), b" " * (100 * MiB)):
        answer = api.post(SUBMIT, content=gzip.compress(content), headers={"Content-Encoding": "gzip"})
        assert (answer.status_code, answer.json()["error"]) == (400, "validation_error")


def nested(levels: int, opening: str, closing_: str) -> bytes:
    """A submission whose data is so deep."""
    return (
        json.dumps(submission(task_data={"x": 0}))
        .replace('"x": 0', f'"x": {opening * levels}{closing_ * levels}')
        .encode()
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(nested(100_000, "[", "]"), id="100,000 lists deep"),
        pytest.param(nested(100_000, '{"a":', "1}").replace(b"1}" * 99_999, b"}" * 99_999), id="100,000 objects deep"),
        pytest.param(b"[" * 3_000_000, id="3 MB of brackets"),
        pytest.param(b'{"a":' * 500_000, id="objects without end"),
        pytest.param(b'{"project_id": NaN}', id="NaN"),
        pytest.param(b'{"project_id": Infinity}', id="Infinity"),
        pytest.param(b'{"priority": 1e999}', id="a number out of range"),
        pytest.param(b'{"priority": ' + b"9" * 1_000_000 + b"}", id="a million digits"),
        pytest.param(b'{"delay_seconds": -' + b"9" * 400 + b"}", id="400 digits"),
        pytest.param(b'{"project_id": "\xff\xfe"}', id="invalid UTF-8"),
        pytest.param(b'{"project_id": "\\ud800"}', id="half a surrogate"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="UTF-16"),
        pytest.param(b'{"project_id": "a\x00b"}', id="a bare NUL"),
        pytest.param(b"{} {}", id="two documents"),
        pytest.param(b'{"a": 1,}', id="a comma too many"),
        pytest.param(b"!!python/object/apply:os.system ['true']", id="YAML"),
        pytest.param(b"\x80\x04\x95\x1b\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins", id="pickle"),
    ],
)
def test_only_plain_json_is_read(api: httpx.Client, redis_server: Redis, body: bytes) -> None:
    """S15: what is deep, huge, broken or no JSON is refused with the documented body, and leaves nothing."""
    before = redis_server.client.dbsize()
    answer = api.post(SUBMIT, content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "validation_error"), answer.text[:200]
    assert not list(redis_server.client.scan_iter("genfleet:task:*"))
    assert redis_server.client.dbsize() <= before + 2  # chores of the API


def test_a_name_that_comes_twice_means_one_thing_everywhere(api: httpx.Client) -> None:
    """S15, S7: the project that is checked is the project that is used, whichever of two the reader takes."""
    made = api.post(
        "/api/v1/keys", json={"name": "one project", "scopes": ["submit", "read"], "projects": ["mine"]}
    ).json()
    body = b'{"project_id": "mine", "task_type": "generate_image", "task_data": {}, "project_id": "theirs"}'
    answer = api.post(SUBMIT, content=body, headers={"X-API-Key": made["api_key"]})
    assert answer.status_code == httpx.codes.FORBIDDEN
    other = body.replace(b"theirs", b"x").replace(b"mine", b"theirs").replace(b'"x"', b'"mine"')
    answer = api.post(SUBMIT, content=other, headers={"X-API-Key": made["api_key"]})
    assert answer.json()["project_id"] == "mine"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/nothing"), ("GET", "/media/none.png"),
        ("GET", "/api/v1/queues"), ("GET", "/api/v1/tasks/none/status"), ("POST", SUBMIT), ("PUT", SUBMIT),
        ("GET", "/api/v1/keys"), ("OPTIONS", SUBMIT),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", [KEY, "wrong", None])
def test_every_answer_says_what_it_is(api: httpx.Client, method: str, path: str, key: str | None) -> None:
    """S16, S26: no answer can be taken for a page, framed, guessed at or kept on the way, and no other site may read it."""
    headers = {"Origin": "https://elsewhere.example"} | ({"X-API-Key": key} if key else {})
    answer = httpx.request(method, api.base_url.join(path), headers=headers, trust_env=False)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store" or "/media/" in path
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy or "sandbox" in policy
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert "server" not in answer.headers


def test_the_page_of_the_api_loads_one_script_that_cannot_change(api: httpx.Client) -> None:
    """S16: what `/docs` takes from elsewhere is pinned by its digest, and its policy lets nothing else in."""
    answer = httpx.get(api.base_url.join("/docs"), trust_env=False)
    sources = [line for line in answer.text.splitlines() if "https://" in line]
    assert len(sources) == 2
    assert all('integrity="sha384-' in line and 'crossorigin="anonymous"' in line for line in sources)
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert "unsafe" not in policy["script-src"]
    assert policy["connect-src"] == "'self'"


def test_the_page_of_the_api_can_be_taken_away(site: Site) -> None:
    """S16: by a setting, and the document with it."""
    with site.api(GENFLEET_DOCS="false") as api:
        assert {path: api.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")} == {
            "/docs": 404, "/redoc": 404, "/openapi.json": 404,
        }  # fmt: skip


def test_big_bodies_at_the_same_time_are_not_all_kept(hurried: tuple[httpx.Client, psutil.Process, Path]) -> None:
    """S15: a 1 GB body, announced or not, is refused after its limit: the memory does not grow with what is sent."""
    client, process, _ = hurried
    before, codes = process.memory_info().rss, list[Any]()

    def send() -> None:
        def endless() -> Iterator[bytes]:
            for _ in range(1024):
                yield b" " * MiB

        try:
            codes.append(
                httpx.post(client.base_url.join(SUBMIT), content=endless(), headers={"X-API-Key": KEY}).status_code
            )
        except httpx.TransportError:
            codes.append("cut off")

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {413, "cut off"}
    assert process.memory_info().rss - before < 60 * MiB
