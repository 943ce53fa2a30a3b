"""The processes below this worker: what each pool process and all that it has started use, and how they are ended.

A process that dies leaves what it has started behind: an ffmpeg, or the rest of a fork bomb. On Linux the worker is their
subreaper, so that orphans become its children and are found; elsewhere it knows them from its last look. Used by the beat.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import psutil
import structlog

log = structlog.get_logger(__name__)

_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS = 20
"""Looks for processes that were started while others were being stopped."""


class State(StrEnum):
    """What a process does, as far as the kernel can tell."""

    RUNS = "runs"
    STOPPED = "stopped"
    """By SIGSTOP or a debugger."""
    BLOCKED = "blocked"
    """It waits for a disk or a device, and no signal reaches it."""
    GONE = "gone"


_STATES = {
    psutil.STATUS_STOPPED: State.STOPPED,
    psutil.STATUS_TRACING_STOP: State.STOPPED,
    psutil.STATUS_DISK_SLEEP: State.BLOCKED,
    psutil.STATUS_ZOMBIE: State.GONE,
    psutil.STATUS_DEAD: State.GONE,
}


@dataclass(frozen=True, slots=True)
class Tree:
    """A process with all that it has started."""

    state: State
    """Of the process itself."""
    resident: int = 0
    """Bytes of memory of all of them, where what they share counts for each."""
    processes: int = 0
    memory: Callable[[], int] = lambda: 0
    """The same, where it counts once. The kernel takes a while to say."""


NOBODY = Tree(State.GONE)


def adopt_orphans() -> None:
    """From now on orphans among our descendants become our children, and not those of process 1. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Family:
    """All that descends from this process. `pool` says which processes run tasks; None: not known at the moment."""

    def __init__(self) -> None:
        self.pool: Callable[[], Collection[int] | None] = lambda: None
        self._self = psutil.Process()
        self._older = set(self._self.children())
        """Whoever started us had started these before."""
        self._trees: dict[int, list[psutil.Process]] = {}
        """The last look: each process of the pool, and what it has started."""
        self._strange: set[psutil.Process] = set()
        """Children that were not of the pool at the last look."""

    def look(self) -> Mapping[int, Tree]:
        """Every process of the pool, by its id. Ends what those that are gone have left behind."""
        children = defaultdict(list)
        for process in self._self.children(recursive=True):
            with suppress(psutil.Error):
                children[process.ppid()].append(process)
        pool = self.pool()
        if pool is None:
            return {}
        before, self._trees = (
            self._trees,
            {
                process.pid: list(_below(process, children))
                for process in children[self._self.pid]
                if process.pid in pool
            },
        )
        left = {process for tree in before.values() for process in tree[1:]}
        for process in (process for pid, tree in before.items() if pid not in self._trees for process in tree[1:]):
            end(process)
        self._sweep({process for process in children[self._self.pid] if process.pid not in pool} - self._older, left)
        return {pid: _measure(tree) for pid, tree in self._trees.items()}

    def memory(self) -> dict[str, int]:
        """Resident bytes of this process and of each of the pool, by process id, at the last look."""
        used = {}
        for process in (self._self, *(tree[0] for tree in self._trees.values())):
            with suppress(psutil.Error):  # it ended while we looked
                used[str(process.pid)] = process.memory_info().rss
        return used

    def kill(self, pid: int) -> None:
        """SIGKILL to a process of the pool and to all that it has started."""
        with suppress(psutil.NoSuchProcess):
            end(psutil.Process(pid))

    def end(self) -> None:
        """SIGKILL to all that descends from us: this worker is over."""
        for process in self._self.children():
            if process not in self._older:
                end(process)

    def _sweep(self, strange: set[psutil.Process], known: set[psutil.Process]) -> None:
        """Children that are not of the pool are orphans. One that is new may have been forked for it at this moment."""
        for process in strange & (known | self._strange):
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE:
                    log.warning("orphan_killed", pid=process.pid, name=process.name())
                    end(process)
            with suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
        self._strange = strange


def end(root: psutil.Process) -> None:
    """SIGKILL to a process and all that it has started. They are stopped first: who is stopped starts nothing more."""
    found = [root]
    try:
        for _ in range(_ROUNDS):
            _signal(found, "suspend")
            more = [process for process in root.children(recursive=True) if process not in found]
            if not more:
                break
            _signal(more, "suspend")
            found += more
    except psutil.NoSuchProcess:
        pass  # it is over already
    _signal(found, "kill")


def _signal(processes: Collection[psutil.Process], what: str) -> None:
    for process in processes:
        with suppress(psutil.Error):
            getattr(process, what)()


def _below(process: psutil.Process, children: Mapping[int, list[psutil.Process]]) -> Iterator[psutil.Process]:
    yield process
    for child in children.get(process.pid, ()):
        yield from _below(child, children)


def _measure(tree: list[psutil.Process]) -> Tree:
    try:
        state = _STATES.get(tree[0].status(), State.RUNS)
    except psutil.NoSuchProcess:
        return NOBODY
    resident = _sum(tree, lambda process: process.memory_info().rss)
    return Tree(state, resident, len(tree), lambda: _sum(tree, _unshared))


def _unshared(process: psutil.Process) -> int:
    told = process.memory_full_info()
    return int(told.pss if sys.platform == "linux" else told.uss)


def _sum(tree: list[psutil.Process], bytes_of: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in tree:
        with suppress(psutil.Error):  # it ended while we looked
            total += bytes_of(process)
    return total
