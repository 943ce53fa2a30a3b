"""Kills a fleet's processes at moments that matter: while one of them fetches, claims, runs or settles; or at any time.

Each worker has a link of its own to Redis, so its requests show what it is about to do. The signal goes out while the request
or its reply is on the way, and that is cut: what the dead would still have sent or heard is gone with them.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import psutil

from tests.chaos.campaign import Run
from tests.chaos.nursery import Program
from tests.chaos.proxy import Proxy, proxy
from tests.support.waiting import comes_true, wait_for

TRIGGER_S = 3.0
"""How long a kill waits for its moment; then it comes by chance."""
PAUSE_S = 0.1
"""Longest pause between two kills. A kill by chance waits up to three times as long."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What passes through a link at a moment."""

    request: bytes
    reply: bytes = b""
    before: bool = False


@dataclass(slots=True)
class Place:
    """Of one worker. Who is killed there is followed by another, under a new name."""

    number: int
    link: Proxy
    name: str = ""
    program: Program | None = None


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL, or several at once."""

    at: float
    """Seconds since the epoch, by this machine's clock, which is also that of Redis."""
    what: str
    """`child`, `worker` or `all`."""
    moment: str
    workers: tuple[str, ...]
    """Those that are gone with it."""
    task: str = ""
    """Whose process it was, or whose message was on the way, where that is known."""


class Side(Protocol):
    """One of the columns, as the killer sees it."""

    def start(self, place: Place) -> Program:
        """A worker under the name of its place, and behind its link."""

    def running(self) -> list[tuple[str, int]]:
        """Tasks that run, and the processes that run them."""

    def about(self, request: bytes, reply: bytes) -> tuple[str, int | None]:
        """Whose task passes through a link: its id, and the process that runs it, if one does."""


@dataclass(slots=True)
class Killer:
    """Keeps so many workers running, and kills."""

    run: Run
    side: Side
    triggers: Mapping[str, Sequence[Trigger]]
    """By moment: `fetch`, `claim`, `settle`."""
    size: int
    kills: list[Kill] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    _started: int = 0

    def begin(self, target: int) -> None:
        """Start the workers; `target` is the port of their Redis."""
        for number in range(self.size):
            self.places.append(Place(number, self.run.stack.enter_context(proxy(target))))
        self.fill()

    def fill(self) -> None:
        """Start whoever is missing, as any supervisor does: Celery ends a worker whose process is killed while it starts."""
        for place in self.places:
            if place.program is None or not place.program.alive():
                self._started += 1
                place.name = f"worker-{self._started}"
                place.program = self.side.start(place)

    def kill(self, what: str, moment: str) -> None:
        """Wait for the moment, and kill. Then start anew who is gone."""
        if moment in self.triggers:
            self._at(what, moment)
        elif moment == "run":
            self._in_a_run(what)
        else:
            time.sleep(self.run.chance.uniform(0, 3 * PAUSE_S))
            self._by_chance(what)
        self.fill()
        if len(self.kills) % 25 == 0:
            self.run.tell(f"{len(self.kills)} of {self.run.trials} killed")
        time.sleep(self.run.chance.uniform(0, PAUSE_S))

    def told(self) -> str:
        """How many kills hit which moment."""
        counted = Counter(kill.moment for kill in self.kills)
        return ", ".join(f"{counted[name]} {name}" for name in ("fetch", "claim", "run", "settle", "chance"))

    def _at(self, what: str, moment: str) -> None:
        place = self.run.chance.choice(self.places)
        trigger = self.run.chance.choice(self.triggers[moment])
        hit: list[bool] = []

        def then(request: bytes, reply: bytes) -> None:
            task, pid = self.side.about(request, reply)
            self._strike(what, moment, place, task, pid)
            hit.append(True)

        cut = place.link.cut_replies(trigger.request, trigger.reply, before=trigger.before, then=then)
        if not comes_true(lambda: hit, within=TRIGGER_S):
            cut.left = 0
            if not hit:
                self._by_chance(what)

    def _in_a_run(self, what: str) -> None:
        found: list[tuple[str, int, Place]] = []

        def somebody() -> bool:
            places = {pid: place for place in self.places for pid in _children(place.program)}
            running = [(task, pid, places[pid]) for task, pid in self.side.running() if pid in places]
            if running:
                found.append(self.run.chance.choice(running))
            return bool(running)

        if comes_true(somebody, within=TRIGGER_S):
            task, pid, place = found[0]
            self._strike(what, "run", place, task, pid)
        else:
            self._by_chance(what)

    def _by_chance(self, what: str) -> None:
        place = self.run.chance.choice(self.places)
        if what != "child":
            return self._strike(what, "chance", place, "", None)

        def children() -> list[int]:
            self.fill()
            return _children(place.program)

        pid = self.run.chance.choice(wait_for("a worker has processes", children, within=60))
        task = next((task for task, runs in self.side.running() if runs == pid), "")
        return self._strike(what, "chance", place, task, pid)

    def _strike(self, what: str, moment: str, place: Place, task: str, pid: int | None) -> None:
        """Here it happens."""
        gone = self.places if what == "all" else [place] if what == "worker" else []
        kill = Kill(time.time(), what, moment, tuple(each.name for each in gone), task)
        if what == "child":
            assert pid is not None, f"nobody knows which child is at a {moment}"
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for each in gone:
            if each.program:
                each.program.kill()
                each.program = None
        self.kills.append(kill)


def _children(program: Program | None) -> list[int]:
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(program.pid).children()] if program else []
    return []


def plan(run: Run, shares: Mapping[tuple[str, str], int]) -> list[tuple[str, str]]:
    """So many kills, of what and when, in an order that is drawn; by their shares of all."""
    whole = sum(shares.values())
    kills = [kind for kind, share in shares.items() for _ in range(max(1, round(run.trials * share / whole)))]
    run.chance.shuffle(kills)
    while len(kills) < run.trials:
        kills.append(run.chance.choice(list(shares)))
    return kills[: run.trials]
