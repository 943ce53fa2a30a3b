"""The higher minimums that hold at certain times, such as two warm workers in office hours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

from genfleet.scaling.observation import Moment, Seconds


@dataclass(frozen=True, slots=True)
class Window:
    """A time, again and again, in which at least so many workers are kept."""

    cron: str
    """When it opens: five fields, checked when the queue was read."""
    duration: Seconds
    """How long it stays open: by a stopwatch, so ten hours are ten hours also when summer time begins in between."""
    min_replicas: int
    time_zone: str = "UTC"
    """In which cron is read: an IANA name, checked when the queue was read."""


def floor(windows: Iterable[Window], now: Moment) -> int:
    """The highest minimum of the windows that are open now. 0: none is open."""
    return max((window.min_replicas for window in windows if is_open(window, now)), default=0)


def is_open(window: Window, now: Moment) -> bool:
    """Whether it opened at a time t with t ≤ now < t + duration."""
    since = now - window.duration
    for opening in CronSim(window.cron, datetime.fromtimestamp(since, ZoneInfo(window.time_zone))):
        opened = opening.timestamp()
        # In the hour that a clock repeats in autumn, the first opening that cron names may lie before `since`.
        if opened > since:
            return opened <= now
    return False
