"""Outbound requests reach what the public internet serves, and nothing behind the installation's own walls."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpcore
import httpx
import pytest

from genfleet.egress import AsyncSafeTransport, EgressRefused, SafeTransport, fetch, is_public
from genfleet.errors import PermanentError, TransientError

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """The port of an HTTP server on the loopback address that answers every GET with `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def replying(status: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer of this status, body and headers."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket on all addresses of this machine that nobody should connect to."""
    with socket.create_server(("", 0)) as server:
        server.settimeout(0)
        yield server


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "localhost",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_a_host_inside_is_refused_without_a_connection(host: str, listener: socket.socket) -> None:
    """Every way to write an address that is not public is refused before anything is sent."""
    with pytest.raises(PermanentError):
        fetch(f"http://{host}:{listener.getsockname()[1]}/", limit_bytes=100, timeout=1)
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/a", "file:///etc/passwd", "gopher://127.0.0.1/", "//example.com/", "picture.png", "http:///a"],
)
def test_only_http_is_spoken(url: str) -> None:
    """A URL of another scheme, or of none, is refused."""
    with pytest.raises(PermanentError):
        fetch(url, limit_bytes=100, timeout=1)


def test_credentials_in_a_url_are_refused() -> None:
    """`http://public@inside/` misleads readers about where it goes, so no URL with user information is opened."""
    with pytest.raises(EgressRefused, match="user name or password"):
        fetch("http://example.com:80@127.0.0.1/", limit_bytes=100, timeout=1)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_public_addresses_are_public(address: str) -> None:
    """Ordinary addresses pass the check."""
    assert is_public(address)


def test_one_private_address_makes_the_name_suspect() -> None:
    """A name with a public and a private address is refused as a whole."""
    with pytest.raises(EgressRefused, match=r"mixed\.test is not a public address"):
        fetch("http://mixed.test/", limit_bytes=1, timeout=1, resolve=lambda *_: ["93.184.216.34", "10.0.0.1"])


def test_the_checked_address_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers with a public address first and a private one later gains nothing (DNS rebinding)."""
    answers, dialled = iter([["93.184.216.34"], ["127.0.0.1"]]), []

    def dial(_self: httpcore.SyncBackend, host: str, *_args: object) -> httpcore.NetworkStream:
        dialled.append(host)
        raise httpcore.ConnectError("nobody there")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", dial)
    with pytest.raises(TransientError):
        fetch("http://rebinding.test/", limit_bytes=1, timeout=1, resolve=lambda *_: next(answers))
    assert dialled == ["93.184.216.34"]
    assert next(answers) == ["127.0.0.1"]  # never asked for


def test_private_addresses_can_be_allowed() -> None:
    """An installation whose callbacks stay inside says so, and the request keeps the name it was made for."""
    hosts = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        hosts.append(request.headers["Host"])
        replying(200, b"hello")(request)

    with serving(answer) as port:
        url = f"http://inside.test:{port}/"
        body = fetch(url, limit_bytes=100, timeout=5, allow_private=True, resolve=lambda *_: ["127.0.0.1"])
        assert (body, hosts) == (b"hello", [f"inside.test:{port}"])


def test_the_next_address_is_tried() -> None:
    """A host whose first address does not answer is reached by its second."""
    with serving(replying(200, b"hello")) as port:
        url, addresses = f"http://two.test:{port}/", ["127.0.0.2", "127.0.0.1"]
        assert fetch(url, limit_bytes=9, timeout=5, allow_private=True, resolve=lambda *_: addresses) == b"hello"


def test_tls_asks_for_the_name_of_the_url() -> None:
    """The connection goes to an address, the certificate is asked for by name (SNI)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        hellos: list[bytes] = []

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                hellos.append(connection.recv(4096))

        thread = threading.Thread(target=greet)
        thread.start()
        url = f"https://named.test:{server.getsockname()[1]}/"
        with pytest.raises(TransientError):
            fetch(url, limit_bytes=1, timeout=5, allow_private=True, resolve=lambda *_: ["127.0.0.1"])
        thread.join()
    assert b"named.test" in hellos[0]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (204, PermanentError),
        (301, PermanentError),
        (403, PermanentError),
        (404, PermanentError),
        (408, TransientError),
        (425, TransientError),
        (429, TransientError),
        (500, TransientError),
        (503, TransientError),
    ],
)
def test_statuses_are_classified(status: int, error: type[Exception]) -> None:
    """TS-111, TS-112: what may be different next time is transient, what will be the same is permanent."""
    with serving(replying(status)) as port, pytest.raises(error, match=str(status)):
        fetch(f"http://127.0.0.1:{port}/", limit_bytes=100, timeout=5, allow_private=True)


def test_a_redirect_is_not_followed() -> None:
    """A public server cannot send the request on to a place inside."""
    with serving(replying(200, b"secret")) as inside:
        redirect = replying(302, Location=f"http://127.0.0.1:{inside}/")
        with serving(redirect) as port, pytest.raises(PermanentError, match="redirects are not followed"):
            fetch(f"http://127.0.0.1:{port}/", limit_bytes=100, timeout=5, allow_private=True)


def test_the_body_is_capped() -> None:
    """A body larger than the limit ends the download; one of exactly the limit passes."""
    with serving(replying(200, b"x" * 1000)) as port:
        url = f"http://127.0.0.1:{port}/"
        assert len(fetch(url, limit_bytes=1000, timeout=5, allow_private=True)) == 1000
        with pytest.raises(PermanentError, match="999 bytes"):
            fetch(url, limit_bytes=999, timeout=5, allow_private=True)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["head", "body"])
def test_a_slow_drip_ends_at_the_deadline(start: bytes) -> None:
    """TS-111: bytes that arrive one by one do not keep the request alive, neither in the head nor in the body."""
    gone = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(start or b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not gone.wait(0.02):
            try:
                request.wfile.write(b"x")
            except OSError:
                return

    with serving(drip) as port:
        began = time.monotonic()
        with pytest.raises(TransientError, match=r"within 0\.4 seconds"):
            fetch(f"http://127.0.0.1:{port}/", limit_bytes=10_000, timeout=0.4, allow_private=True)
        spent = time.monotonic() - began
        gone.set()
    assert 0.3 < spent < 2


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to addresses that nobody checked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(replying(200, b"direct")) as port:
        assert fetch(f"http://127.0.0.1:{port}/", limit_bytes=9, timeout=5, allow_private=True) == b"direct"


def test_the_transport_serves_any_client() -> None:
    """Webhooks post through the same transport."""
    with httpx.Client(transport=SafeTransport()) as client, pytest.raises(EgressRefused):
        client.post("http://127.0.0.1:1/", json={})


def test_the_async_transport_refuses_and_allows_alike() -> None:
    """The service, which is asynchronous, has the same guard."""

    async def get(url: str, *, allow_private: bool) -> int:
        async with httpx.AsyncClient(transport=AsyncSafeTransport(allow_private=allow_private)) as client:
            return (await client.get(url)).status_code

    with serving(replying(200)) as port:
        url = f"http://localhost:{port}/"
        with pytest.raises(EgressRefused):
            asyncio.run(get(url, allow_private=False))
        assert asyncio.run(get(url, allow_private=True)) == 200
