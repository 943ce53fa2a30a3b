"""How long tasks take, as it was measured: a histogram that follows the recent ones. `store/lua/settle.lua` keeps it.

Quantiles need a distribution, and one round trip may not read a thousand records. So each run falls into a bucket, four
to a doubling: a quantile is right to 10 %, whatever the tasks are. When there are many, all counts are halved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

BUCKETS_PER_DOUBLING = 4
LEAST_MS = 100
"""Bucket 0 holds everything below; nobody plans by a tenth of a second."""
HALVED_AT = 400
"""Runs counted until all counts are halved: a change is the larger part of what is known after so many tasks."""
ENOUGH = 5
"""Runs below which nothing is said of the next."""


@dataclass(frozen=True, slots=True)
class Durations:
    """The recent run times of a task type, or of a queue."""

    buckets: Mapping[int, int]
    """Runs by bucket."""

    @property
    def count(self) -> int:
        """How many runs they stand for."""
        return sum(self.buckets.values())

    @property
    def measured(self) -> bool:
        """Whether they say anything."""
        return self.count >= ENOUGH

    @property
    def mean(self) -> float:
        """Seconds."""
        return sum(seconds * runs for seconds, runs in self._rows()) / self.count

    @property
    def variance(self) -> float:
        """Seconds squared."""
        return sum((seconds - self.mean) ** 2 * runs for seconds, runs in self._rows()) / self.count

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the runs ended."""
        wanted, seen = share * self.count, 0
        for bucket in sorted(self.buckets):
            runs = self.buckets[bucket]
            if runs and seen + runs >= wanted:
                low, high = _bounds(bucket)
                return low + (high - low) * (wanted - seen) / runs
            seen += runs
        return 0.0

    def _rows(self) -> Iterator[tuple[float, int]]:
        for bucket, runs in self.buckets.items():
            low, high = _bounds(bucket)
            yield (low + high) / 2, runs


NOTHING = Durations({})


def _bounds(bucket: int) -> tuple[float, float]:
    """Seconds at the lower and the upper end of a bucket."""
    low = 0.0 if bucket == 0 else LEAST_MS * math.pow(2, (bucket - 1) / BUCKETS_PER_DOUBLING)
    return low / 1000, LEAST_MS * math.pow(2, bucket / BUCKETS_PER_DOUBLING) / 1000
