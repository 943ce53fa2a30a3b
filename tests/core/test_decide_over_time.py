"""Whole hours of a small fleet that follows the scaling decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

import pytest

from genfleet.scaling.decide import Decision, Memory, decide
from genfleet.scaling.drain import keep, victims
from genfleet.scaling.observation import Observation, Phase, WorkerView
from genfleet.scaling.policy import Policy, WaitTarget
from tests.core.fleets import NOW, POLICY, SEEN


@dataclass
class Fleet:
    """A queue and its workers, second by second: each does one task at a time and takes 20 s to start."""

    policy: Policy
    service: int
    load: Callable[[int], int]
    """Tasks that arrive in a second."""
    waiting: int = 0
    ready_at: dict[str, int] = field(default_factory=dict)
    done_at: dict[str, int] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=count)
    memory: Memory = ()

    def seconds(self, start: int, end: int) -> Iterator[Decision]:
        """The decisions of these seconds, each carried out."""
        for second in range(start, end):
            self.waiting += self.load(second)
            self.work(second)
            yield self.scale(self.observe(second))

    def work(self, second: int) -> None:
        """Finished tasks leave, waiting ones are taken."""
        self.done_at = {worker: end for worker, end in self.done_at.items() if end > second}
        for worker, ready in self.ready_at.items():
            if self.waiting and ready <= second and worker not in self.done_at:
                self.waiting -= 1
                self.done_at[worker] = second + self.service

    def observe(self, second: int) -> Observation:
        """What a controller sees."""
        views = tuple(
            WorkerView(worker, Phase.READY if ready <= second else Phase.STARTING, running=int(worker in self.done_at))
            for worker, ready in self.ready_at.items()
        )
        seen = replace(SEEN, now=NOW + second, waiting=self.waiting, running=len(self.done_at), workers=views)
        return replace(seen, service_seconds=self.service)

    def scale(self, seen: Observation) -> Decision:
        """Decide and apply."""
        decision = decide(self.policy, seen, self.memory)
        self.memory = decision.memory
        for worker in victims(decision, seen):
            assert worker not in self.done_at, "a worker was stopped at work"
            del self.ready_at[worker]
        for _ in range(decision.replicas - seen.replicas - len(keep(decision, seen))):
            self.ready_at[f"w{next(self.ids)}"] = int(seen.now - NOW) + 20
        return decision


def turns(sizes: list[int]) -> int:
    """How often a fleet that grew shrank, or one that shrank grew."""
    moves = [after > before for before, after in pairwise(sizes) if after != before]
    return sum(one != other for one, other in pairwise(moves))


def test_from_zero_up_and_back_to_zero() -> None:
    """Forty tasks at once bring ten workers at once; all is done; a cooldown later nobody is left."""
    fleet = Fleet(replace(POLICY, target=WaitTarget(60)), service=30, load=lambda second: 40 * (second == 5))
    sizes = [decision.replicas for decision in fleet.seconds(0, 400)]
    assert sizes[4] == 0
    assert sizes[5] == 10
    all_done = 5 + 20 + 4 * 30
    assert sizes[all_done + 55] > 0
    assert sizes[all_done + 65] == 0
    assert (fleet.waiting, turns(sizes)) == (0, 1)


def test_a_steady_stream_is_served_by_a_steady_fleet() -> None:
    """A task every five seconds, half a minute each, keeps six at work: the fleet finds its size, and keeps it."""
    fleet = Fleet(replace(POLICY, target=WaitTarget(60)), service=30, load=lambda second: int(second % 5 == 0))
    sizes = [decision.replicas for decision in fleet.seconds(0, 3600)]
    assert fleet.waiting <= 12
    assert len(set(sizes[1800:])) == 1
    assert turns(sizes) <= 1


@pytest.mark.parametrize("period", [2, 20, 58])
def test_a_load_that_comes_and_goes_does_not_make_the_fleet_flap(period: int) -> None:
    """A load that swings around a threshold faster than the cooldown turns the size once an hour at most."""
    fleet = Fleet(POLICY, service=1, load=lambda second: 0)
    sizes = []
    for second in range(3600):
        waiting = 2 + (second % period < period // 2)  # two tasks want one worker, three want two
        seen = replace(SEEN, now=NOW + second, waiting=waiting, workers=fleet.observe(second).workers)
        sizes.append(fleet.scale(seen).replicas)
    assert turns(sizes) <= 1
    assert sizes[-1] == 2
