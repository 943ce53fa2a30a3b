"""Which pods a ReplicaSet removes when it is to have fewer, and how far it may be lowered without harm.

A number of replicas is all that Kubernetes can be told; which pods go is its choice, by a fixed order. So the number is
lowered only as far as that order meets nobody but workers that may go. Order: Kubernetes' `ActivePodsWithRanks`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from genfleet_operator.world import Pod

_PHASES = {"Pending": 0, "Unknown": 1}


def in_order(pods: Iterable[Pod]) -> list[Pod]:
    """Active pods, the first to be removed first.

    Between pods that are equal so far, Kubernetes looks at how many share a node, which is not known here; the rest of
    the order is by age. So equals count as one group, see `removable`.
    """
    return sorted((pod for pod in pods if pod.active), key=rank)


def rank(pod: Pod) -> tuple[bool, int, bool, int]:
    """The part of the order that is certain: without a node, pending, not ready, cheap first."""
    return (pod.assigned, _PHASES.get(pod.phase, 2), pod.ready, pod.cost)


def removable(pods: Iterable[Pod], may_go: Collection[str]) -> int:
    """How many pods may be removed, if the names in `may_go` are those of workers that hold nothing.

    Counts whole groups of equals, each of which may go; a group in which one may not ends it.
    """
    ordered = in_order(pods)
    blocked = next((rank(pod) for pod in ordered if pod.name not in may_go), None)
    if blocked is None:
        return len(ordered)
    return sum(rank(pod) < blocked for pod in ordered)
