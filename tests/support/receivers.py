"""Receivers of webhooks on real sockets: they note what comes, and answer as a test tells them, also badly."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    path: str
    headers: Message
    body: bytes
    at: float
    """By `time.monotonic`."""

    @property
    def document(self) -> dict[str, Any]:
        """The body, read."""
        document: dict[str, Any] = orjson.loads(self.body)
        return document


Answer = Callable[["Receiver", BaseHTTPRequestHandler], None]


@dataclass
class Receiver:
    """One that is up. The answers are given in turn, and the last one from then on."""

    url: str
    answers: list[Answer]
    received: list[Received] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def answer_to(self, request: BaseHTTPRequestHandler) -> Answer:
        """Note a request, and say how it is answered."""
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.received.append(Received(request.path, request.headers, body, time.monotonic()))
        return self.answers[min(len(self.received), len(self.answers)) - 1]


class _Server(ThreadingHTTPServer):
    """A sender that hangs up, or does not like our certificate, is no error of the receiver."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving(*answers: Answer, certificate: Path | None = None) -> Iterator[Receiver]:
    """A receiver on a port of loopback; over TLS if it has a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(OSError):  # the sender has hung up
                receiver.answer_to(self)(receiver, self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server, scheme = _Server(("127.0.0.1", 0), Handler), "http"
    if certificate:
        context, scheme = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "https"
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver = Receiver(f"{scheme}://127.0.0.1:{server.server_address[1]}/hook", list(answers) or [status(200)])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def status(code: int, body: bytes = b'{"received":true}', **headers: str) -> Answer:
    """An ordinary answer."""

    def answer(_: Receiver, request: BaseHTTPRequestHandler) -> None:
        shown = b"" if code == 204 else body
        request.send_response(code)
        for name, value in {"Content-Length": str(len(shown)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(shown)

    return answer


def hang(receiver: Receiver, _request: BaseHTTPRequestHandler) -> None:
    """Say nothing at all."""
    receiver.closing.wait(60)


def break_off(_receiver: Receiver, request: BaseHTTPRequestHandler) -> None:
    """Close the connection in the middle of an answer that looked well."""
    request.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"received"')


def drip(receiver: Receiver, request: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then, for ever."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not receiver.closing.wait(0.02):
        request.wfile.write(b"x")
