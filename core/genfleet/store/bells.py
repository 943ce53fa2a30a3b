"""Hears at once that something happened to a task, over one connection for all tasks that anybody listens to.

A ring says no more than "look": what happened is read from the task's stream. So it does no harm when a ring is missed
while the connection is made again, because everything is looked at then. Used by the API's event feed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import hiredis
import redis.asyncio
import structlog

from genfleet.contract.keys import key
from genfleet.errors import StoreUnavailable
from genfleet.store.client import AsyncStore
from genfleet.store.connections import ANSWER_WITHIN

log = structlog.get_logger(__name__)

PING_EVERY_S = 5.0
"""A line on which nothing is heard for this long, and a moment more, is taken for cut."""
AGAIN_S = 0.25
"""Between two tries to get a line."""

_PREFIX = key("events", "").encode()


class Bells:
    """Calls `ring` with the id of a task when there may be something new of it."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._wanted: set[str] = set()
        self._asked: set[str] = set()
        """Of those, what Redis was asked for on the present line."""
        self._well = True
        self._changed = asyncio.Event()

    def add(self, task_id: str) -> None:
        """Hear of this task. It rings once as soon as it is sure that nothing will be missed from then on."""
        self._wanted.add(task_id)
        self._changed.set()
        if task_id in self._asked:  # removed a moment ago: Redis still rings, but nobody has looked
            self._ring(task_id)

    def remove(self, task_id: str) -> None:
        """Hear of it no longer."""
        self._wanted.discard(task_id)
        self._changed.set()

    async def hear(self, store: AsyncStore) -> None:
        """Hear for as long as the program runs; gets another line whenever one is cut."""
        while True:
            try:
                async with store.line() as line:
                    await self._attend(line)
            except StoreUnavailable as error:
                if self._well:
                    log.warning("bells_wait", reason=str(error))
                self._well = False
            except Exception:
                log.exception("bells_failed")  # the next line may do better; until then listeners look now and then
            await asyncio.sleep(AGAIN_S)

    async def _attend(self, line: redis.asyncio.Connection) -> None:
        """Ask and listen, until one of both fails. Raises what it raised."""
        work = [asyncio.ensure_future(self._ask(line)), asyncio.ensure_future(self._listen(line))]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for failed in done:
                failed.result()
        finally:
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _ask(self, line: redis.asyncio.Connection) -> None:
        """Tell Redis which tasks are wanted, and see that it answers now and then."""
        self._asked = set()
        while True:
            self._changed.clear()
            commands = (
                _command("SUBSCRIBE", self._wanted - self._asked),
                _command("UNSUBSCRIBE", self._asked - self._wanted),
            )
            self._asked = set(self._wanted)
            await line.send_packed_command(b"".join(commands) or hiredis.pack_command(("PING",)), check_health=False)
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _listen(self, line: redis.asyncio.Connection) -> None:
        while True:
            heard = await line.read_response(timeout=PING_EVERY_S + ANSWER_WITHIN)
            if heard is None:
                raise StoreUnavailable("Redis has fallen silent")
            self._well = True
            # The answer to a subscription rings, too: what happened before it was in force has to be looked at.
            if isinstance(heard, list) and heard[0] in (b"message", b"subscribe"):
                self._ring(heard[1].removeprefix(_PREFIX).decode())


def _command(name: str, task_ids: Iterable[str]) -> bytes:
    words: tuple[Any, ...] = (name, *(key("events", task_id) for task_id in task_ids))
    return hiredis.pack_command(words) if len(words) > 1 else b""
