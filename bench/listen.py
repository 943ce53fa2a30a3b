"""Many listeners to event streams in one process: plain asyncio protocols, so that they cost a fraction of what they measure.

    python -m bench.listen PORT < one task id a line    → a line `ready`, then at the end JSON: delays, and what was missed

Ends when every stream has ended. A delay is from the event's `at`, by the clock of Redis on this machine, to its arrival.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from datetime import datetime
from functools import partial
from typing import cast

import orjson
import uvloop

from tests.support.servers import KEY

_EVENT = re.compile(rb"id: (\d+)\nevent: (\w+)\ndata: (.*)\n")


class Listener(asyncio.Protocol):
    """One stream of events."""

    def __init__(self, task_id: str, delays: list[float]) -> None:
        self._request = (
            f"GET /api/v1/tasks/{task_id}/events HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n"
            "Connection: close\r\n\r\n"
        ).encode()
        self._delays = delays
        self._buffer = b""
        self.ids: list[int] = []
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take the events that are whole. Each comes in a chunk of its own, which its blank line ends."""
        now = time.time()
        *whole, self._buffer = (self._buffer + data).split(b"\n\n")
        for part in whole:
            found = _EVENT.search(part + b"\n")
            if found:
                self.ids.append(int(found[1]))
                if self.ids[-1] > 1:  # those before were read, not heard
                    at = datetime.fromisoformat(orjson.loads(found[3])["at"]).timestamp()
                    self._delays.append(now - at)
        if self.ids and self.ids[-1] and not self.begun.done():
            self.begun.set_result(None)

    def connection_lost(self, _error: Exception | None) -> None:
        """The end."""
        self.ended.set_result(None)


def _itself(listener: Listener) -> Listener:
    return listener


async def listen(port: int, task_ids: list[str]) -> dict[str, object]:
    """Listen to each of these tasks, to their ends."""
    loop, delays = asyncio.get_running_loop(), list[float]()
    listeners = [Listener(task_id, delays) for task_id in task_ids]
    for listener in listeners:
        await loop.create_connection(partial(_itself, listener), "127.0.0.1", port)
    await asyncio.gather(*(listener.begun for listener in listeners))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.gather(*(listener.ended for listener in listeners))
    wrong = sum(listener.ids != list(range(len(listener.ids))) for listener in listeners)
    heard = {len(listener.ids) for listener in listeners}
    return {"delays": delays, "wrong": wrong, "heard": sorted(heard)}


if __name__ == "__main__":
    answer = uvloop.run(listen(int(sys.argv[1]), sys.stdin.read().split()))
    sys.stdout.write(json.dumps(answer) + "\n")
