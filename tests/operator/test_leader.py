"""Whether a Lease is free, by the clock of who watches it: the clock of its holder may be off by hours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from genfleet_operator import leader
from genfleet_operator.leader import Leadership


class Clock:
    """Stands in for the module's `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


def lease(holder: str | None, version: str = "1", duration: int | None = 15, renewed: str = "") -> dict[str, Any]:
    """A Lease as the API server shows it."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": renewed}
    return {"metadata": {"name": "genfleet-operator", "resourceVersion": version}, "spec": spec}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that a test moves."""
    stands = Clock()
    monkeypatch.setattr(leader, "time", stands)
    return stands


@pytest.fixture
def ours() -> Leadership:
    """The claim of operator `me`; its cluster is not asked here."""
    return Leadership(None, "genfleet", "genfleet-operator", "me", lambda: datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(lease(""), id="released"),
        pytest.param(lease(None), id="without a holder"),
        pytest.param(lease("me"), id="ours, from before we started anew"),
        pytest.param({"metadata": {"resourceVersion": "1"}}, id="without a spec"),
    ],
)
def test_what_nobody_else_holds_is_free(clock: Clock, ours: Leadership, found: dict[str, Any]) -> None:
    """At once."""
    assert ours._is_free(found)


@pytest.mark.parametrize("renewed", ["1970-01-01T00:00:00.000000Z", "2199-01-01T00:00:00.000000Z", "soon"])
def test_the_time_that_the_holder_wrote_does_not_count(clock: Clock, ours: Leadership, renewed: str) -> None:
    """A lease of another is free when we have seen no new version of it for its duration, and not before."""
    found = lease("other", renewed=renewed)
    assert not ours._is_free(found)
    clock.now += 15
    assert not ours._is_free(found)
    clock.now += 0.1
    assert ours._is_free(found)


def test_each_renewal_counts_anew(clock: Clock, ours: Leadership) -> None:
    """However long it goes on."""
    for version in range(20):
        assert not ours._is_free(lease("other", str(version)))
        clock.now += 14


def test_a_lease_says_how_long_it_holds(clock: Clock, ours: Leadership) -> None:
    """One that says nothing holds as long as ours."""
    for duration, holds in ((60, 60), (1, 1), (None, leader.DURATION_S)):
        found = lease("other", f"v{duration}", duration)
        assert not ours._is_free(found)
        clock.now += holds
        assert not ours._is_free(found)
        clock.now += 0.1
        assert ours._is_free(found)


def test_who_leads_stops_before_another_may_begin() -> None:
    """Renewing may fail for less time than a lease holds, with more than one look between."""
    assert leader.RENEW_WITHIN_S + leader.PERIOD_S < leader.DURATION_S
