"""How far Kubernetes' controllers have come with a Deployment: only who knows that knows which pods a number will cost.

A ReplicaSet chooses who goes by what its controller has seen of the pods, which may be seconds old when it has much to
do. It tells what it has seen: in its status it counts its pods, those that are ready, and those with every label of the
template. A pod that is made cheap loses one of these labels in the same write. So when the counts are those of our own
watch, the controller has seen every cost that we have, and nobody at work is taken for idle. No pause could promise that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from genfleet_operator.world import Deployment, Pod, ReplicaSet


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one Deployment."""

    removing: bool
    """Whether a number that was written earlier may still remove pods: which of the cheap ones is not known."""
    agreed: bool
    """Whether the ReplicaSet has seen of the pods what we have."""
    made: bool
    """Whether all pods that were asked for are there, or cannot be made."""

    @property
    def certain(self) -> bool:
        """Whether it is certain which pods a lower number removes."""
        return self.agreed and self.made and not self.removing


def progress(deployment: Deployment, sets: Collection[ReplicaSet], pods: Iterable[Pod]) -> Progress:
    """How far a Deployment is. `sets`: its ReplicaSets, which is one, unless somebody changed its template."""
    active = [pod for pod in pods if pod.active]
    followed = deployment.observed >= deployment.generation and all(one.observed >= one.generation for one in sets)
    there = sum(one.there for one in sets)
    seen_by_it = (there, sum(one.ready for one in sets), sum(one.labelled for one in sets))
    seen_by_us = (
        len(active),
        sum(pod.ready for pod in active),
        sum(deployment.labels.items() <= pod.labels.items() for pod in active),
    )
    return Progress(
        removing=not followed or there > deployment.replicas,
        agreed=seen_by_it == seen_by_us,
        made=there >= deployment.replicas or bool(deployment.failure),
    )
