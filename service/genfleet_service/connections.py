"""A connection of a client: uvicorn's, with an end to what it may send slowly or without end.

uvicorn waits for as long as the other side likes, and keeps all the headers that it sends, before anybody has asked for
a key. A few thousand connections that each send a byte a minute would keep everybody else out, and one that sends
headers for ever would fill the memory. `main.py` has an eye on them, once a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_MOST = 16 * 1024
"""Bytes of the request line and the headers."""

_TOO_LARGE = b"""HTTP/1.1 431 Request Header Fields Too Large\r
content-type: application/json\r
connection: close\r
content-length: %d\r
\r
%s"""
_TOO_LARGE_BODY = (
    b'{"error":"headers_too_large","message":"The request line and the headers may have at most %d bytes in all"}'
    % HEAD_MOST
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a client may take."""

    head: float
    """For the request line and the headers, and for the silence before them."""
    whole: float
    """From the first byte of a request to the last of its body."""


class HeadTooLarge(Exception):
    """Raised into the parser, which ends the request then."""


class Connection(HttpToolsProtocol):
    """One connection, with the time since which its present request is awaited."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since = self.loop.time()
        self._head = 0
        """Bytes of the present head so far; those of a body that came with it count until the head is complete."""
        self._head_is_complete = False
        self._too_large = False

    def data_received(self, data: bytes) -> None:
        """Parse it; while it belongs to a head, count it."""
        if not self._head_is_complete:
            self._head += len(data)
        super().data_received(data)
        if self._head > HEAD_MOST and not self._head_is_complete and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._since, self._head_is_complete = self.loop.time(), False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there: small enough, or the request ends here."""
        self._head, self._head_is_complete = 0, True
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_MOST:
            self._too_large = True
            raise HeadTooLarge
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """From now on the next request is awaited."""
        self._since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """The parser gave up."""
        if self._too_large:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def is_late(self, now: float, patience: Patience) -> bool:
        """Whether the other side has taken longer than it may. `now` by the loop's clock."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete:
            return now - self._since > patience.head
        return cycle.more_body and now - self._since > patience.whole

    def hang_up(self) -> None:
        """End it: what waits for its body hears that the client has gone."""
        self.transport.close()

    def _refuse_head(self) -> None:
        self.transport.write(_TOO_LARGE % (len(_TOO_LARGE_BODY), _TOO_LARGE_BODY))
        self.transport.close()


def end_late(connections: Iterable[Any], now: float, patience: Patience) -> None:
    """Hang up on those that are late."""
    for connection in [each for each in connections if each.is_late(now, patience)]:
        connection.hang_up()
