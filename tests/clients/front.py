"""A front before the real API that passes everything on, but for what a test tells it to do to the next requests."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx


@dataclass(slots=True)
class Front:
    """The address to use instead of the API's, what comes to it, and what it is to do."""

    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request that came, in order."""
    tricks: list[Trick] = field(default_factory=list)
    """For the next requests, one each."""
    streams: bool = True
    """Whether there are streams of events."""
    cuts: list[int] = field(default_factory=list)
    """For the next streams of events: the bytes after which each is cut."""


Trick = Callable[["_Handler"], None]


def loses_the_answer(handler: _Handler) -> None:
    """Lets the request be done, and says nothing of it."""
    handler.fetch()
    handler.close_connection = True


def passes_on(handler: _Handler) -> None:
    """Does nothing else."""
    handler.stream()


def answers(status: int, body: str = "", **headers: str) -> Trick:
    """Answers by itself, before the API has seen anything."""

    def trick(handler: _Handler) -> None:
        handler.reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body.encode())

    return trick


def over_the_limit(retry_after: int) -> Trick:
    """Refuses in the documented way (TS-154)."""
    body = {"error": "rate_limit_exceeded", "message": "Too many requests", "retry_after": retry_after}
    return answers(429, json.dumps(body), Retry_After=str(retry_after), Content_Type="application/json")


def limits_batches_to(size: int, retry_after: int) -> Trick:
    """Lets so many parts of a batch through, and refuses the others as a limit does."""

    def trick(handler: _Handler) -> None:
        request = handler.request_to_the_api()
        tasks = json.loads(request.content)["tasks"]
        kept = {name: request.headers[name] for name in ("X-API-Key", "Idempotency-Key")}
        body = handler.api.post(request.url, headers=kept, json={"tasks": tasks[:size]}).raise_for_status().json()
        error = {"status": 429, "error": "rate_limit_exceeded", "message": "Too many", "retry_after": retry_after}
        refused = [{"index": index, "task": None, "error": error} for index in range(size, len(tasks))]
        answer = body | {"refused": len(refused), "results": body["results"] + refused}
        handler.reply(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    return trick


class _Handler(http.server.BaseHTTPRequestHandler):
    front: Front
    api: httpx.Client

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client went away
            super().handle_one_request()

    def _serve(self) -> None:
        self.front.requests.append((self.command, self.path))
        if self.path.endswith("/events") and not self.front.streams:
            answers(404, '{"error": "not_found", "message": "There is nothing here"}')(self)
        elif self.path.endswith("/events") and self.front.cuts:
            self.stream(limit=self.front.cuts.pop(0))
        elif self.front.tricks:
            self.front.tricks.pop(0)(self)
        else:
            self.stream()

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815  names that the standard library calls

    def request_to_the_api(self) -> httpx.Request:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        return self.api.build_request(self.command, self.path, headers=kept, content=content)

    def fetch(self) -> httpx.Response:
        """What the API answers."""
        return self.api.send(self.request_to_the_api())

    def stream(self, limit: int | None = None) -> None:
        """Pass the answer on as it comes; with a limit no more of it than so many bytes."""
        response = self.api.send(self.request_to_the_api(), stream=True)
        with contextlib.closing(response):
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            for part in response.iter_raw():
                self.wfile.write(part[:limit])
                self.wfile.flush()
                if limit is not None:
                    limit -= len(part)
                    if limit <= 0:
                        break
        self.close_connection = True

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Answer with this."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_words: object) -> None:
        """Nothing on the terminal of the tests."""


@contextlib.contextmanager
def front_of(api: httpx.Client) -> Iterator[Front]:
    """A front of this API."""
    front = Front()
    with httpx.Client(base_url=api.base_url, timeout=60, trust_env=False) as behind:
        handler = type("Handler", (_Handler,), {"front": front, "api": behind})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            server.daemon_threads = True
            front.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            yield front
            server.shutdown()
