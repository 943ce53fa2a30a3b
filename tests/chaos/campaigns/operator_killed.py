"""T21: the operator is killed at each of its writes, before it arrives and after it, and another goes on.

One story is told again and again: two tasks come, the worker that is older finishes first, then the other one. It holds every
kind of write: a lease, a Deployment, deletion costs, fewer replicas, status and Events. Each trial ends the operator with
SIGKILL at one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.clusters import Make, Side, ours, plain_kopf, side_by_side
from tests.support.api_server import Ask
from tests.support.waiting import comes_true

CONVERGES_WITHIN_S = 40.0
LANES = 2


class Story:
    """What happens in the cluster, as far as it comes."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._next: list[Callable[[], bool]] = [self._both_work, self._one_works, self._nobody_is_left]

    def over(self) -> bool:
        """Go on as far as may be. Whether it is at its end."""
        while self._next and self._next[0]():
            self._next.pop(0)
        return not self._next

    def _both_work(self) -> bool:
        """The older one finishes: a ReplicaSet would stop the younger one first, which is at work."""
        if self._side.settled != (2, 2, 2):
            return False
        self._finish()
        return True

    def _one_works(self) -> bool:
        if self._side.settled != (1, 1, 1):
            return False
        self._finish()
        return True

    def _nobody_is_left(self) -> bool:
        return self._side.settled == (0, 0, 0)

    def _finish(self) -> None:
        self._side.pods.finish(min(self._side.pods.busy))


def _a_step(ask: Ask) -> bool:
    """A write, but for the renewals of a lease."""
    return ask.writes and not (ask.plural == "leases" and ask.verb == "replace")


@dataclass(slots=True)
class Told:
    """How a story went."""

    steps: int
    """Writes that were tried."""
    work: int
    """Those of them that arrived, and change what runs."""
    killed: bool
    ended: bool
    seconds: float
    busy_killed: int
    wrong: int


def told(side: Side, kill_at: int = 0, *, arrived: bool = False) -> Told:
    """Tell it, and kill the operator at this write; 0: at none."""
    side.clear()
    side.declare()
    side.pods.submit(2)
    api, story, began = side.place.api, Story(side), time.monotonic()
    count = 0

    def picks(ask: Ask) -> bool:
        nonlocal count
        count += _a_step(ask)
        return count == kill_at and _a_step(ask)

    with api.fails(picks, hangs=True, done=arrived, times=1) as fault:
        with side.start() as process:
            comes_true(lambda: fault.hits or story.over(), within=CONVERGES_WITHIN_S)
            process.kill()
        if fault.hits:
            api.cut_watches()
            with side.start():
                comes_true(story.over, within=CONVERGES_WITHIN_S)
    api.cut_watches()
    work = len(api.asked_for(lambda ask: ask.of_work, since=began))
    lost = bool(fault.hits and not arrived and fault.hits[0].of_work)
    return Told(
        steps=len(api.asked_for(_a_step, since=began)),
        work=work - lost,
        killed=bool(fault.hits),
        ended=story.over(),
        seconds=time.monotonic() - began,
        busy_killed=len(side.pods.busy_killed),
        wrong=len(side.pods.wrong),
    )


def _killed(run: Run, make: Make) -> Finding:
    lanes = make(run, min(LANES, run.trials))
    whole = told(lanes[0])
    assert whole.ended, f"without any kill it does not come to its end: {whole}"
    moments = [(number, arrived) for number in range(1, whole.steps + 1) for arrived in (False, True)]
    if run.trials < len(moments):
        moments = run.chance.sample(moments, run.trials)
    moments = (moments * (1 + run.trials // len(moments)))[: run.trials]
    found: list[Told] = []

    def trial(side: Side, moment: tuple[int, bool]) -> None:
        number, arrived = moment
        one = told(side, number, arrived=arrived)
        if one.killed:
            found.append(one)
            if len(found) % 20 == 0:
                run.tell(f"{len(found)} of {len(moments)}")

    side_by_side(lanes, moments, trial)
    stuck = sum(not one.ended for one in found)
    busy = sum(one.busy_killed for one in found)
    wrong = sum(one.wrong for one in found)
    extra = max(one.work - whole.work for one in found)
    more = sum(one.work - whole.work > 1 for one in found)
    slowest = max(one.seconds for one in found)
    said = (
        f"{len(found)} kills at {len({number for number, _ in moments})} different writes: {stuck} without the right end, "
        f"{busy} workers stopped at work ({whole.busy_killed} in the same story without a kill), {wrong} wrong sizes, at most {max(extra, 0)} more writes; "
        f"all done after {slowest:.1f} s at the latest ({whole.seconds:.1f} without a kill)"
    )
    return Finding(len(found), stuck + busy + wrong + more, said)


def killed(run: Run) -> Finding:
    """Ours."""
    return _killed(run, ours)


def killed_plain(run: Run) -> Finding:
    """Plain kopf, whose writes are fewer."""
    return _killed(run, plain_kopf)


CAMPAIGNS = [
    Campaign(
        id="T21",
        promise="An operator that is killed at any of its writes is followed by one that finishes what it began: the right number "
        "of workers, at most one more write, and no worker stopped at its work.",
        theme="operator",
        ours=killed,
        trials=100,
        peer_trials=40,
        short=2,
        peer=killed_plain,
        peer_name="plain kopf",
        fell_short=(
            (
                "Pods that were deleted between the operator's first list and its first watch were taken for workers that still "
                "leave, for up to two minutes: fewer replicas had to wait. It lists again whenever a watch begins."
            ),
            (
                "Until its watch showed a deletion cost, the operator wrote it again with every look, several times a second. It "
                "remembers what it has just written."
            ),
        ),
    )
]
