"""Workers that were stopped at work, and whose fault it is said to be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from genfleet.store.records import QueueSeen
from genfleet_operator.busy_stops import BLAME_S, BusyStops
from genfleet_operator.sight import sight
from genfleet_operator.world import Pod
from tests.operator.queues import NOW, beat, deployment, look, plan, pod

PLAN = plan()
RUNS = pod(PLAN, "p")
ENDS = pod(PLAN, "p", terminating=True)
WORKS, IDLES = look(beat(RUNS, running=1)), look(beat(RUNS))
LOWERED = 100.0


class Counting:
    """The count of one queue, as it changes from look to look."""

    def __init__(self, name: str) -> None:
        self.stops = BusyStops(("studio", name))
        self._found: list[str] = []

    def look(self, pods: Sequence[Pod], redis: QueueSeen | None, now: float = LOWERED + 1) -> None:
        """One look of the operator."""
        deployments = {PLAN.deployment: deployment(PLAN, 1)}
        seen = sight(redis, now=NOW, revisions=(PLAN,), deployments=deployments, pods={one.name: one for one in pods})
        self._found += self.stops.look(seen, redis, {PLAN.deployment: LOWERED}, now)

    def of(self, by: str) -> int:
        """How many were counted."""
        return self._found.count(by)


@pytest.fixture
def counting(request: pytest.FixtureRequest) -> Counting:
    """A queue of its own for each test."""
    return Counting(request.node.name)


@pytest.mark.parametrize("after", [[ENDS], []], ids=["told to end", "gone between two looks"])
def test_a_worker_that_is_stopped_at_work_is_counted_once(counting: Counting, after: list[Pod]) -> None:
    """Whether it was seen to end or just vanished, and however often it is looked at."""
    counting.look([RUNS], WORKS)
    counting.look(after, WORKS)
    counting.look(after, WORKS)
    counting.look([], IDLES)

    assert (counting.of("scaling"), counting.of("other")) == (1, 0)


@pytest.mark.parametrize("after", [[ENDS], []], ids=["told to end", "gone between two looks"])
def test_a_worker_whose_task_had_ended_is_not_counted(counting: Counting, after: list[Pod]) -> None:
    """It was at work at the last look, but its lease tells that it had finished before it was stopped."""
    counting.look([RUNS], WORKS)
    counting.look(after, IDLES)

    assert (counting.of("scaling"), counting.of("other")) == (0, 0)


def test_who_was_not_lowered_by_us_lately_was_stopped_by_others(counting: Counting) -> None:
    """A drained node, a person with kubectl: not our doing."""
    counting.look([RUNS], WORKS, LOWERED + BLAME_S)
    counting.look([ENDS], WORKS, LOWERED + BLAME_S)

    assert (counting.of("scaling"), counting.of("other")) == (0, 1)


@pytest.mark.parametrize(("then", "counted"), [(WORKS, 1), (IDLES, 0)], ids=["still held its task", "had ended it"])
def test_what_vanishes_unseen_is_judged_by_the_next_look_that_sees(
    counting: Counting, then: QueueSeen, counted: int
) -> None:
    """While Redis cannot be asked nobody can be said to be at work."""
    counting.look([RUNS], WORKS)
    counting.look([], None)
    assert counting.of("scaling") == 0
    counting.look([], then)

    assert counting.of("scaling") == counted
