"""When a worker takes action against what makes no move: its tasks, its main loop, its consumer. Pure.

Leases are renewed by a thread, whatever the rest of the worker does. So that thread has to judge, too, whether there is
still something behind each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from genfleet_workers.family import State, Tree

SLOW = 4
"""What may be slow has so many times the patience, such as a disk."""
RESTARTS_MOST = 3
"""A consumer that has to be started anew more often than this has a fault that stays."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a task may take, and for how long it may make no move."""

    patience_s: float
    take_s: float
    """Until a process has taken it."""
    memory: int | None
    processes: int
    scratch: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of one task that this worker holds, at one moment."""

    held_s: float
    """Since it was claimed."""
    ran_s: float | None
    """Since a process took it."""
    hard_limit_s: float
    begun: bool = True
    """Whether its process has got as far as its engine."""
    tree: Tree | None = None
    """That process, and what it has started. None: not known at the moment."""
    still_s: float = 0.0
    """For how long that process has been in its state."""
    scratch: Callable[[], int] = lambda: 0
    """Bytes of its unfinished files. Asked only where there is a limit to them."""


class End(Enum):
    """What becomes of a task that is taken away."""

    LOST = auto()
    HANDED_BACK = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A task is taken away from its process, which is killed."""

    end: End
    why: str
    """In words for people."""
    broken: bool = False
    """Whether the fault is the worker's: then it had better be replaced."""


def judge(seen: Attempt, allowed: Allowed) -> Verdict | None:
    """Whether a task is taken away, and why. None: it goes on."""
    patience = allowed.patience_s
    if seen.ran_s is None:
        if seen.held_s > allowed.take_s:
            return Verdict(
                End.HANDED_BACK, f"no process of its worker took it within {allowed.take_s:g} s", broken=True
            )
        return None
    if seen.ran_s > seen.hard_limit_s + patience / 2:
        return Verdict(End.FAILED, hard_limit_passed(seen.hard_limit_s))
    if not seen.begun and seen.ran_s > patience:
        return Verdict(End.LOST, f"its process took it, and had not begun {patience:g} s later")
    return _by_process(seen, seen.tree, patience) or _by_use(seen, seen.tree, allowed) if seen.tree else None


def _by_process(seen: Attempt, tree: Tree, patience: float) -> Verdict | None:
    match tree.state:
        case State.GONE if seen.still_s > patience:
            return Verdict(End.LOST, "its process is gone, and its worker did not notice", broken=True)
        case State.STOPPED if seen.still_s > patience:
            return Verdict(End.LOST, f"its process was stopped, and still was {patience:g} s later")
        case State.BLOCKED if seen.still_s > SLOW * patience:
            why = f"its process has waited for a disk or a device for {SLOW * patience:g} s"
            return Verdict(End.LOST, why, broken=True)
    return None


def _by_use(seen: Attempt, tree: Tree, allowed: Allowed) -> Verdict | None:
    if allowed.memory is not None and tree.resident > allowed.memory and (used := tree.memory()) > allowed.memory:
        return Verdict(End.LOST, f"it used {_size(used)} of memory, and {_size(allowed.memory)} is the limit")
    if tree.processes > allowed.processes:
        return Verdict(End.LOST, f"it had {tree.processes} processes, and {allowed.processes} is the limit")
    if allowed.scratch is not None and (used := seen.scratch()) > allowed.scratch:
        return Verdict(End.LOST, f"it had {_size(used)} of unfinished files, and {_size(allowed.scratch)} is the limit")
    return None


def hard_limit_passed(seconds: float) -> str:
    """What a task is told that ran for too long (PI-016)."""
    return f"The hard time limit of {seconds:g} seconds was exceeded"


def _size(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


class Act(Enum):
    """What is to be done about a consumer."""

    RESTART = auto()
    LEAVE = auto()


@dataclass(slots=True)
class Appetite:
    """Whether the consumer still takes what waits for it. Told of every beat.

    Messages that wait while there is room are taken within milliseconds. Where they are not, beat after beat, the
    consumer has stopped consuming, whatever the reason. It is started again once; if that does not help, the worker
    has to go.
    """

    patience_s: float
    restarts: int = 0
    """So far."""
    _since: float | None = None
    """Since when it has taken nothing although it could have."""
    _asked: int = -1
    _restarted: bool = False

    def look(self, now: float, asked: int, *, could: bool) -> Act | None:
        """`asked`: messages that it has taken so far; `could`: whether there is room, and something waits."""
        if asked != self._asked or not could:
            if asked != self._asked:
                self._restarted = False
            self._asked, self._since = asked, None
            return None
        if self._since is None:
            self._since = now
        if now - self._since <= self.patience_s:
            return None
        self._since = now
        if self._restarted or self.restarts == RESTARTS_MOST:
            return Act.LEAVE
        self._restarted = True
        self.restarts += 1
        return Act.RESTART

    def blind(self) -> None:
        """Redis could not be asked: nothing is known of the time in between."""
        self._since = None
