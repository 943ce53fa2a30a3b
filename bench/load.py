"""A small HTTP load: keep-alive connections that each send the same request again as soon as it is answered.

Plain asyncio protocols, so that the load costs a fraction of what it measures. Loopback only; ends by itself.

    python -m bench.load PORT CONNECTIONS SECONDS < request    → JSON: requests a second, latencies, other statuses
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import uvloop


class Connection(asyncio.Protocol):
    """One connection that is never idle."""

    def __init__(self, request: bytes, latencies: list[float], refused: list[bytes], until: float) -> None:
        self._request = request
        self._latencies = latencies
        self._refused = refused
        self._until = until
        self._buffer = b""
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Send the next one once the whole answer is there."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        if not head.startswith(b"HTTP/1.1 200"):
            self._refused.append(head.partition(b"\r\n")[0])
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """The end."""
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def load(port: int, connections: int, seconds: float, request: bytes) -> dict[str, object]:
    """Send requests for so long. What came of it."""
    loop, latencies, refused = asyncio.get_running_loop(), list[float](), list[bytes]()
    began = time.perf_counter()
    opened = [
        await loop.create_connection(
            lambda: Connection(request, latencies, refused, began + seconds), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.closed for _, connection in opened))
    took = time.perf_counter() - began
    ordered = sorted(latencies)
    return {
        "per_second": round(len(ordered) / took),
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "p99_ms": round(1000 * ordered[len(ordered) * 99 // 100], 2),
        "refused": {line.decode(): refused.count(line) for line in set(refused)},
    }


if __name__ == "__main__":
    port, connections, seconds = sys.argv[1:]
    answer = uvloop.run(load(int(port), int(connections), float(seconds), sys.stdin.buffer.read()))
    sys.stdout.write(json.dumps(answer) + "\n")
