"""Why a task waits, and for how long: a table of lines, and estimates beside what really happens in a simulated queue."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from genfleet.contract.durations import BUCKETS_PER_DOUBLING, LEAST_MS, NOTHING, Durations
from genfleet.contract.reasons import Reason
from genfleet.contract.waits import Code, Estimate, Eta, FleetSaid, Line, Unknown, eta, pending_reasons

NOW = 1_800_000_000_000
FLEET = FleetSaid(wanted=2, ready=2, maximum=4, reason=Reason.STEADY)
LINE = Line(
    now_ms=NOW,
    queue="gpu_heavy",
    position=1,
    waiting=1,
    running=2,
    places=2,
    due_ms=None,
    attempt=1,
    paused=None,
    fleet=FLEET,
    of_type=NOTHING,
    of_queue=NOTHING,
)
EMPTY = replace(FLEET, wanted=1, ready=0)


def measured(*seconds: float) -> Durations:
    """The histogram of runs of these lengths, as `settle.lua` keeps it."""
    counts: dict[int, int] = {}
    for length in seconds:
        bucket, edge = 0, LEAST_MS / 1000
        while length >= edge:
            bucket, edge = bucket + 1, edge * 2 ** (1 / BUCKETS_PER_DOUBLING)
        counts[bucket] = counts.get(bucket, 0) + 1
    return Durations(counts)


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        pytest.param(replace(LINE, running=1), [Code.NEXT], id="a place is free"),
        pytest.param(LINE, [Code.WORKERS_BUSY], id="every place is taken"),
        pytest.param(replace(LINE, position=4, waiting=9), [Code.IN_LINE, Code.WORKERS_BUSY], id="others come first"),
        pytest.param(replace(LINE, paused=""), [Code.PAUSED], id="paused"),
        pytest.param(
            replace(LINE, paused="x", position=2), [Code.PAUSED, Code.IN_LINE], id="paused, and not the first"
        ),
        pytest.param(replace(LINE, position=0, due_ms=NOW + 60_000), [Code.SCHEDULED], id="for later"),
        pytest.param(replace(LINE, position=0, due_ms=NOW + 60_000, attempt=3), [Code.RETRY], id="its next attempt"),
        pytest.param(replace(LINE, fleet=None, places=0, running=0), [Code.NO_FLEET], id="nobody is there"),
        pytest.param(replace(LINE, fleet=None), [Code.WORKERS_BUSY], id="workers that nobody scales"),
        pytest.param(replace(LINE, fleet=EMPTY, places=0, running=0), [Code.WORKERS_STARTING], id="the first worker"),
        pytest.param(
            replace(LINE, fleet=replace(EMPTY, trouble="Unschedulable"), places=0, running=0),
            [Code.UNSCHEDULABLE],
            id="no node has room",
        ),
        pytest.param(
            replace(LINE, fleet=replace(EMPTY, trouble="WorkersFailing"), places=0, running=0),
            [Code.WORKERS_FAILING],
            id="workers die at their start",
        ),
        pytest.param(
            replace(LINE, fleet=replace(FLEET, wanted=4, ready=4, reason=Reason.AT_MAXIMUM), places=4, running=4),
            [Code.AT_MAXIMUM, Code.WORKERS_BUSY],
            id="no more are allowed",
        ),
        pytest.param(
            replace(LINE, fleet=replace(FLEET, reason=Reason.PAUSED), places=0, running=0),
            [Code.FLEET_PAUSED],
            id="the resource is paused",
        ),
        pytest.param(
            replace(LINE, fleet=replace(FLEET, reason=Reason.DEMAND_UNKNOWN)),
            [Code.FLEET_BLIND, Code.WORKERS_BUSY],
            id="a fleet that sees nothing",
        ),
    ],
)
def test_why_it_waits(line: Line, codes: list[Code]) -> None:
    """All that holds is told, the plainest first, each with a sentence; a task that waits has a reason."""
    found = pending_reasons(line)
    assert [pending.code for pending in found] == codes
    assert all(pending.message.endswith(".") for pending in found)


def test_a_reason_has_its_numbers() -> None:
    """For programs: the place in line, the workers, and when it ends by itself."""
    in_line, busy = pending_reasons(replace(LINE, position=4, waiting=9))
    assert (in_line.message, in_line.details) == ("3 tasks of queue gpu_heavy come first.", {"position": 4})
    assert busy.details == {"places": 2, "taken": 2}
    (later,) = pending_reasons(replace(LINE, position=0, due_ms=NOW + 59_400))
    assert (later.message, later.until_ms) == ("It was submitted for later, and gets in line in 60 s.", NOW + 59_400)


TENS = measured(*[10.0] * 50)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param(replace(LINE, of_type=TENS, of_queue=TENS, paused=""), Unknown.PAUSED, id="paused"),
        pytest.param(replace(LINE, of_type=TENS, of_queue=TENS, places=0), Unknown.NO_WORKER_READY, id="no worker"),
        pytest.param(LINE, Unknown.NOT_MEASURED, id="nothing ended yet"),
        pytest.param(replace(LINE, of_type=measured(9, 9, 9, 9)), Unknown.NOT_MEASURED, id="too few ended"),
    ],
)
def test_where_there_is_no_estimate_there_is_a_reason(line: Line, why: Unknown) -> None:
    """Not seen is not zero: nothing is made up."""
    assert eta(line) is why


def test_an_estimate_adds_up() -> None:
    """A free place: it starts now. Else a third of a run until the first of two is left, and half a one for each more."""
    free = eta(replace(LINE, running=1, of_type=TENS, of_queue=TENS))
    assert isinstance(free, Eta)
    assert free.start == Estimate(0, 0)
    assert free.completion.p50 == pytest.approx(10, rel=0.1)
    third = eta(replace(LINE, position=3, waiting=3, of_type=TENS, of_queue=TENS))
    assert isinstance(third, Eta)
    assert third.start.p50 == pytest.approx(10 / 3 + 10, rel=0.1)
    later = eta(replace(LINE, position=0, waiting=0, running=0, due_ms=NOW + 60_000, of_type=TENS, of_queue=TENS))
    assert isinstance(later, Eta)
    assert later.start == Estimate(60, 60)


def test_a_type_without_runs_is_estimated_by_its_queue() -> None:
    """And the other way round: one of the two is enough."""
    by_queue = eta(replace(LINE, of_queue=TENS))
    assert by_queue == eta(replace(LINE, of_type=TENS, of_queue=TENS)) == eta(replace(LINE, of_type=TENS))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_quantile_is_right_to_ten_percent(share: float) -> None:
    """Whatever the shape: the histogram keeps 50 numbers, not the runs."""
    chance = random.Random(1)  # noqa: S311  a simulation, not a secret
    runs = sorted(chance.lognormvariate(3, 1) for _ in range(2000))
    assert measured(*runs).quantile(share) == pytest.approx(runs[int(share * len(runs))], rel=0.1)


@pytest.mark.parametrize("ahead", [0, 3, 20])
@pytest.mark.parametrize("places", [1, 4])
@pytest.mark.parametrize("spread", [0.1, 0.7])
def test_estimates_are_kept(ahead: int, places: int, spread: float) -> None:
    """In a simulated queue half of the tasks are done by p50, and about nine of ten by p90."""
    chance = random.Random(7)  # noqa: S311  a simulation, not a secret

    def run() -> float:
        return chance.lognormvariate(3, spread)

    known = measured(*(run() for _ in range(400)))
    line = replace(LINE, position=ahead + 1, waiting=ahead + 1, running=places, places=places)
    told = eta(replace(line, of_type=known, of_queue=known))
    assert isinstance(told, Eta)
    took = [_simulated(run, ahead, places, chance) for _ in range(400)]
    by_p50 = sum(seconds <= told.completion.p50 for seconds in took) / len(took)
    by_p90 = sum(seconds <= told.completion.p90 for seconds in took) / len(took)
    assert 0.35 <= by_p50 <= 0.7, (told, sorted(took)[200])
    assert 0.8 <= by_p90 <= 0.99, (told, sorted(took)[360])


def _simulated(run: Callable[[], float], ahead: int, places: int, chance: random.Random) -> float:
    """Seconds until the last of a line is done, where every place is taken and was looked at in the middle of a run."""
    ends = []
    for _ in range(places):
        lengths = [run() for _ in range(20)]
        (length,) = chance.choices(lengths, weights=lengths)  # longer runs are met more often
        ends.append(length * chance.random())
    heapq.heapify(ends)
    for _ in range(ahead):
        heapq.heappushpop(ends, ends[0] + run())
    return heapq.heappop(ends) + run()
