"""What the owner of a queue asked for, as far as it decides the size of its fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from genfleet.contract.queue import GenerationQueue, ScheduleEntry
from genfleet.contract.queue import Target as TargetField
from genfleet.scaling.observation import Seconds
from genfleet.scaling.schedule import Window


@dataclass(frozen=True, slots=True)
class WaitTarget:
    """As many workers as clear the work that is there within this time."""

    seconds: Seconds


@dataclass(frozen=True, slots=True)
class TasksPerWorker:
    """One worker for so many tasks, however long they take."""

    tasks: int


Target = WaitTarget | TasksPerWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one queue. The meaning and the default of each is told in `genfleet.contract.queue`."""

    min_replicas: int
    max_replicas: int
    concurrency: int
    """Tasks one worker runs at once."""
    target: Target
    cooldown: Seconds
    """How long fewer workers must have sufficed before any leaves."""
    floors: tuple[Window, ...] = ()
    paused: bool = False

    @classmethod
    def of(cls, queue: GenerationQueue) -> Self:
        """The policy that a queue resource declares."""
        scaling = queue.spec.scaling
        return cls(
            min_replicas=scaling.min_replicas,
            max_replicas=scaling.max_replicas,
            concurrency=queue.spec.concurrency,
            target=_target(scaling.target),
            cooldown=scaling.cooldown_seconds,
            floors=tuple(_window(entry) for entry in scaling.schedule),
            paused=queue.spec.paused,
        )


def _target(field: TargetField) -> Target:
    if field.tasks_per_worker is not None:
        return TasksPerWorker(field.tasks_per_worker)
    assert field.wait_seconds is not None, "the resource has exactly one of the two"
    return WaitTarget(field.wait_seconds)


def _window(entry: ScheduleEntry) -> Window:
    return Window(entry.cron, entry.seconds, entry.min_replicas, entry.time_zone)
