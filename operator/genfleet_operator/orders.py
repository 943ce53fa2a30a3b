"""What is to be written, to Redis and to the API server, to get from what was seen to what was decided. Pure.

Every order can be given again, and each round computes all of them afresh. So it does not matter in which step an
operator dies: the next one sees what was done, and orders the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from genfleet.scaling.moves import Moves
from genfleet_operator import names
from genfleet_operator.blueprint import Revision
from genfleet_operator.removal import removable
from genfleet_operator.sight import Sight, Worker
from genfleet_operator.world import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """In the order in which they are carried out."""

    recall: tuple[str, ...] = ()
    """Ids of workers that may take work again."""
    drain: tuple[str, ...] = ()
    """Ids of workers that are to take nothing more."""
    costs: Mapping[str, int] = field(default_factory=dict)
    """Deletion costs by pod."""
    apply: Mapping[str, int] = field(default_factory=dict)
    """Replicas of Deployments in force, by name, where they differ from what is there or the Deployment is missing."""
    introduce: tuple[str, ...] = ()
    """Deployments of new revisions, to be made without workers: they come in force when they are there."""
    lower: Mapping[str, int] = field(default_factory=dict)
    """Replicas of outdated Deployments."""
    remove: tuple[str, ...] = ()
    """Outdated Deployments without workers."""

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(
            self.recall or self.drain or self.costs or self.apply or self.introduce or self.lower or self.remove
        )


def orders(
    seen: Sight,
    moves: Moves,
    revisions: Sequence[Revision],
    deployments: Mapping[str, Deployment],
    introduce: Sequence[str] = (),
) -> Orders:
    """The orders that follow from the moves. `revisions`: those in force; `introduce`: Deployments of those to come."""
    present = {revision.deployment: revision for revision in revisions}
    replicas = {
        name: _replicas(deployments.get(name), seen, moves, moves.start.get(revision.pool, 0))
        for name, revision in present.items()
    }
    outdated = {name: deployment for name, deployment in deployments.items() if name not in present}
    lowered = {name: _replicas(deployment, seen, moves, 0) for name, deployment in outdated.items()}
    return Orders(
        recall=tuple(id_ for id_ in moves.recall if seen.workers[id_].pod),
        drain=tuple(id_ for id_ in moves.drain if seen.workers[id_].pod),
        costs=_costs(seen, moves),
        apply={
            name: number
            for name, number in replicas.items()
            if name not in deployments or deployments[name].replicas != number
        },
        introduce=tuple(introduce),
        lower={name: number for name, number in lowered.items() if number != outdated[name].replicas},
        remove=tuple(name for name, deployment in outdated.items() if deployment.replicas == 0 and not seen.of(name)),
    )


def _replicas(deployment: Deployment | None, seen: Sight, moves: Moves, start: int) -> int:
    """Of a Deployment: what it has, with those that start, without those that may be removed now.

    Not both at once: a ReplicaSet that gets a higher number removes nobody.
    """
    if deployment is None:
        return start
    workers = seen.of(deployment.name)
    # A ReplicaSet that makes pods makes all of them before it looks at a lower number, and the first may be at work by
    # then. So only those are taken back that cannot be made; the others leave once they are there.
    unborn = (
        sum(worker.pod is None and worker.view.id in moves.drain for worker in workers) if deployment.failure else 0
    )
    if start:
        return deployment.replicas - unborn + start
    if not seen.progress[deployment.name].certain or _costs_of(workers, moves, raised=True):
        return deployment.replicas - unborn
    may_go = {worker.pod.name for worker in workers if worker.pod and _may_go(worker, moves)}
    return deployment.replicas - unborn - removable([worker.pod for worker in workers if worker.pod], may_go)


def _may_go(worker: Worker, moves: Moves) -> bool:
    """It said that it is empty, or it was told to drain before it ever took work; and nobody calls it back."""
    return worker.empty and worker.view.id not in moves.recall


def _costs(seen: Sight, moves: Moves) -> dict[str, int]:
    """Deletion costs that are to change: low for those that may go, and none for all others that have ours.

    One way at a time, and only when the ReplicaSet has seen the last change: it tells how many it has seen, not which.
    """
    costs: dict[str, int] = {}
    for name, progress in seen.progress.items():
        if progress.agreed:
            workers = seen.of(name)
            costs |= _costs_of(workers, moves, raised=True) or _costs_of(workers, moves, raised=False)
    return costs


def _costs_of(workers: Sequence[Worker], moves: Moves, *, raised: bool) -> dict[str, int]:
    """Those of a Deployment's pods whose cost is to go up, or down."""
    costs: dict[str, int] = {}
    for worker in workers:
        if worker.pod and worker.pod.active and worker.pod.ours and _may_go(worker, moves) is not raised:
            wanted = 0 if raised else names.EMPTY_COST
            if worker.pod.cost != wanted:
                costs[worker.pod.name] = wanted
    return costs
