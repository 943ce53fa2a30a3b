"""Tells listeners what happens to tasks, as it happens: one line to Redis for all of them, however many there are.

A bell says that something happened to a task. The feed reads the new events of every task that rang in one round trip,
and the task's listeners take them from there. A listener keeps no more than the number of the last event it has had, so
a slow one costs no memory: what it missed is read from the task's stream when it gets there. Used by the routes of
events and logs, and by `Prefer: wait`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from genfleet.errors import StoreUnavailable
from genfleet.store import steps
from genfleet.store.bells import Bells
from genfleet.store.client import AsyncStore
from genfleet.store.records import Event, Told

log = structlog.get_logger(__name__)

TAIL = 64
"""Events of a task that are kept at hand while somebody listens; who is further behind reads Redis."""
LOOK_AROUND_S = 10.0
"""Tasks with listeners are looked at this often even if none rang: what a lost bell costs at the most."""
AGAIN_S = 0.5
"""Between two tries to reach Redis."""
READ_TOGETHER = 50
"""Tasks read by one call, so that no call holds up Redis for long."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that a listener should have had are no longer kept."""

    after: int
    """The last event that it has had."""
    next: int | None
    """The first one that it gets now; None: no more come, the task is no longer known."""

    @property
    def number(self) -> int:
        """Where the listener is after this."""
        return self.after if self.next is None else self.next - 1

    @property
    def ends(self) -> bool:
        """Whether nothing comes after this."""
        return self.next is None


