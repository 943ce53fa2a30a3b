"""Since when pods are cheap to remove, by our own watch: the ReplicaSet controller's may be later.

A number is lowered by the controller only for pods whose low cost has been there for a while; see `removal.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from genfleet_operator import names
from genfleet_operator.world import Key, Pod

SETTLES_S = 0.5
"""From a deletion cost that our watch has shown until replicas are lowered."""


class Costs:
    """Of all pods."""

    def __init__(self) -> None:
        self._low_since: dict[tuple[str, str, str], float] = {}
        """Pods with our low cost, and when our watch first showed it (monotonic)."""
        self._raised: dict[Key, float] = {}
        """Queues, and when our watch last showed that a pod of theirs is not cheap any more (monotonic)."""

    def settled(self, pods: Iterable[Pod], now: float) -> set[str]:
        """Those of these pods that have been cheap for a while. None while one that was called back may still seem so."""
        cheap = {}
        for pod in pods:
            key = (*pod.queue, pod.name)
            if pod.cost == names.EMPTY_COST:
                cheap[key] = pod.name
                self._low_since.setdefault(key, now)
            elif self._low_since.pop(key, None) is not None:
                self._raised[pod.queue] = now
        if any(now - self._raised.get(key[:2], -math.inf) < SETTLES_S for key in cheap):
            return set()
        return {name for key, name in cheap.items() if now - self._low_since[key] >= SETTLES_S}

    def forget_pod(self, pod: Pod) -> None:
        """It is gone."""
        self._low_since.pop((*pod.queue, pod.name), None)

    def forget_queue(self, queue: Key) -> None:
        """It is gone."""
        self._raised.pop(queue, None)
