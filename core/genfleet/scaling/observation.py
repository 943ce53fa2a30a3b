"""What a program saw of a queue and its workers at one moment.

Time is a number everywhere in this package: moments are seconds since the epoch, lengths are seconds. Redis and
Kubernetes tell time so, whoever observes passes it in, and nothing here looks at a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Moment = float
"""Seconds since the epoch, by the clock of Redis, as every deadline is (never by a worker's clock)."""
Seconds = float
"""A length of time."""


class Phase(StrEnum):
    """Where a worker is in its life."""

    STARTING = "starting"
    """Asked for, and not yet ready: a pod that is placed, an image that is pulled, a model that is loaded."""
    READY = "ready"
    DRAINING = "draining"
    """Takes nothing new, and leaves when it is empty."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker, as it was last heard of."""

    id: str
    phase: Phase
    running: int = 0
    """Tasks it holds."""
    recallable: bool = True
    """Whether it may be called back while it drains. False if it leaves for a reason of its own: an old revision, a
    node that is reclaimed."""
    pool: str = ""
    """Where it runs."""
    outdated: bool = False
    """Whether it is of an earlier revision, to be replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything a decision may know. Nothing has a default: who leaves something out would say zero unawares."""

    now: Moment
    waiting: int | None
    """Tasks no worker holds, of all priorities. None: it could not be seen, which is not zero."""
    running: int
    """Tasks that a worker holds."""
    due: int
    """Retries whose time has come or is about to."""
    oldest_wait: Seconds | None
    """How long the oldest waiting task has waited. For people only: a decision by it would overshoot, as the workers
    it asked for need longer to start than the wait they are to shorten. None: nothing waits."""
    service_seconds: Seconds | None
    """How long one task takes, on the mean of recent ones. None: none was measured yet."""
    paused: bool
    """Whether the queue was paused by the API. The policy may say so as well."""
    workers: tuple[WorkerView, ...]
    """In order of preference: of equals, the last is the first to leave. So the spill-over pool empties first."""

    @property
    def demand(self) -> int | None:
        """Tasks there are. None: unknown."""
        return None if self.waiting is None else self.waiting + self.running + self.due

    @property
    def finishing(self) -> tuple[WorkerView, ...]:
        """The outdated workers that hold a task while nothing waits: each leaves with its task, and nobody misses it."""
        if self.waiting is None or self.waiting or self.due:
            return ()
        return tuple(worker for worker in self.staying if worker.outdated and worker.running)

    @property
    def leaving_with(self) -> int:
        """Tasks of workers that drain or are finishing. They end there, and need no other worker."""
        leaving = [worker for worker in self.workers if worker.phase is Phase.DRAINING]
        return min(sum(worker.running for worker in (*leaving, *self.finishing)), self.running)

    @property
    def staying(self) -> tuple[WorkerView, ...]:
        """The workers that are not draining."""
        return tuple(worker for worker in self.workers if worker.phase is not Phase.DRAINING)

    @property
    def replicas(self) -> int:
        """How many workers there are, those that start included, those that drain or are finishing not.

        While one revision replaces another, both are there for a while; the larger part counts.
        """
        outdated = sum(worker.outdated for worker in self.staying)
        return max(outdated - len(self.finishing), len(self.staying) - outdated)

    @property
    def busy(self) -> int:
        """How many of `replicas` hold a task."""
        return sum(worker.running > 0 for worker in self.staying) - len(self.finishing)
