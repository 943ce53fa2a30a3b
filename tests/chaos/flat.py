"""Whether what a program uses stays the same while it works: samples, a straight line through them, and a bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import linear_regression, mean

import psutil
from redis.exceptions import RedisError


@dataclass(frozen=True, slots=True)
class Line:
    """What samples say."""

    mean: float
    growth: float
    """Of the line through them, from the first to the last, as a share of the mean."""


@dataclass(slots=True)
class Samples:
    """Of everything that is measured, by name. What could not be measured at a moment is left out."""

    measures: Mapping[str, Callable[[], float]]
    _seen: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def take(self) -> None:
        """One of each."""
        now = time.monotonic()
        for name, measure in self.measures.items():
            with suppress(RedisError, psutil.Error):  # it is away, which is one of the faults
                self._seen.setdefault(name, []).append((now, measure()))

    def lines(self, warm_up: float) -> dict[str, Line]:
        """Through the samples after so many seconds. Empty where these last for less than the warm-up: they show nothing."""
        found = {}
        for name, samples in self._seen.items():
            began = samples[0][0] + warm_up
            late = [(at, value) for at, value in samples if at >= began]
            if not late or late[-1][0] - began < warm_up:
                continue
            times, values = zip(*late, strict=True)
            middle = mean(values)
            slope, _ = linear_regression(times, values)
            found[name] = Line(middle, slope * (times[-1] - times[0]) / max(middle, 1))
        return found
