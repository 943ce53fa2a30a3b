"""The parent's side: what this worker holds, and what is to happen to it.

The main loop of Celery claims and finishes; the beat (a thread) renews and stops. Both work on this, under one lock,
so that a signal is never sent to a process that has gone on to another task.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from genfleet.contract.measures import Cause
from genfleet.store import steps
from genfleet.store.calls import Call
from genfleet.store.records import Lease
from genfleet_workers.family import NOBODY, Family, State, Tree
from genfleet_workers.scratch import Folder
from genfleet_workers.watch import Allowed, Attempt, End, Verdict, judge

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Holding:
    """One task that this worker runs."""

    lease: Lease
    hard_limit_s: float
    taken: float
    """When it was claimed, by the clock of the caller, as the other times here."""
    pid: int | None = None
    """The process that runs it, once one has taken it."""
    started: float = 0.0
    """When that took it."""
    begun: bool = False
    """Whether that was seen to have got as far as its engine."""
    state: tuple[State, float] = (State.RUNS, 0.0)
    """What that process does, and since when."""
    over: bool = False
    """Whether it is no longer ours: its process is about to end, and there is nothing more to judge."""
    settled: bool = False
    """Whether Redis has its result. Its process has only to say so, which a main loop that stands still never hears."""
    kill_at: float | None = None
    """When it is killed if it has not stopped by itself, by the clock of the caller."""


class Holdings:
    """Every lease that this worker holds, and the reports about them that Redis has not had yet."""

    def __init__(self, scratch: Path, stop_grace_s: float, family: Family, wake: Callable[[], None]) -> None:
        self._scratch = scratch
        self._family = family
        self._stop_grace_s = stop_grace_s
        self._wake = wake
        self._lock = threading.Lock()
        self._held: dict[tuple[str, int], Holding] = {}
        self._reports: list[Call[Any]] = []

    def __len__(self) -> int:
        return len(self._held)

    def take(self, lease: Lease, hard_limit_s: float) -> None:
        """A lease was granted."""
        with self._lock:
            self._held[_key(lease)] = Holding(lease, hard_limit_s, time.monotonic())

    def started(self, lease: Lease, pid: int) -> None:
        """A process has taken it."""
        with self._lock:
            if holding := self._held.get(_key(lease)):
                holding.pid, holding.started = pid, time.monotonic()

    def finished(self, lease: Lease) -> None:
        """Its process is done with it, one way or another."""
        with self._lock:
            held = self._held.pop(_key(lease), None)
        if held:
            self._folder(lease).remove()

    def hand_back_unstarted(self) -> None:
        """No process will ever take what none has taken yet: it goes back to its queue."""
        with self._lock:
            unstarted = [held.lease for held in self._held.values() if held.pid is None]
        for lease in unstarted:
            log.warning("never_started", **lease.names)
            self.finished(lease)
            self.report(steps.hand_back(lease.task_id, lease.token, "no process had taken it when Redis was lost"))

    def clean_up(self) -> None:
        """Remove the unfinished files of all that is held: every process is dead."""
        for key in self.leases():
            Folder(self._scratch, *key).remove()

    def leases(self) -> list[tuple[str, int]]:
        """Id and token of everything held, in the order in which it was taken."""
        with self._lock:
            return list(self._held)

    def at_work(self) -> bool:
        """Whether anything is held that is still ours, and not settled yet."""
        with self._lock:
            return any(not (holding.over or holding.settled) for holding in self._held.values())

    # -- judging -------------------------------------------------------------------------------------------------------

    def judge(self, allowed: Allowed, trees: Mapping[int, Tree], now: float) -> Iterator[Verdict]:
        """Take away what makes no move, or takes too much: it is reported, and its process killed."""
        with self._lock:
            held = [holding for holding in self._held.values() if not holding.over]
        for holding in held:
            if verdict := judge(self._seen(holding, trees, now), allowed):
                log.error("taken_away", reason=verdict.why, **holding.lease.names)
                self.report(self._ended(holding.lease, verdict))
                self.kill(_key(holding.lease))
                yield verdict

    def give_up_unstarted(self, why: str) -> None:
        """Hand back what no process has taken."""
        with self._lock:
            unstarted = [holding for holding in self._held.values() if holding.pid is None and not holding.over]
            for holding in unstarted:
                holding.over = True
        for holding in reversed(unstarted):
            self.report(steps.hand_back(*_key(holding.lease), why))

    def _seen(self, holding: Holding, trees: Mapping[int, Tree], now: float) -> Attempt:
        if holding.pid is None:
            return Attempt(now - holding.taken, None, holding.hard_limit_s)
        folder = self._folder(holding.lease)
        holding.begun = holding.begun or folder.path.exists()
        tree = trees.get(holding.pid, NOBODY) if trees else None
        state = tree.state if tree else State.RUNS
        if state is not holding.state[0]:
            holding.state = state, now
        return Attempt(
            held_s=now - holding.taken,
            ran_s=now - holding.started,
            hard_limit_s=holding.hard_limit_s,
            begun=holding.begun,
            tree=tree,
            still_s=now - holding.state[1],
            scratch=folder.size,
        )

    def _ended(self, lease: Lease, verdict: Verdict) -> Call[bool]:
        match verdict.end:
            case End.HANDED_BACK:
                return steps.hand_back(lease.task_id, lease.token, verdict.why)
            case End.FAILED:
                timed_out = steps.fail(lease.task_id, lease.token, verdict.why, cause=Cause.TIMEOUT)
                return self.outcome(lease) or timed_out
            case End.LOST:
                return self.outcome(lease) or steps.lose(lease.task_id, lease.token, verdict.why)

    def outcome(self, lease: Lease) -> Call[bool] | None:
        """The result of an attempt that was done but for telling Redis so, when its process ended."""
        return self._folder(lease).unsettled()

    def _folder(self, lease: Lease) -> Folder:
        return Folder(self._scratch, *_key(lease))

    # -- reports -------------------------------------------------------------------------------------------------------

    def report(self, report: Call[Any]) -> None:
        """What Redis is to be told at the next beat, or the one after that."""
        with self._lock:
            self._reports.append(report)
        self._wake()

    def reports(self) -> list[Call[Any]]:
        """What Redis has not been told yet. Call `delivered` with each that it took."""
        with self._lock:
            return list(self._reports)

    def delivered(self, report: Call[Any]) -> None:
        """Redis has had this."""
        with self._lock:
            self._reports.remove(report)

    # -- stopping ------------------------------------------------------------------------------------------------------

    def stop(self, key: tuple[str, int], now: float) -> None:
        """SIGTERM, once; SIGKILL if that has not helped within the grace (TS-046)."""
        with self._lock:
            holding = self._held.get(key)
            if holding is None or holding.pid is None:
                return
            if holding.kill_at is None:
                holding.kill_at = now + self._stop_grace_s
                self._signal(holding, signal.SIGTERM)
            elif now >= holding.kill_at:
                self._signal(holding, signal.SIGKILL)

    def settled(self, key: tuple[str, int]) -> None:
        """Its result is with Redis. What its process does until it says so is still judged."""
        with self._lock:
            if holding := self._held.get(key):
                holding.settled = True

    def kill(self, key: tuple[str, int]) -> None:
        """SIGKILL at once: the task is no longer ours, and whatever still runs does harm."""
        with self._lock:
            holding = self._held.get(key)
            if holding:
                holding.over = True
                self._signal(holding, signal.SIGKILL)

    def _signal(self, holding: Holding, number: signal.Signals) -> None:
        """SIGTERM to the process, which cleans up; SIGKILL to all that it has started as well."""
        if holding.pid is None:
            return
        log.warning("signalled", pid=holding.pid, signal=number.name, **holding.lease.names)
        if number is signal.SIGKILL:
            self._family.kill(holding.pid)
            return
        with suppress(ProcessLookupError):
            os.kill(holding.pid, number)


def _key(lease: Lease) -> tuple[str, int]:
    """One attempt. A worker may get a task anew while the process of an attempt that it lost still dies."""
    return lease.task_id, lease.token
