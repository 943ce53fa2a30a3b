"""Which workers leave and which are called back, when the fleet is to have another size.

A worker that holds a task is not chosen because there is less work. So a fleet may stay larger than decided until its
tasks end. One that is paused or replaced takes nothing more, and leaves when it has finished: nobody is stopped at work.
"""

from __future__ import annotations

from genfleet.contract.reasons import Reason
from genfleet.scaling.decide import Decision
from genfleet.scaling.observation import Observation, Phase, WorkerView


def victims(decision: Decision, seen: Observation) -> tuple[str, ...]:
    """The ids of the workers to drain: idle ones only, those that still start first, of equals the last listed.

    Nobody while demand is unknown: who could not see the work cannot tell who is idle. Everybody when the queue is
    paused: those at work finish what they have, and take nothing more. Outdated ones leave by `retired`.
    """
    if decision.demand is None:
        return ()
    if decision.reason is Reason.PAUSED:
        return _ids(list(seen.staying))
    current = [worker for worker in seen.staying if not worker.outdated]
    surplus = max(0, len(current) - decision.replicas)
    idle = [worker for worker in reversed(current) if not worker.running]
    return _ids(sorted(idle, key=_ready)[:surplus])


def retired(decision: Decision, seen: Observation, *, room: int) -> tuple[str, ...]:
    """The ids of outdated workers to drain. `room` is for how many more workers there is place.

    At once: who never came up, and holds nothing; and who is at work while nothing waits, as nobody misses it. Otherwise
    an outdated worker leaves when a new one is ready in its place; where there is no place for a new one, one after the
    other makes it. Whom only the cooldown keeps, nobody replaces.
    """
    outdated = [worker for worker in reversed(seen.staying) if worker.outdated]
    if decision.demand is None or not outdated:
        return ()
    leaving = [worker for worker in outdated if worker in seen.finishing or not (worker.running or _ready(worker))]
    rest = sorted((worker for worker in outdated if worker not in leaving), key=lambda one: (one.running, _ready(one)))
    current = [worker for worker in seen.staying if not worker.outdated]
    surplus = sum(worker.phase is Phase.READY for worker in current) + len(rest) - decision.replicas
    if room <= 0 and len(current) < decision.needed and not _on_the_move(seen):
        surplus = max(surplus, 1)
    return _ids([*leaving, *rest[: max(0, surplus)]])


def _on_the_move(seen: Observation) -> bool:
    return any(worker.phase is not Phase.READY for worker in seen.workers)


def _ready(worker: WorkerView) -> bool:
    """For sorting: those that still start come first, as they are missed least."""
    return worker.phase is not Phase.STARTING


def keep(decision: Decision, seen: Observation) -> tuple[str, ...]:
    """The ids of the draining workers to call back, before new ones are started: those with most room first."""
    if (
        decision.reason is Reason.PAUSED
    ):  # it may count workers of two revisions, and ask for more than there are of one
        return ()
    missing = max(0, decision.replicas - seen.replicas)
    draining = [worker for worker in seen.workers if worker.phase is Phase.DRAINING and worker.recallable]
    return _ids(sorted(draining, key=lambda worker: worker.running)[:missing])


def _ids(workers: list[WorkerView]) -> tuple[str, ...]:
    return tuple(worker.id for worker in workers)
