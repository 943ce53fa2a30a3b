"""A chat endpoint in OpenAI's form, on this machine: it does what a test tells it, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[["Exchange"], None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and how to answer it."""

    body: dict[str, Any]
    handler: BaseHTTPRequestHandler
    closing: threading.Event

    def send(self, status: int, content: bytes, **headers: str) -> None:
        """Answer at once."""
        self.handler.send_response_only(status)
        self.handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(content)


@dataclass(slots=True)
class ChatServer:
    """Plays `acts` in turn, the last one again and again."""

    url: str
    acts: deque[Act] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def plays(self, *acts: Act) -> None:
        """What it does from now on; what it was asked before is forgotten."""
        self.acts, self.requests, self.keys = deque(acts), [], []

    def take(self) -> Act:
        """What to do with the request that has come."""
        return self.acts.popleft() if len(self.acts) > 1 else self.acts[0]


def says(
    text: str | dict[str, Any] | None,
    finish: str = "stop",
    refusal: str | None = None,
    usage: dict[str, int] | None = None,
) -> Act:
    """A whole answer with this text. 30 tokens in all, unless told otherwise."""
    content = json.dumps(text) if isinstance(text, dict) else text
    reply = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "test-model-0001",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, "refusal": refusal},
            }
        ],
        "usage": usage or {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30},
    }
    return lambda exchange: exchange.send(200, json.dumps(reply).encode(), Content_Type="application/json")


def fails(status: int, message: str = "as the test asked", **headers: str) -> Act:
    """An error in OpenAI's form."""
    return lambda exchange: exchange.send(status, json.dumps({"error": {"message": message}}).encode(), **headers)


def raw(content: bytes) -> Act:
    """A success that is not of the form."""
    return lambda exchange: exchange.send(200, content)


def cut_off(exchange: Exchange) -> None:
    """Half of an answer, then the connection is closed."""
    exchange.handler.send_response(200)
    exchange.handler.send_header("Content-Length", "5000")
    exchange.handler.end_headers()
    exchange.handler.wfile.write(b'{"choices": [{"mess')


def hangs(exchange: Exchange) -> None:
    """Nothing, until the test is over."""
    exchange.closing.wait(30)


def drips(exchange: Exchange) -> None:
    """A byte now and then: no single wait is long, and there is no end."""
    exchange.handler.send_response(200)
    exchange.handler.end_headers()
    with contextlib.suppress(OSError):
        while not exchange.closing.wait(0.05):
            exchange.handler.wfile.write(b" ")
            exchange.handler.wfile.flush()


def picky(refused: Callable[[dict[str, Any]], str | None], otherwise: Act) -> Act:
    """400 with the complaint that `refused` has about a request, and `otherwise` where it has none."""

    def act(exchange: Exchange) -> None:
        complaint = refused(exchange.body)
        (fails(400, complaint) if complaint else otherwise)(exchange)

    return act


@contextlib.contextmanager
def chat_server() -> Iterator[ChatServer]:
    """A running one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append(body)
            server.keys.append(self.headers.get("Authorization"))
            self.close_connection = True
            if self.path == "/v1/chat/completions":
                server.take()(Exchange(body, self, server.closing))
            else:
                self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = False
    listening.block_on_close = True
    server = ChatServer(f"http://127.0.0.1:{listening.server_port}/v1")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        listening.shutdown()
        thread.join()
        listening.server_close()
