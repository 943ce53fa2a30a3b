"""What is to be written, to Redis and to the API server, to get from what was seen to what was decided. Pure.

Every order can be given again, and each round computes all of them afresh. So it does not matter in which step an
operator dies: the next one sees what was done, and orders the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from genfleet.scaling.moves import Moves
from genfleet_operator import names
from genfleet_operator.blueprint import Blueprint
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
    """Replicas of present Deployments, by name, where they differ from what is there or the Deployment is missing."""
    lower: Mapping[str, int] = field(default_factory=dict)
    """Replicas of outdated Deployments."""
    remove: tuple[str, ...] = ()
    """Outdated Deployments without workers."""

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.recall or self.drain or self.costs or self.apply or self.lower or self.remove)


def orders(
    seen: Sight,
    moves: Moves,
    blueprints: Sequence[Blueprint],
    deployments: Mapping[str, Deployment],
    settled: Collection[str] = (),
) -> Orders:
    """The orders that follow from the moves. `settled`: pods whose low cost has been there for a while."""
    present = {plan.deployment: plan for plan in blueprints}
    replicas = {
        name: _replicas(deployments.get(name), seen.of(name), moves, moves.start.get(plan.pool, 0), settled)
        for name, plan in present.items()
    }
    outdated = {name: deployment for name, deployment in deployments.items() if name not in present}
    lowered = {name: _replicas(deployment, seen.of(name), moves, 0, settled) for name, deployment in outdated.items()}
    return Orders(
        recall=tuple(id_ for id_ in moves.recall if seen.workers[id_].pod),
        drain=tuple(id_ for id_ in moves.drain if seen.workers[id_].pod),
        costs=_costs(seen, moves),
        apply={
            name: number
            for name, number in replicas.items()
            if name not in deployments or deployments[name].replicas != number
        },
        lower={name: number for name, number in lowered.items() if number != outdated[name].replicas},
        remove=tuple(name for name, deployment in outdated.items() if deployment.replicas == 0 and not seen.of(name)),
    )


def _replicas(
    deployment: Deployment | None, workers: Sequence[Worker], moves: Moves, start: int, settled: Collection[str]
) -> int:
    """Of a Deployment: what it has, with those that start, without those that may be removed now.

    Not both at once: a ReplicaSet that gets a higher number removes nobody.
    """
    if deployment is None:
        return start
    # A ReplicaSet that makes pods makes all of them before it looks at a lower number, and the first may be at work by
    # then. So only those are taken back that cannot be made; the others leave once they are there.
    unborn = (
        sum(worker.pod is None and worker.view.id in moves.drain for worker in workers) if deployment.failure else 0
    )
    if start:
        return deployment.replicas - unborn + start
    pods = [worker.pod for worker in workers if worker.pod and worker.pod.active]
    may_go = {worker.pod.name for worker in workers if worker.pod and _may_go(worker, moves)}
    number = removable(pods, may_go)
    if number < len(pods) or len(pods) < deployment.replicas:
        # The ReplicaSet may not know of a low cost yet, and we not of a pod that it made, placed or started since: with
        # costs that have settled, it takes those that may go before any that came meanwhile.
        number = min(number, sum(pod.name in may_go and pod.name in settled for pod in pods))
    on_their_way = max(0, len(pods) - deployment.replicas)  # for them the number was lowered already
    return deployment.replicas - unborn - max(0, number - on_their_way)


def _may_go(worker: Worker, moves: Moves) -> bool:
    """It said that it is empty, or it was told to drain before it ever took work; and nobody calls it back."""
    return worker.empty and worker.view.id not in moves.recall


def _costs(seen: Sight, moves: Moves) -> dict[str, int]:
    """Deletion costs that are to change: low for those that may go, and none for all others that have ours."""
    costs: dict[str, int] = {}
    for worker in seen.workers.values():
        if worker.pod and worker.pod.active and worker.pod.ours:
            wanted = names.EMPTY_COST if _may_go(worker, moves) else 0
            if worker.pod.cost != wanted:
                costs[worker.pod.name] = wanted
    return costs
