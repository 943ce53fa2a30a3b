"""How much a key and a project may ask for, and what is answered when it is too much.

Values only: `store/lua/submit.lua` and `look.lua` hold the limits, in the same step as what they are about. The settings
of the API say what everybody may, a key may have limits of its own, and 0 always means *no limit*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a minute; what is not used is saved up for a while, as in a bucket of tokens (TS-150, TS-151, TS-153)."""

    per_minute: int = 0
    saved_s: int = 60
    """For how many seconds an unused rate is saved up."""

    @property
    def burst(self) -> int:
        """The most that may come at once: what the full bucket holds."""
        return max(1, self.per_minute * self.saved_s // 60)

    @property
    def window_s(self) -> int:
        """Seconds in which an empty bucket is full again: in the long run, `burst` in so many seconds."""
        return max(1, round(self.burst * 60 / self.per_minute)) if self.per_minute else 0

    def at(self, per_minute: int | None) -> Rate:
        """The same for who may more, or less. None: as it is."""
        return self if per_minute is None else replace(self, per_minute=per_minute)


NO_RATE = Rate()


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests are measured against. Without arguments: against nothing."""

    submissions: Rate = NO_RATE
    """By key (TS-150)."""
    reads: Rate = NO_RATE
    """Looks at a task's state, by key (TS-151)."""
    project_tasks: int = 0
    """Tasks that are queued or running in one project (TS-152)."""
    queue_length: int = 0
    """Tasks that wait in one queue (TS-147)."""


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Left:
    """What is left after a request."""

    of_rate: int | None = None
    """How many more may come at once. None: there is no limit, or it was not looked at."""
    more_in_ms: int = 0
    """Until one more than that may come."""
    in_progress: int | None = None
    """Tasks of the project that are queued or running now."""


class Reason(StrEnum):
    """Why a request is refused, although nothing is wrong with it by itself."""

    SUBMISSIONS = "submissions"
    READS = "reads"
    PROJECT = "project"
    QUEUE = "queue"
    REUSED = "reused"
    """Its Idempotency-Key came before, with another request."""
    GONE = "gone"
    """The task that it repeats is no more."""
    RUN_AT = "run_at"
    """It is to run too far ahead."""
    DEADLINE = "deadline"
    """Its deadline has passed, comes before it may run, or is too far ahead."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was done. Every part of a batch may be refused by itself."""

    reason: Reason
    wait_ms: int
    """When it is worth another try. 0: never."""
    left: Left
