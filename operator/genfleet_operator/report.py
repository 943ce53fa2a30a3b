"""What people are told of a queue: its status, with conditions, and what the API and `genfleet queues` show. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from genfleet.contract.queue import API_VERSION, KIND, GenerationQueue
from genfleet.contract.reasons import Reason
from genfleet.contract.status import Condition, LastDecision, PoolStatus, QueueStatus
from genfleet.scaling.decide import Decision
from genfleet.scaling.observation import Phase
from genfleet_operator import names
from genfleet_operator.blueprint import Revision, selector
from genfleet_operator.sight import Sight, Worker
from genfleet_operator.world import Deployment, Key

LONGEST_MESSAGE = 1000
"""Of a condition, in characters."""
SILENT = "Redis hears nothing of workers whose pods are well: see their logs, and the address and password they use"

State = Literal["True", "False", "Unknown"]
Row = tuple[Literal["Ready", "ScalingActive", "ScalingLimited", "Degraded"], State, str, str]
"""A condition: its type, whether it is so, why in one word, and in a sentence."""


class Fault(StrEnum):
    """What needs a person's attention: the reasons of condition Degraded."""

    NONE = "AsExpected"
    INVALID_SPEC = "InvalidSpec"
    """The schema let it through, and it cannot work all the same."""
    UNKNOWN_QUEUE = "UnknownQueue"
    """No task type is routed to the queue, so its workers would end as soon as they start."""
    INVALID_TEMPLATE = "InvalidTemplate"
    """A layer of the workers' pod template has a field that a pod does not have, or of the wrong kind."""
    QUEUE_TAKEN = "QueueTaken"
    """Another resource serves the same queue of the broker."""
    REDIS_UNREACHABLE = "RedisUnreachable"
    APPLY_FAILED = "ApplyFailed"
    """The API server refused a Deployment."""
    SCALED_BY_ANOTHER = "ScaledByAnother"
    """Another controller sets the number of replicas."""
    WORKERS_FAILING = "WorkersFailing"
    UNSCHEDULABLE = "Unschedulable"
    """No node has room for workers."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault and a sentence about it."""

    fault: Fault = Fault.NONE
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one look at a queue came to."""

    queue: GenerationQueue
    generation: int
    seen: Sight
    decision: Decision
    pools: tuple[PoolStatus, ...]
    trouble: Trouble


def status(outcome: Outcome, before: QueueStatus | None, now: datetime) -> QueueStatus:
    """The status after a decision. Times of `before` stay where nothing changed."""
    queue, seen, decision = outcome.queue, outcome.seen, outcome.decision
    facts = seen.observation
    stamp = _stamp(now)
    ready, draining = _ready(seen.workers.values()), _count(seen, Phase.DRAINING)
    known = facts.demand is not None
    last_decision = _last_decision(decision, before, stamp)
    return QueueStatus(
        observed_generation=outcome.generation,
        waiting=facts.waiting + facts.due if facts.waiting is not None else None,
        running=facts.running if known else None,
        oldest_wait_seconds=None if facts.oldest_wait is None else int(facts.oldest_wait),
        desired=decision.replicas,
        replicas=facts.replicas,
        ready=ready,
        draining=draining,
        workers=f"{ready}/{decision.replicas}" + (f" +{draining} draining" if draining else ""),
        selector=selector(queue),
        degraded=_degraded(outcome.trouble),
        message=outcome.trouble.message[:LONGEST_MESSAGE] or last_decision.message,
        last_decision=last_decision,
        pools=outcome.pools,
        conditions=tuple(_condition(row, outcome.generation, before, stamp) for row in _conditions(outcome)),
    )


def refused(generation: int, trouble: Trouble, before: QueueStatus | None, now: datetime) -> QueueStatus:
    """The status of a resource that cannot be acted on. What runs, goes on."""
    stamp = _stamp(now)
    rows: list[Row] = [
        ("Ready", "False", trouble.fault, trouble.message),
        ("ScalingActive", "False", trouble.fault, trouble.message),
        ("Degraded", "True", trouble.fault, trouble.message),
    ]
    told = {
        "observed_generation": generation,
        "conditions": tuple(_condition(row, generation, before, stamp) for row in rows),
        "degraded": _degraded(trouble),
        "message": trouble.message[:LONGEST_MESSAGE],
    }
    return (before or QueueStatus()).model_copy(update=told)


def trouble_of(pools: Sequence[PoolStatus]) -> Trouble:
    """What the workers themselves show: they fail, or find no place."""
    failing = [pool for pool in pools if pool.failing]
    if failing:
        return Trouble(Fault.WORKERS_FAILING, f"pool {failing[0].name}: {failing[0].message}")
    stuck = sum(pool.unschedulable for pool in pools)
    if stuck:
        first = next(pool for pool in pools if pool.unschedulable)
        return Trouble(Fault.UNSCHEDULABLE, f"{stuck} worker(s) find no node; pool {first.name}: {first.message}")
    return Trouble()


def pools_of(
    revisions: Sequence[Revision], seen: Sight, deployments: Mapping[str, Deployment]
) -> tuple[PoolStatus, ...]:
    """The workers by pool."""
    return tuple(_pool(revision, seen, deployments.get(revision.deployment)) for revision in revisions)


def shown(outcome: Outcome) -> dict[str, Any]:
    """What is kept in Redis for the API and `genfleet queues`, as the local fleet keeps it."""
    decision, scaling = outcome.decision, outcome.queue.spec.scaling
    views = [worker.view for worker in outcome.seen.workers.values()]
    phases = Counter(view.phase.value for view in views)
    told = f" {outcome.trouble.message}" if outcome.trouble.message else ""
    return {
        "wanted": decision.replicas,
        **{phase.value: phases[phase.value] for phase in Phase},
        "busy": sum(view.running > 0 for view in views),
        "minimum": scaling.min_replicas,
        "maximum": scaling.max_replicas,
        "reason": decision.reason.value,
        "trouble": None if outcome.trouble.fault is Fault.NONE else outcome.trouble.fault.value,
        "explanation": decision.explanation + told,
    }


def _pool(revision: Revision, seen: Sight, deployment: Deployment | None) -> PoolStatus:
    """What outdated workers run into is not told: a mistake that was mended must not hide the next one."""
    workers = [worker for worker in seen.workers.values() if worker.view.pool == revision.pool]
    staying = [worker for worker in workers if worker.view.phase is not Phase.DRAINING]
    current = [worker for worker in staying if not worker.view.outdated]
    homeless = [worker.pod.trouble for worker in current if worker.pod and worker.pod.homeless]
    failing = [told for worker in current if (told := _failure(worker, deployment))]
    return PoolStatus(
        name=revision.pool,
        deployment=deployment.name if deployment else "",
        replicas=len(staying),
        ready=_ready(workers),
        draining=len(workers) - len(staying),
        outdated=sum(worker.view.outdated for worker in workers),
        unschedulable=len(homeless),
        failing=len(failing),
        message=(*failing, *homeless, "")[0][:500],
    )


def _failure(worker: Worker, deployment: Deployment | None) -> str:
    """Why a worker does not come up, apart from a node that it waits for. Empty: it does, or is about to."""
    if worker.pod is None:
        return deployment.failure if deployment else ""
    if worker.pod.trouble and not worker.pod.homeless:
        return worker.pod.trouble
    return SILENT if worker.silent else ""


def _degraded(trouble: Trouble) -> str:
    return "" if trouble.fault is Fault.NONE else trouble.fault.value


def _ready(workers: Any) -> int:
    return sum(worker.view.phase is Phase.READY for worker in workers)


def _count(seen: Sight, phase: Phase) -> int:
    return sum(worker.view.phase is phase for worker in seen.workers.values())


def _last_decision(decision: Decision, before: QueueStatus | None, stamp: str) -> LastDecision:
    last = before.last_decision if before else None
    if last and (last.replicas, last.reason) == (decision.replicas, decision.reason):
        return last
    message = decision.explanation[:LONGEST_MESSAGE]
    return LastDecision(replicas=decision.replicas, reason=decision.reason, message=message, time=stamp)


def _conditions(outcome: Outcome) -> list[Row]:
    trouble = outcome.trouble
    degraded: State = "False" if trouble.fault is Fault.NONE else "True"
    return [
        ("Ready", *_readiness(outcome)),
        ("ScalingActive", *_activity(outcome.decision, trouble)),
        ("ScalingLimited", *_limits(outcome)),
        ("Degraded", degraded, trouble.fault, trouble.message),
    ]


def _condition(row: Row, generation: int, before: QueueStatus | None, stamp: str) -> Condition:
    kind, state, reason, message = row
    was = next((one for one in before.conditions if one.type == kind), None) if before else None
    return Condition(
        type=kind,
        status=state,
        reason=str(reason),
        message=message[:LONGEST_MESSAGE],
        last_transition_time=was.last_transition_time if was and was.status == state else stamp,
        observed_generation=generation,
    )


def _readiness(outcome: Outcome) -> tuple[State, str, str]:
    trouble = outcome.trouble
    ready, wanted = _ready(outcome.seen.workers.values()), outcome.decision.replicas
    if ready >= wanted:
        reason = "ScaledToZero" if wanted == 0 else "WorkersReady"
        return "True", reason, f"{ready} of {wanted} workers are ready."
    reason = trouble.fault if trouble.fault in (Fault.WORKERS_FAILING, Fault.UNSCHEDULABLE) else "WorkersStarting"
    return "False", reason, f"{ready} of {wanted} workers are ready."


def _activity(decision: Decision, trouble: Trouble) -> tuple[State, str, str]:
    if trouble.fault in (Fault.SCALED_BY_ANOTHER, Fault.APPLY_FAILED, Fault.INVALID_TEMPLATE):
        return "False", trouble.fault, trouble.message
    if decision.reason is Reason.DEMAND_UNKNOWN:
        return "False", decision.reason, "How much work there is cannot be seen: what runs, stays."
    if decision.reason is Reason.PAUSED:
        return "False", decision.reason, "The queue is paused, by spec.paused or by the API: no worker is added."
    return "True", "FollowingDemand", "The number of workers follows the work."


def _limits(outcome: Outcome) -> tuple[State, str, str]:
    scaling, decision = outcome.queue.spec.scaling, outcome.decision
    match decision.reason:
        case Reason.AT_MAXIMUM:
            return "True", decision.reason, f"The work needs more workers than maxReplicas ({scaling.max_replicas})."
        case Reason.AT_MINIMUM:
            return "True", decision.reason, f"The work needs fewer workers than minReplicas ({scaling.min_replicas})."
        case Reason.SCHEDULED_FLOOR:
            return "True", decision.reason, "The work needs fewer workers than an open window of the schedule keeps."
        case _:
            return "False", "WithinBounds", "The work decides, not a bound."


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What an Event tells."""

    reason: str
    note: str
    warning: bool = False


def takeover(old: Revision, new: Revision, seen: Sight) -> Notice:
    """One revision of a pool takes the place of another."""
    at_work = sum(worker.view.running > 0 for worker in seen.of(old.deployment))
    rest = f"; {at_work} worker(s) of it at work finish their tasks and leave" if at_work else ""
    note = f"pool {new.pool}: revision {new.revision} takes over from {old.revision}{rest}."
    return Notice(reason="NewRevision", note=note)


def event(key: Key, uid: str, notice: Notice, now: datetime, number: int) -> dict[str, Any]:
    """An Event about a queue, as `kubectl describe` shows it."""
    namespace, name = key
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{int(now.timestamp() * 1000):x}{number:x}", "namespace": namespace},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Warning" if notice.warning else "Normal",
        "reason": notice.reason,
        "action": "Scale",
        "note": notice.note[:LONGEST_MESSAGE],
        "regarding": {"apiVersion": API_VERSION, "kind": KIND, "name": name, "namespace": namespace, "uid": uid},
        "reportingController": "genfleet.dev/operator",
        "reportingInstance": names.MANAGER,
    }


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def workers_by_phase(seen: Sight) -> dict[Phase, int]:
    """For metrics."""
    return {phase: _count(seen, phase) for phase in Phase}
