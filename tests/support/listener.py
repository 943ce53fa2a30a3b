"""Somebody who listens to a stream of server-sent events, while the test goes on."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Heard:
    """One event, as it came."""

    id: int
    event: str
    data: dict[str, Any]

    @property
    def kind(self) -> str:
        """The state that it tells of, or else its name."""
        return str(self.data.get("status", self.event))


@dataclass(slots=True)
class Parser:
    """Takes lines, gives events."""

    heartbeats: int = 0
    retry: int | None = None
    _fields: dict[str, str] = field(default_factory=dict)

    def feed(self, line: str) -> Heard | None:
        """The event that this line completes."""
        if line.startswith(":"):
            self.heartbeats += 1
        elif line:
            name, _, value = line.partition(": ")
            self._fields[name] = value
        elif self._fields:
            fields, self._fields = self._fields, {}
            if "retry" in fields:
                self.retry = int(fields.pop("retry"))
            return Heard(int(fields["id"]), fields["event"], json.loads(fields["data"])) if fields else None
        return None


@dataclass(slots=True)
class Listener:
    """What was heard so far."""

    response: httpx.Response
    heard: list[Heard] = field(default_factory=list)
    parser: Parser = field(default_factory=Parser)
    ended: bool = False
    """Whether the service ended the stream, properly."""

    def listen(self) -> None:
        """Until the stream ends or is closed."""
        with contextlib.suppress(httpx.StreamError, httpx.TransportError, RuntimeError):
            for line in self.response.iter_lines():
                if event := self.parser.feed(line):
                    self.heard.append(event)
            self.ended = True

    @property
    def ids(self) -> list[int]:
        """Of what was heard."""
        return [event.id for event in self.heard]

    @property
    def kinds(self) -> list[str]:
        """Of what was heard."""
        return [event.kind for event in self.heard]

    def wait_for(self, *kinds: str) -> None:
        """Wait until these were heard last."""
        wait_for(f"heard {kinds}", lambda: tuple(self.kinds[-len(kinds) :]) == kinds or None)

    def wait_for_end(self) -> None:
        """Wait until the service has ended the stream."""
        wait_for(f"the stream ends after {self.kinds}", lambda: self.ended)


@contextlib.contextmanager
def listening(api: httpx.Client, path: str, after: int | None = None) -> Iterator[Listener]:
    """Listen to a path of the API, or to what comes after an event."""
    with api.stream("GET", path, headers=_after(after)) as response:
        assert response.status_code == httpx.codes.OK, response.read()
        listener = Listener(response)
        thread = threading.Thread(target=listener.listen)
        thread.start()
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):  # the service may have been first
                response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            thread.join(10)


def stream_of(api: httpx.Client, path: str, after: int | None = None) -> list[Heard]:
    """Every event of a stream that ends by itself."""
    parser = Parser()
    with api.stream("GET", path, headers=_after(after)) as response:
        assert response.status_code == httpx.codes.OK, response.read()
        return [event for line in response.iter_lines() if (event := parser.feed(line))]


def _after(number: int | None) -> dict[str, str]:
    return {} if number is None else {"Last-Event-ID": str(number)}
