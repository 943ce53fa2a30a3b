"""The parent's side: what this worker holds, and what is to happen to it.

The main loop of Celery claims and finishes; the beat (a thread) renews and stops. Both work on this, under one lock,
so that a signal is never sent to a process that has gone on to another task.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from genfleet.store import steps
from genfleet.store.calls import Call
from genfleet.store.records import Lease
from genfleet_workers.attempt import scratch_folder

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Holding:
    """One task that this worker runs."""

    lease: Lease
    pid: int | None = None
    """The process that runs it, once one has taken it."""
    kill_at: float | None = None
    """When it is killed if it has not stopped by itself, by the clock of the caller."""


class Holdings:
    """Every lease that this worker holds, and the reports about them that Redis has not had yet."""

    def __init__(self, scratch: Path, stop_grace_s: float, wake: Callable[[], None]) -> None:
        self._scratch = scratch
        self._stop_grace_s = stop_grace_s
        self._wake = wake
        self._lock = threading.Lock()
        self._held: dict[tuple[str, int], Holding] = {}
        self._reports: list[Call[Any]] = []

    def __len__(self) -> int:
        return len(self._held)

    def take(self, lease: Lease) -> None:
        """A lease was granted."""
        with self._lock:
            self._held[_key(lease)] = Holding(lease)

    def started(self, lease: Lease, pid: int) -> None:
        """A process has taken it."""
        with self._lock:
            if _key(lease) in self._held:
                self._held[_key(lease)].pid = pid

    def finished(self, lease: Lease) -> None:
        """Its process is done with it, one way or another."""
        with self._lock:
            held = self._held.pop(_key(lease), None)
        if held:
            shutil.rmtree(scratch_folder(self._scratch, lease.task_id, lease.token), ignore_errors=True)

    def hand_back_unstarted(self) -> None:
        """No process will ever take what none has taken yet: it goes back to its queue."""
        with self._lock:
            unstarted = [held.lease for held in self._held.values() if held.pid is None]
        for lease in unstarted:
            log.warning("never_started", **lease.names)
            self.finished(lease)
            self.report(steps.hand_back(lease.task_id, lease.token, "no process had taken it when Redis was lost"))

    def leases(self) -> list[tuple[str, int]]:
        """Id and token of everything held, in the order in which it was taken."""
        with self._lock:
            return list(self._held)

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
                _signal(holding, signal.SIGTERM)
            elif now >= holding.kill_at:
                _signal(holding, signal.SIGKILL)

    def kill(self, key: tuple[str, int]) -> None:
        """SIGKILL at once: the task is no longer ours, and whatever still runs does harm."""
        with self._lock:
            holding = self._held.get(key)
            if holding:
                _signal(holding, signal.SIGKILL)


def _key(lease: Lease) -> tuple[str, int]:
    """One attempt. A worker may get a task anew while the process of an attempt that it lost still dies."""
    return lease.task_id, lease.token


def _signal(holding: Holding, number: signal.Signals) -> None:
    if holding.pid is None:
        return
    log.warning("signalled", pid=holding.pid, signal=number.name, **holding.lease.names)
    with suppress(ProcessLookupError):
        os.kill(holding.pid, number)
