"""Celery's pool of processes, mended where it overlooks a death."""

from __future__ import annotations

from typing import Any

from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool

AGAIN_S, AGAIN_S_MOST = 0.01, 1.0


class _Processes(AsynPool):  # type: ignore[misc]  # Celery ships no types
    """Celery learns that a process has ended from a pipe that the kernel closes, and asks once for its exit status.

    But the kernel closes a process's files before it gives back its memory, and only then there is a status. Whenever
    Celery was the quicker one, it overlooked the death until its next regular look, up to 5 seconds later.
    """

    def _event_process_exit(self, hub: Any, process: Any) -> None:
        self._untrack_child_process(process, hub)
        self._look(hub, process, AGAIN_S)

    def _look(self, hub: Any, process: Any, again_s: float) -> None:
        """Replace what has ended. A process may also have closed its files and live on, so less and less often."""
        self.maintain_pool()
        if process in self._pool:
            hub.call_later(again_s, self._look, hub, process, min(2 * again_s, AGAIN_S_MOST))


class Pool(TaskPool):  # type: ignore[misc]  # Celery ships no types
    """What a worker is given instead of `prefork`."""

    Pool = _Processes
