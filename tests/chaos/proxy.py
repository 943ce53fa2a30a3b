"""A link that fails as networks do: a TCP proxy before a Redis, or anything else, that is told what to do to whom.

It runs in a thread of the campaign. A reply that is cut has been given: the server did what it was asked, and the one who
asked never hears of it. That is the fault that loses or doubles work, and the one that no kill of a process shows for sure.

What vanishes, vanishes for good, as behind a firewall that has forgotten the connection: TCP would let nothing pass that
comes behind what was lost. Such a connection is silent from then on, and neither side learns that the other has gone.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.servers import free_port

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset."""


@dataclass(slots=True)
class Cut:
    """Some of the replies to come are cut."""

    request: bytes
    """What the request holds, e.g. `BRPOP`, or the SHA of a script."""
    reply: bytes
    """What the reply holds, so that the nil of a fetch that found nothing is let through."""
    left: int
    before: bool
    """Cut when the request comes, before the server sees it."""
    silent: bool
    """Nobody is told: the reply vanishes, and the connection stays open."""
    then: Callable[[bytes, bytes], object] | None = None
    """Called with the request and the reply (empty if cut before) at the very moment, in the proxy's thread: to kill."""
    done: int = 0


@dataclass(slots=True, eq=False)
class _Link:
    """One connection through the proxy."""

    asker: asyncio.StreamWriter
    server: asyncio.StreamWriter
    asked: bytes = b""
    """The last that was sent."""
    silent: bool = False
    """Nothing passes any more."""

    def reset(self) -> None:
        for side in (self.asker, self.server):
            with suppress(OSError):
                side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            side.transport.abort()


@dataclass(slots=True)
class Proxy:
    """Between whoever connects to `port`, and the server on `target`."""

    target: int
    port: int = field(default_factory=free_port)
    delay: float = 0.0
    """Seconds that everything takes, each way."""
    swallows: bool = False
    """Whatever is sent vanishes, and nobody is told: a link that is half open. Connections that lost something stay so."""
    refuses: bool = False
    """New connections are reset: a partition that is noticed."""
    rewrite: Callable[[bytes, bytes], bytes] = lambda asked, reply: reply
    """What a reply becomes on its way: a server that says something absurd."""
    _cuts: list[Cut] = field(default_factory=list)
    _links: set[_Link] = field(default_factory=set)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Of a Redis behind it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def cut_replies(
        self,
        request: bytes,
        reply: bytes = b"",
        *,
        times: int = 1,
        before: bool = False,
        silent: bool = False,
        then: Callable[[bytes, bytes], object] | None = None,
    ) -> Cut:
        """Cut the connection at the next replies that hold this, to requests that hold that; or `before` such a request arrives.

        `silent`: it stays open, and nothing passes any more.
        """
        cut = Cut(request, reply, times, before, silent, then)
        self._cuts.append(cut)
        return cut

    def reset_all(self) -> int:
        """Reset every connection, as a firewall does that was restarted. How many."""
        links = list(self._links)
        for link in links:
            self._call(link.reset)
        return len(links)

    # -- the thread ----------------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """While this holds, it is there."""
        ready = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        thread.start()
        assert ready.wait(10), "the proxy does not start"
        try:
            yield self
        finally:
            self._call(self._over.set)
            thread.join(10)

    def _call(self, act: Callable[[], object]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(act)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        ready.set()
        await self._over.wait()
        server.close()
        for link in self._links:
            link.reset()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(serving, timeout=5) if serving else None

    async def _connected(self, asker_in: asyncio.StreamReader, asker: asyncio.StreamWriter) -> None:
        try:
            if self.refuses:
                raise ConnectionRefusedError
            server_in, server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            asker.transport.abort()
            return
        link = _Link(asker, server)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._carry(link, asker_in, server, self._before), self._carry(link, server_in, asker, self._after)
            )
        except OSError:
            pass
        finally:
            link.reset()
            self._links.discard(link)

    async def _carry(
        self,
        link: _Link,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        cuts: Callable[[_Link, bytes], Cut | None],
    ) -> None:
        """One direction. What is delayed keeps its order, and the next does not wait for it twice."""
        on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        now = asyncio.get_running_loop().time

        async def arrive() -> None:
            while True:
                due, data = await on_its_way.get()
                if (left := due - now()) > 0:
                    await asyncio.sleep(left)
                if not data:
                    target.write_eof()
                    return
                target.write(data)
                await target.drain()

        arriving = asyncio.ensure_future(arrive())
        try:
            while data := await source.read(65536):
                if cut := cuts(link, data):
                    if not cut.silent:
                        link.reset()
                        return
                    link.silent = True
                link.silent |= self.swallows
                if not link.silent:
                    told = self.rewrite(link.asked, data) if target is link.asker else data
                    on_its_way.put_nowait((now() + self.delay, told))
            if link.silent:
                await self._over.wait()  # nor does anybody hear that the other hung up
            on_its_way.put_nowait((now() + self.delay, b""))
            await arriving
        finally:
            arriving.cancel()

    def _before(self, link: _Link, data: bytes) -> Cut | None:
        link.asked = data
        return self._cut(lambda cut: cut.before and cut.request in data, data)

    def _after(self, link: _Link, data: bytes) -> Cut | None:
        return self._cut(
            lambda cut: not cut.before and cut.request in link.asked and cut.reply in data, link.asked, data
        )

    def _cut(self, fits: Callable[[Cut], bool], request: bytes, reply: bytes = b"") -> Cut | None:
        for cut in self._cuts:
            if cut.left and fits(cut):
                cut.left -= 1
                if cut.then:
                    cut.then(request, reply)
                cut.done += 1
                return cut
        return None


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """A proxy before a port of this machine."""
    with Proxy(target).running() as made:
        yield made
