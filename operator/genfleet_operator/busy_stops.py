"""Counts workers that were told to end, or vanished, while they held a task: by us it may never be, by others it may.

The controller asks once a look. Leases say who is at work: a beat may be two seconds old, and would blame us for tasks
that had ended by then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from genfleet.store.records import QueueSeen
from genfleet_operator.sight import Sight
from genfleet_operator.world import Key

log = structlog.get_logger(__name__)

BLAME_S = 10.0
"""A busy worker that is stopped this soon after we lowered its Deployment is our fault."""


@dataclass(frozen=True, slots=True)
class _AtWork:
    """A pod whose worker holds a task."""

    worker: str
    deployment: str


@dataclass(slots=True)
class BusyStops:
    """Those of one queue."""

    queue: Key
    _at_work: dict[str, _AtWork] = field(default_factory=dict)
    """By pod: those that still hold what they held, also when the pod is gone."""
    _counted: set[str] = field(default_factory=set)
    """Pods that were stopped at work, and are counted already."""

    def look(self, seen: Sight, queue_seen: QueueSeen | None, lowered: Mapping[str, float], now: float) -> list[str]:
        """Those that are new, by who did it: `scaling` or `other`. `lowered`: when we last lowered a Deployment (as `now`).

        Blind, nobody can be told to be at work: what vanishes meanwhile is judged by the next look that sees.
        """
        if queue_seen is None:
            return []
        holding = {beat.id for beat in queue_seen.workers if beat.held}
        pods = {worker.pod.name: worker for worker in seen.workers.values() if worker.pod}
        self._at_work |= {name: _AtWork(one.view.id, one.deployment) for name, one in pods.items()}
        self._at_work = {name: one for name, one in self._at_work.items() if one.worker in holding}
        stopped = {name for name in self._at_work if name not in pods or not pods[name].staying}
        new = [(name, self._by(name, lowered, now)) for name in sorted(stopped - self._counted)]
        for name, by in new:
            log.warning("busy_worker_stopped", queue="/".join(self.queue), worker=name, by=by)
        self._counted = {name for name in self._counted | stopped if name in pods or name in self._at_work}
        return [by for _, by in new]

    def _by(self, pod: str, lowered: Mapping[str, float], now: float) -> str:
        since_lowered = now - lowered.get(self._at_work[pod].deployment, -math.inf)
        return "scaling" if since_lowered < BLAME_S else "other"