class Watch:
    """One task that somebody listens to, or waits for."""

    def __init__(self, task_id: str, last: int) -> None:
        self.task_id = task_id
        self.last = last
        """Number of the newest event that is known of."""
        self.ended = False
        self.gone = False
        """Whether Redis no longer knows the task."""
        self.released = False
        """Whether nobody is to wait any longer: the program stops."""
        self.users = 0
        self._tail = deque[Event](maxlen=TAIL)
        """The newest events without a gap, up to `last`."""
        self._changed = asyncio.Event()

    def at_hand(self, after: int) -> list[Event] | None:
        """The events after this one. None: not all of them are at hand."""
        if not self._tail or self._tail[0].number > after + 1:
            return None
        return [event for event in self._tail if event.number > after]

    def take(self, told: Told) -> None:
        """What was read after `last`."""
        if told.total is None:
            self.gone = True
        elif told.events:
            if told.events[0].number != self.last + 1:
                self._tail.clear()
            self._tail.extend(told.events)
            self.last = told.events[-1].number
            self.ended |= told.events[-1].ends
        elif told.total != self.last:
            self.move_to(told.total)  # Redis came back without its newest events, or the stream is gone
        else:
            return
        self.wake()

    def move_to(self, number: int) -> None:
        """There are so many events, and the newest of them are not at hand."""
        self.last = number
        self._tail.clear()

    def release(self) -> None:
        """Let everyone go."""
        self.released = True
        self.wake()

    def wake(self) -> None:
        """Something has changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def news(self, after: int, within: float) -> None:
        """Wait until there is more than this event, or nothing to wait for; so many seconds at most."""
        if self.last == after and not (self.ended or self.gone or self.released):
            try:
                async with asyncio.timeout(within):
                    await self._changed.wait()
            except TimeoutError:
                return


class Feed:
    """The events of every task that somebody listens to."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._bells = Bells(self._ring)
        self._watches: dict[str, Watch] = {}
        self._rung: set[str] = set()
        self._any_rung = asyncio.Event()
        self._closed = False

    async def run(self) -> None:
        """Hear and read for as long as the program runs."""
        await asyncio.gather(self._bells.hear(self._store), self._read())

    def close(self) -> None:
        """The program is stopping: whoever listens or waits is let go."""
        self._closed = True
        for watch in self._watches.values():
            watch.release()

    async def follow(
        self, task_id: str, known: int, after: int, heartbeat: float
    ) -> AsyncGenerator[Event | Gap | None]:
        """What happens to a task after the event `after`, to its end; None whenever that was nothing for `heartbeat` s.

        `known` is the number of events that its record counts. Ends without a last event when the program stops.
        """
        clock = asyncio.get_running_loop().time
        with self._watching(task_id, known) as watch:
            due = clock() + heartbeat
            while not watch.released:
                news = await self._after(watch, after)
                for event in news:
                    yield event
                    after, due = event.number, clock() + heartbeat
                if (news and news[-1].ends) or (watch.ended and after == watch.last):
                    return
                await watch.news(after, due - clock())
                if clock() >= due:
                    yield None
                    due = clock() + heartbeat

    async def ended(self, task_id: str, known: int, within: float) -> bool:
        """Whether a task has ended, after so many seconds at most. Without Redis: it has not, as far as we know."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + within
        with self._watching(task_id, known) as watch:
            while not (watch.ended or watch.gone or watch.released) and clock() < deadline:
                await watch.news(watch.last, deadline - clock())
            return watch.ended

    async def _after(self, watch: Watch, after: int) -> Sequence[Event | Gap]:
        """What a listener gets next; nothing if there is nothing new, or Redis is away."""
        if watch.gone:
            return [Gap(after, None)]
        if watch.last == after:
            return []
        if watch.last < after:
            return [Gap(after, watch.last + 1)]
        events = watch.at_hand(after) or await self._kept(watch, after)
        if events is None:
            await asyncio.sleep(AGAIN_S)
            return []
        if not events:
            return [Gap(after, watch.last + 1)]
        return events if events[0].number == after + 1 else [Gap(after, events[0].number), *events]

    async def _kept(self, watch: Watch, after: int) -> Sequence[Event] | None:
        """What Redis still has of a task's events, the oldest first, up to a limit. None: it cannot be reached."""
        try:
            (told,) = await self._store.run(steps.events([(watch.task_id, after)]))
        except StoreUnavailable:
            return None
        # What is newer than the feed knows comes by the feed: nobody is to be ahead of it.
        return [event for event in told.events if event.number <= watch.last]

    @contextmanager
    def _watching(self, task_id: str, known: int) -> Iterator[Watch]:
        watch = self._watches.get(task_id)
        if watch is None:
            watch = self._watches[task_id] = Watch(task_id, known)
            watch.released = self._closed
            self._bells.add(task_id)
        elif known > watch.last:
            watch.move_to(known)
        watch.users += 1
        try:
            yield watch
        finally:
            watch.users -= 1
            if not watch.users:
                del self._watches[task_id]
                self._bells.remove(task_id)

    def _ring(self, task_id: str) -> None:
        self._rung.add(task_id)
        self._any_rung.set()

    async def _read(self) -> None:
        """Read what rang, and now and then what did not."""
        while True:
            try:
                async with asyncio.timeout(LOOK_AROUND_S):
                    await self._any_rung.wait()
            except TimeoutError:
                self._rung.update(self._watches)
            self._any_rung.clear()
            rung, self._rung = self._rung, set()
            try:
                await self._look([self._watches[task_id] for task_id in rung if task_id in self._watches])
            except StoreUnavailable:
                self._again(rung)
                await asyncio.sleep(AGAIN_S)
            except Exception:
                log.exception("feed_failed")  # the next look may do better; without it nobody hears anything
                self._again(rung)
                await asyncio.sleep(AGAIN_S)

    def _again(self, rung: set[str]) -> None:
        for task_id in rung:
            self._ring(task_id)

    async def _look(self, watches: Sequence[Watch]) -> None:
        for start in range(0, len(watches), READ_TOGETHER):
            part = [(watch, watch.last) for watch in watches[start : start + READ_TOGETHER]]
            answers = await self._store.run(steps.events([(watch.task_id, last) for watch, last in part]))
            for (watch, last), told in zip(part, answers, strict=True):
                is_news = watch.last == last  # else a listener came meanwhile who knows of more
                if is_news:
                    watch.take(told)
                if not is_news or (told.total or 0) > watch.last:
                    self._ring(watch.task_id)  # there is more than is read at a time
