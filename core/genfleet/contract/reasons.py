"""Why the fleet of a queue has its size: a closed list, so that everybody who reads about it reads the same word."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The reason of a scaling decision, spelled alike in events, conditions, log fields and metric labels."""

    STEADY = "Steady"
    """The workers that are there are the ones the work needs."""
    DEMAND_ROSE = "DemandRose"
    """There is more work than the workers that are there can do in time: more are added."""
    DEMAND_FELL = "DemandFell"
    """Fewer workers suffice, and have sufficed for a whole cooldown: idle ones may leave."""
    COOLING_DOWN = "CoolingDown"
    """Fewer workers suffice, but not yet for a whole cooldown: nobody leaves so far."""
    WORKERS_BUSY = "WorkersBusy"
    """Fewer workers would suffice, but each of these holds a task, and a worker at work is never stopped."""
    AT_MAXIMUM = "AtMaximum"
    """The work needs more workers than maxReplicas allows."""
    AT_MINIMUM = "AtMinimum"
    """The work needs fewer workers than minReplicas keeps."""
    SCHEDULED_FLOOR = "ScheduledFloor"
    """The work needs fewer workers than an open window of the schedule keeps."""
    PAUSED = "Paused"
    """The queue is paused: workers that hold a task finish it, the others leave, none is added."""
    DEMAND_UNKNOWN = "DemandUnknown"
    """How much work there is could not be seen: what runs, stays."""
