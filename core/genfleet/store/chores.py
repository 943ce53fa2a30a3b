"""The chores, one step each. `upkeep` has them done once a second, by whoever is up; every one may be done again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from genfleet.store.calls import Call, milliseconds
from genfleet.store.scripts import script
from genfleet.store.steps import LEASE, SILENCE

REAP_GAP = timedelta(seconds=3)
"""A longer gap between two looks at the leases means that Redis was away, or everyone was. It has to be less than a
lease without two beats: a lease may have been two seconds old when Redis went, and its next beat comes late."""
TRIPS = 2
"""Between two looks at the leases, for each round of chores: one to get the turn, one to do them."""
MESSAGE_GRACE = timedelta(seconds=5)
"""How long a message may be between its list and a claim before it is taken for lost."""


def take_upkeep(who: str, period: timedelta) -> Call[bool]:
    """Whether the chores of this period fall to the caller."""
    return Call(script("take_upkeep"), (who, milliseconds(period)), bool)


def promote(queues: Sequence[str]) -> Call[int]:
    """Puts delayed tasks and retries whose time has come in line. How many."""
    return Call(script("promote"), tuple(queues), int)


def end_overdue() -> Call[int]:
    """Ends tasks that have not started by their deadline. How many."""
    return Call(script("end_overdue"), (), int)


def reap(queues: Sequence[str], trip: timedelta = timedelta()) -> Call[int]:
    """Puts the tasks of lost workers back in line. How many.

    `trip` is what Redis takes for an answer even when it is quick: looks that come late for that are no gap.
    """
    gap = REAP_GAP + TRIPS * trip
    return Call(script("reap"), (milliseconds(LEASE), milliseconds(gap), milliseconds(SILENCE), *queues), int)


def recover(queues: Sequence[str], grace: timedelta = MESSAGE_GRACE) -> Call[int]:
    """Makes new messages for tasks whose message was lost, and is older than `grace`. How many."""
    return Call(script("recover"), (milliseconds(grace), *queues), int)


def expire() -> Call[int]:
    """Removes records whose retention is over. How many."""
    return Call(script("expire"), (), int)
