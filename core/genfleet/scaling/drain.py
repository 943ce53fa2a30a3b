"""Which workers leave and which are called back, when the fleet is to have another size.

A worker that holds a task is never chosen. So a fleet may stay larger than decided until its tasks end.
"""

from __future__ import annotations

from genfleet.scaling.decide import Decision
from genfleet.scaling.observation import Observation, Phase, WorkerView


def victims(decision: Decision, seen: Observation) -> tuple[str, ...]:
    """The ids of the workers to drain: idle ones only, those that still start first, of equals the last listed.

    Nobody while demand is unknown: who could not see the work cannot tell who is idle.
    """
    if decision.demand is None:
        return ()
    surplus = max(0, seen.replicas - decision.replicas)
    idle = [worker for worker in reversed(seen.staying) if not worker.running]
    starting_first = sorted(idle, key=lambda worker: worker.phase is not Phase.STARTING)
    return _ids(starting_first[:surplus])


def keep(decision: Decision, seen: Observation) -> tuple[str, ...]:
    """The ids of the draining workers to call back, before new ones are started: those with most room first."""
    missing = max(0, decision.replicas - seen.replicas)
    draining = [worker for worker in seen.workers if worker.phase is Phase.DRAINING and worker.recallable]
    return _ids(sorted(draining, key=lambda worker: worker.running)[:missing])


def _ids(workers: list[WorkerView]) -> tuple[str, ...]:
    return tuple(worker.id for worker in workers)
