"""One worker as a local process, from its start to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field

from genfleet.scaling.observation import Phase, WorkerView
from genfleet.store.records import WorkerSeen

START_WITHIN_S = 900.0
"""Time to the first beat: images and models may be large. A worker whose engines do not load ends itself before."""
SILENT_FOR_S = 30.0
"""Longest time between two beats, with a good margin: its tasks are safe by their leases long before."""
END_WITHIN_S = 60.0
"""Time to end for one that says it is empty."""


@dataclass(slots=True)
class WorkerProcess:
    """A process that we started, and what we asked of it."""

    id: str
    process: subprocess.Popen[bytes]
    seen: WorkerSeen | None = None
    """Its last beat; None before the first."""
    draining: bool = False
    """Whether it was told to take nothing new: what Redis says counts, a reply to us may have been lost."""
    stopped: bool = False
    """Whether it was told to end. There is no way back from that."""
    patience: float = field(default_factory=lambda: time.monotonic() + START_WITHIN_S)
    """When it is taken for hung if nothing is heard of it (monotonic)."""

    def view(self) -> WorkerView:
        """As the scaling decision sees it. One that was told to end drains, and is not called back."""
        running = self.seen.held if self.seen else 0
        if self.draining or self.stopped:
            return WorkerView(self.id, Phase.DRAINING, running, recallable=not self.stopped)
        return WorkerView(self.id, Phase.READY if self.seen else Phase.STARTING, running)

    @property
    def empty(self) -> bool:
        """Whether it says that it takes nothing new and has nothing left."""
        return self.draining and self.seen is not None and self.seen.about["phase"] == "drained"

    def heard(self, beat: WorkerSeen) -> None:
        """It beat. One that was told to end gains no time by that."""
        self.seen, self.draining = beat, beat.draining
        self.wait_on()

    def wait_on(self) -> None:
        """Nothing could be heard, or something was: its silence begins now."""
        if not self.stopped:
            self.patience = max(self.patience, time.monotonic() + SILENT_FOR_S)

    @property
    def hung(self) -> bool:
        """Whether it has not started, beaten or ended for too long."""
        return time.monotonic() > self.patience

    def stop(self) -> None:
        """Let it end; what it may still run is finished first, or handed back."""
        if not self.stopped and self.process.poll() is None:
            self.stopped = True
            self.patience = time.monotonic() + END_WITHIN_S
            self.process.terminate()

    def kill(self) -> None:
        """End it here and now, with the processes that run its tasks: each worker is a session of its own."""
        with suppress(ProcessLookupError, PermissionError):  # nobody is left of it; macOS says so in its own way
            os.killpg(self.process.pid, signal.SIGKILL)
