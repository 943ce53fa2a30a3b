"""One worker as a local process, from its start to its end."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from genfleet.scaling.observation import Phase, WorkerView
from genfleet.store.records import WorkerSeen


@dataclass(slots=True)
class WorkerProcess:
    """A process that we started, and what we asked of it."""

    id: str
    process: subprocess.Popen[bytes]
    seen: WorkerSeen | None = None
    """Its last beat; None before the first."""
    draining: bool = False
    """Whether it was told to take nothing new."""
    stopped: bool = False
    """Whether it was told to end. There is no way back from that."""

    def view(self) -> WorkerView:
        """As the scaling decision sees it. One that was told to end drains, and is not called back."""
        running = self.seen.about["running"] if self.seen else 0
        if self.draining or self.stopped:
            return WorkerView(self.id, Phase.DRAINING, running, recallable=not self.stopped)
        return WorkerView(self.id, Phase.READY if self.seen else Phase.STARTING, running)

    @property
    def empty(self) -> bool:
        """Whether it says that it takes nothing new and has nothing left."""
        return self.draining and self.seen is not None and self.seen.about["phase"] == "drained"

    def stop(self) -> None:
        """Let it end; what it may still run is finished first, or handed back."""
        if not self.stopped and self.process.poll() is None:
            self.stopped = True
            self.process.terminate()

    def kill(self) -> None:
        """End it here and now, with the processes that run its tasks: each worker is a session of its own."""
        with suppress(ProcessLookupError, PermissionError):  # nobody is left of it; macOS says so in its own way
            os.killpg(self.process.pid, signal.SIGKILL)
