"""Receivers of webhooks and servers of pictures that mean harm: S1 to S4 of the list in `docs/security.md`."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from genfleet.egress import AsyncSafeTransport, fetch
from genfleet.errors import PermanentError, TransientError
from genfleet_service.webhooks.attempt import Answered, NotAnswered, Outcome, post
from tests.support import hostile_urls

MiB = 2**20


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """Every address of this machine, where nobody should come."""
    with socket.create_server(("", 0)) as server:
        server.settimeout(0)
        yield server


def is_untouched(trap: socket.socket) -> bool:
    """Whether nobody came."""
    with suppress(BlockingIOError):
        trap.accept()
        return False
    return True


def called(url: str, within: float = 2.0, **how: object) -> Outcome:
    """What comes of a webhook to this address."""

    async def attempt() -> Outcome:
        transport = AsyncSafeTransport(**how)  # type: ignore[arg-type]
        try:
            return await post(transport, url, b"{}", {}, within, allow_http=True)
        finally:
            await transport.aclose()

    return asyncio.run(attempt())


def test_no_address_inside_is_called_however_it_is_written(trap: socket.socket) -> None:
    """S1: more than 60 ways to write loopback, metadata services, private networks and names of a cluster."""
    urls = hostile_urls.urls(trap.getsockname()[1])
    assert len(urls) >= 60
    for url in urls:
        outcome = called(url, resolve=hostile_urls.resolve)
        assert isinstance(outcome, NotAnswered), url
        assert outcome.final, f"{url} would be tried again: {outcome.error}"
    assert is_untouched(trap)


def test_nothing_inside_is_fetched_however_it_is_written(trap: socket.socket) -> None:
    """S1: the same for pictures, sounds and documents."""
    for url in hostile_urls.urls(trap.getsockname()[1]):
        with pytest.raises(PermanentError):
            fetch(url, limit_bytes=100, timeout=2, resolve=hostile_urls.resolve)
    assert is_untouched(trap)


def test_a_name_that_was_public_a_moment_ago(trap: socket.socket) -> None:
    """S2: look-ups that are public first and loopback from then on: no connection leads inside."""
    port = trap.getsockname()[1]
    for _ in range(10):
        asked = [["192.0.2.1"], ["127.0.0.1"]]  # of the first, nothing can answer: it is for documents
        first = [["93.184.216.34"], ["127.0.0.1"]]
        with pytest.raises(PermanentError):
            fetch(f"http://rebinding.test:{port}/", limit_bytes=9, timeout=1, resolve=lambda *_: asked.pop(0))  # noqa: B023
        assert len(asked) == 1, "it was looked up twice"
        outcome = called(f"http://rebinding.test:{port}/", 0.02, resolve=lambda *_: first.pop(0))  # noqa: B023
        assert isinstance(outcome, NotAnswered)
        assert len(first) == 1, "it was looked up twice"
    assert is_untouched(trap)


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers each connection like this, after its request has begun."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    opened, _ = server.accept()
                    threading.Thread(target=each, args=(opened,), daemon=True).start()

        def each(opened: socket.socket) -> None:
            with opened, suppress(OSError):
                opened.recv(65536)
                answer(opened)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)


BOMB = gzip.compress(b"\0" * 100 * MiB)


def endless(opened: socket.socket) -> None:
    """10 GB, as far as anybody reads them."""
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
    while True:
        opened.sendall(b"x" * MiB)


def bomb(opened: socket.socket) -> None:
    """100 MiB of nothing in 100 KB."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
    opened.sendall(head + BOMB)


def long_head(opened: socket.socket) -> None:
    """A header for ever."""
    opened.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
    while True:
        opened.sendall(b"x" * MiB)


def drip(opened: socket.socket) -> None:
    """A byte at a time."""
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        opened.sendall(b"x")
        time.sleep(0.05)


def chunks(opened: socket.socket) -> None:
    """Chunks of which each says that more follow."""
    opened.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        opened.sendall(b"100000\r\n" + b"x" * MiB + b"\r\n")


@pytest.mark.parametrize("answer", [endless, bomb, long_head, drip, chunks], ids=lambda answer: answer.__name__)
def test_no_answer_fills_the_memory_or_takes_for_ever(answer: Callable[[socket.socket], None]) -> None:
    """S3: whatever is answered to a webhook or a fetch, it costs little and is over in its time."""
    process = psutil.Process()
    with serving(answer) as url:
        before, began = process.memory_info().rss, time.monotonic()
        outcome = called(url, 1.0, allow_private=True)
        with suppress(PermanentError, TransientError):
            assert len(fetch(url, limit_bytes=MiB, timeout=1, allow_private=True)) <= MiB
        assert time.monotonic() - began < 8
        assert process.memory_info().rss - before < 30 * MiB
    if isinstance(outcome, Answered):
        assert len(outcome.response) <= 1024
