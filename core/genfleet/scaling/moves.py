"""From a decision to moves: which workers start and in which pool, which leave, and which are called back.

Pools are filled in order of preference. One that cannot place its workers passes them on to the next that may take
them; the others just wait there, as a cluster that can grow will make room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from genfleet.contract.reasons import Reason
from genfleet.scaling.decide import Decision
from genfleet.scaling.drain import keep, retired, victims
from genfleet.scaling.observation import Observation, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """A pool of the queue, at one moment."""

    name: str
    maximum: int
    """Workers it may hold, draining ones included."""
    stuck: tuple[str, ...] = ()
    """Ids of its workers that no node has had room for, for so long that the next pool is to take them."""
    closed: bool = False
    """Whether it could not place workers lately: others take the new ones, as far as they have room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What is to be done."""

    start: Mapping[str, int] = field(default_factory=dict)
    """New workers by pool."""
    drain: tuple[str, ...] = ()
    """Ids of workers that are to take nothing more, and to leave."""
    recall: tuple[str, ...] = ()
    """Ids of draining workers that are to go on."""


def moves(decision: Decision, seen: Observation, pools: Sequence[PoolView], maximum: int) -> Moves:
    """The moves towards the decided size. Total workers, those that drain included, never exceed `maximum`.

    So a new revision, and work that came while others drain, get their workers as far as there is place. Nobody starts
    only to cool down: the cooldown keeps who is there, of whatever revision.
    """
    recall = keep(decision, seen)
    held = {pool.name: sum(worker.pool == pool.name for worker in seen.workers) for pool in pools}
    passed_on = _passed_on(decision, seen, pools, held)
    current = sum(not worker.outdated for worker in seen.staying) + len(recall) - len(passed_on)
    room = maximum - len(seen.workers) + len(passed_on)
    if decision.demand is None:  # blind: nobody is replaced
        current = max(current, seen.replicas)
    missing = 0 if decision.reason is Reason.PAUSED else decision.needed - current
    leaving = (*passed_on, *victims(decision, seen), *retired(decision, seen, room=room))
    return Moves(
        start=_places(min(missing, room), pools, held, avoid_stuck=bool(passed_on)),
        drain=tuple(dict.fromkeys(leaving)),
        recall=recall,
    )


def _passed_on(
    decision: Decision, seen: Observation, pools: Sequence[PoolView], held: Mapping[str, int]
) -> tuple[str, ...]:
    """Ids of stuck workers that a later pool has room for, while they are wanted at all."""
    ids: list[str] = []
    starting = {worker.id for worker in seen.staying if worker.phase is Phase.STARTING and not worker.outdated}
    if decision.demand is None:
        return ()
    for at, pool in enumerate(pools):
        room = sum(later.maximum - held[later.name] for later in pools[at + 1 :] if not later.stuck)
        ids += [worker for worker in pool.stuck if worker in starting][: max(0, room - len(ids))]
    return tuple(ids)


def _places(
    missing: int, pools: Sequence[PoolView], held: Mapping[str, int], *, avoid_stuck: bool
) -> Mapping[str, int]:
    """So many new workers, by pool: the first pools that take any, as far as they have room."""
    start: dict[str, int] = {}
    taking = [pool for pool in pools if not (avoid_stuck and pool.stuck)]
    for pool in sorted(taking, key=lambda pool: pool.closed):  # a closed one is better than none
        number = max(0, min(missing - sum(start.values()), pool.maximum - held[pool.name]))
        if number:
            start[pool.name] = number
    return start
