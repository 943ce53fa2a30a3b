"""Celery's pool of processes, mended where it overlooks a death, or what a process was given."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Any

from celery.concurrency.asynpool import AsynPool, _get_job_writer, _select
from celery.concurrency.prefork import TaskPool

AGAIN_S, AGAIN_S_MOST = 0.01, 1.0
HEAR_S = 5.0
"""How long to wait, at most, until the processes have said that they took what they were given: they only have to read
it. One that was stopped says nothing."""
GLANCE_S = 0.05
"""How long to wait for one of them, before another is asked."""


class _Processes(AsynPool):  # type: ignore[misc]  # Celery ships no types
    """The processes, as Celery's main loop sees them."""

    def _event_process_exit(self, hub: Any, process: Any) -> None:
        """A pipe tells Celery that a process has ended, and Celery asks once for its exit status.

        But the kernel closes a process's files before it gives back its memory, and only then there is a status.
        Whenever Celery was the quicker one, it overlooked the death until its next regular look, up to 5 seconds later.
        """
        self._untrack_child_process(process, hub)
        self._look(hub, process, AGAIN_S)

    def _look(self, hub: Any, process: Any, again_s: float) -> None:
        """Replace what has ended. A process may also have closed its files and live on, so less and less often."""
        self.maintain_pool()
        if process in self._pool:
            hub.call_later(again_s, self._look, hub, process, min(2 * again_s, AGAIN_S_MOST))

    @property
    def loading(self) -> bool:
        """Whether one of them has not said yet that it can take tasks."""
        return len(self._fileno_to_inq) < len(self._pool)  # other threads ask, too

    def kill_loading(self) -> None:
        """End those that cannot take tasks yet: they have nothing to finish."""
        for process in set(self._pool) - set(self._fileno_to_inq.values()):
            process._controlled_termination = True  # no error in the log
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def hear_out(self) -> None:
        """Hear of every process that was given a task that it took it."""
        until = time.monotonic() + HEAR_S
        while (given := self._given()) and time.monotonic() < until:
            for job in given:
                if _get_job_writer(job) in self._active_writers:
                    self._hand_over(job)
                else:
                    self._hear(job._write_to)

    def _given(self) -> list[Any]:
        """What was written to a process, if only in part, and not taken yet as far as we have heard."""
        return [
            job
            for job in self._cache.values()
            if not job._accepted and job._write_to is not None and job._write_to._is_alive()
        ]

    def _hand_over(self, job: Any) -> None:
        """Write more of it: a half of a message would be completed by the first bytes of the next."""
        _, writable, _ = _select(writers={job._write_to.inq._writer}, timeout=GLANCE_S)
        if writable:
            with suppress(StopIteration, OSError, EOFError):
                next(_get_job_writer(job))

    def _hear(self, process: Any) -> None:
        with suppress(OSError, EOFError):  # it has just died, which is seen elsewhere
            if process.outq._reader.poll(GLANCE_S):
                heard = self._result_handler
                heard._flush_outqueue(process.outqR_fd, _nothing, heard.fileno_to_outq, heard.on_state_change)


def _nothing(_fd: int) -> None:
    """What is done about a pipe that is closed: its process has died, which is seen elsewhere."""


class Pool(TaskPool):  # type: ignore[misc]  # Celery ships no types
    """What a worker is given instead of `prefork`."""

    Pool = _Processes

    def hear_out(self) -> None:
        """Hear of every process that was given a task that it took it. To be called before Celery lets go of the rest.

        What no process has told to have taken Celery throws away, when it stops and when it connects anew. But a
        process that was given it a moment ago runs it all the same, and nobody listens: after its end, a worker that
        stops waits for it for half a minute, and one that connects anew has handed its task back meanwhile.
        """
        if self._pool is not None:
            self._pool.hear_out()

    @property
    def loading(self) -> bool:
        """Whether one of its processes has not said yet that it can take tasks."""
        return self._pool is not None and self._pool.loading

    def on_stop(self) -> None:
        """Celery would wait until those that load have loaded, too."""
        if self._pool is not None:
            self._pool.kill_loading()
        super().on_stop()
