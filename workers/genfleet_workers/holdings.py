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

import structlog

from genfleet.store import steps
from genfleet.store.records import Lease
from genfleet.store.steps import Call
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
    """Every task that this worker runs, by id, and the reports about them that Redis has not had yet."""

    def __init__(self, scratch: Path, stop_grace_s: float, wake: Callable[[], None]) -> None:
        self._scratch = scratch
        self._stop_grace_s = stop_grace_s
        self._wake = wake
        self._lock = threading.Lock()
        self._held: dict[str, Holding] = {}
        self._reports: list[Call[bool]] = []

    def __len__(self) -> int:
        return len(self._held)

    def take(self, lease: Lease) -> None:
        """A lease was granted."""
        with self._lock:
            self._held[lease.task_id] = Holding(lease)

    def started(self, task_id: str, pid: int) -> None:
        """A process has taken it."""
        with self._lock:
            if task_id in self._held:
                self._held[task_id].pid = pid

    def finished(self, task_id: str) -> None:
        """Its process is done with it, one way or another."""
        with self._lock:
            holding = self._held.pop(task_id, None)
        if holding:
            shutil.rmtree(scratch_folder(self._scratch, task_id, holding.lease.token), ignore_errors=True)

    def died(self, task_id: str, why: str) -> None:
        """Its process is gone without a word: killed, crashed, out of memory."""
        self._report(task_id, lambda lease: steps.lose(task_id, lease.token, why))

    def timed_out(self, task_id: str, seconds: float) -> None:
        """It ran past its hard limit, and its process is being killed (TS-109, PI-016)."""
        error = f"The hard time limit of {seconds:g} seconds was exceeded"
        self._report(task_id, lambda lease: steps.fail(task_id, lease.token, error))

    def _report(self, task_id: str, make: Callable[[Lease], Call[bool]]) -> None:
        with self._lock:
            if task_id in self._held:
                self._reports.append(make(self._held[task_id].lease))
        self._wake()

    def leases(self) -> list[tuple[str, int]]:
        """Id and token of everything held."""
        with self._lock:
            return [(task_id, holding.lease.token) for task_id, holding in self._held.items()]

    def reports(self) -> list[Call[bool]]:
        """What Redis has not been told yet. Call `delivered` with each that it took."""
        with self._lock:
            return list(self._reports)

    def delivered(self, report: Call[bool]) -> None:
        """Redis has had this."""
        with self._lock:
            self._reports.remove(report)

    # -- stopping ------------------------------------------------------------------------------------------------------

    def stop(self, task_id: str, now: float) -> None:
        """SIGTERM, once; SIGKILL if that has not helped within the grace (TS-046)."""
        with self._lock:
            holding = self._held.get(task_id)
            if holding is None or holding.pid is None:
                return
            if holding.kill_at is None:
                holding.kill_at = now + self._stop_grace_s
                _signal(holding.pid, signal.SIGTERM)
            elif now >= holding.kill_at:
                _signal(holding.pid, signal.SIGKILL)

    def kill(self, task_id: str) -> None:
        """SIGKILL at once: the task is no longer ours, and whatever still runs does harm."""
        with self._lock:
            holding = self._held.get(task_id)
            if holding and holding.pid is not None:
                _signal(holding.pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    log.warning("signalled", pid=pid, signal=number.name)
    with suppress(ProcessLookupError):
        os.kill(pid, number)
