"""The windows of time in which a queue keeps more workers than its minimum."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genfleet.scaling.schedule import Window, floor, is_open

HOUR = 3600
OFFICE = Window("0 8 * * 1-5", 10 * HOUR, 2, "Europe/Berlin")


def moment(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> float:
    """The moment of a local time, such as `2026-03-02 08:00` (a Monday)."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("text", "is_it"),
    [
        pytest.param("2026-03-02 07:59:59.9", False, id="shut just before it opens"),
        pytest.param("2026-03-02 08:00", True, id="open from the first instant"),
        pytest.param("2026-03-02 17:59:59.9", True, id="open to the last"),
        pytest.param("2026-03-02 18:00", False, id="shut when its duration is over"),
        pytest.param("2026-03-01 12:00", False, id="shut on a Sunday"),
    ],
)
def test_office_hours(text: str, is_it: bool) -> None:
    """A window is open from each time that cron names, for its duration."""
    assert is_open(OFFICE, moment(text)) is is_it


def test_the_time_zone_counts() -> None:
    """Eight o'clock is eight o'clock where the owner lives."""
    eight_in_tokyo = moment("2026-03-02 08:00", "Asia/Tokyo")
    assert is_open(Window("0 8 * * *", 60, 1, "Asia/Tokyo"), eight_in_tokyo)
    assert not is_open(Window("0 8 * * *", 60, 1), eight_in_tokyo)


def test_a_window_may_last_past_midnight() -> None:
    """A window of a Friday night is open on Saturday morning."""
    night = Window("0 22 * * FRI", 8 * HOUR, 1, "Europe/Berlin")
    assert is_open(night, moment("2026-03-07 05:59"))
    assert not is_open(night, moment("2026-03-07 06:00"))


def test_summer_time_begins_within_a_window() -> None:
    """Ten hours are ten hours by a stopwatch: the clock that skips an hour shows eleven later."""
    night = Window("0 20 * * *", 10 * HOUR, 1, "Europe/Berlin")
    assert is_open(night, moment("2026-03-29 06:59"))
    assert not is_open(night, moment("2026-03-29 07:00"))


def test_an_opening_that_the_clock_skips_comes_right_after() -> None:
    """At half past two of a night without that hour, the window opens at three."""
    window = Window("30 2 * * *", 600, 1, "Europe/Berlin")
    assert not is_open(window, moment("2026-03-29 01:59"))
    assert is_open(window, moment("2026-03-29 03:05"))


def test_an_hour_that_the_clock_repeats_opens_once() -> None:
    """In the repeated hour of autumn a window opens at the first half past two, and not again at the second."""
    window = Window("30 2 * * *", 600, 1, "Europe/Berlin")
    assert is_open(window, moment("2026-10-25 02:35", fold=0))
    assert not is_open(window, moment("2026-10-25 02:35", fold=1))
    assert not is_open(window, moment("2026-10-25 02:45", fold=1))


def test_the_highest_open_window_is_the_floor() -> None:
    """Windows do not add up: the highest of those that are open counts."""
    lunch = Window("0 12 * * *", HOUR, 5, "Europe/Berlin")
    closed = Window("0 0 1 1 *", HOUR, 99, "Europe/Berlin")
    assert floor([OFFICE, lunch, closed], moment("2026-03-02 12:30")) == 5
    assert floor([OFFICE, lunch, closed], moment("2026-03-02 14:00")) == 2
    assert floor([OFFICE, lunch, closed], moment("2026-03-02 20:00")) == 0


def test_a_window_longer_than_its_interval_never_shuts() -> None:
    """Who opens it each hour for two hours has it open always."""
    assert all(is_open(Window("0 * * * *", 2 * HOUR, 1), moment("2026-03-02 08:00") + 599 * step) for step in range(50))


@settings(deadline=None)
@given(st.integers(0, 2_000_000_000), st.integers(1, 3 * HOUR))
def test_an_hourly_window_is_open_in_the_first_part_of_the_hour(now: int, duration: int) -> None:
    """By arithmetic alone: open if the minutes past the hour are fewer than the duration."""
    assert is_open(Window("0 * * * *", duration, 1), now) is (now % HOUR < duration)
