"""What one look saw of a queue: its tasks in Redis, its workers in Redis and in the cluster, put together.

A worker is a pod. Redis knows what it does, the cluster whether it is there; each alone is half the truth.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from genfleet.scaling.observation import Observation, Phase, WorkerView
from genfleet.store.records import QueueSeen, WorkerSeen
from genfleet_operator import names
from genfleet_operator.blueprint import Revision
from genfleet_operator.progress import Progress, progress
from genfleet_operator.removal import in_order
from genfleet_operator.world import Deployment, Pod, ReplicaSet

ASSUMED_BUSY_S = 60.0
"""How long a ready pod that says nothing is taken for one at work: Redis may just have come back. Longer, and its tasks
have long gone elsewhere."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker, with what is needed to act on it."""

    view: WorkerView
    deployment: str
    pod: Pod | None
    """None: it was asked for, and its pod is not there yet."""
    empty: bool = False
    """Whether it takes nothing new and holds nothing: it may be removed."""
    silent: bool = False
    """Whether its pod is well, and Redis has not heard of it for long."""

    @property
    def staying(self) -> bool:
        """Whether nobody has told its pod to end."""
        return self.pod is None or not self.pod.terminating


@dataclass(frozen=True, slots=True)
class Sight:
    """A queue at one moment."""

    observation: Observation
    workers: Mapping[str, Worker]
    """By id, in the order of the observation."""
    progress: Mapping[str, Progress]
    """How far Kubernetes is with each Deployment."""

    def of(self, deployment: str) -> list[Worker]:
        """The workers of a Deployment."""
        return [worker for worker in self.workers.values() if worker.deployment == deployment]


def sight(
    seen: QueueSeen | None,
    *,
    now: float,
    revisions: Sequence[Revision],
    deployments: Mapping[str, Deployment],
    pods: Mapping[str, Pod],
    replica_sets: Collection[ReplicaSet] = (),
    told: Collection[str] = (),
    listening_since: float = 0.0,
) -> Sight:
    """What is known of a queue.

    `seen` None: Redis could not be asked. `revisions`: those in force, by pool. `told`: ids of workers that were told to
    drain. `listening_since`: since when beats could be heard without a break.
    """
    beats = {beat.id: beat for beat in seen.workers} if seen else {}
    current = {revision.deployment for revision in revisions}
    followed = {
        name: progress(
            one,
            [each for each in replica_sets if each.deployment == name],
            [pod for pod in pods.values() if deployment_of(pod) == name],
        )
        for name, one in deployments.items()
    }
    view = _View(
        current=current,
        leaving=_leaving(deployments, pods, followed),
        told=told,
        busy_after=now - ASSUMED_BUSY_S if listening_since < now - ASSUMED_BUSY_S else 0.0,
        blind=seen is None,
    )
    workers = [worker for pod in pods.values() if (worker := _worker(pod, beats.get(pod.worker), view)) is not None]
    for deployment in deployments.values():
        workers += _asked_for(deployment, pods, current)
    order = {revision.pool: at for at, revision in enumerate(revisions)}
    workers.sort(
        key=lambda one: (order.get(one.view.pool, len(order)), one.pod.created if one.pod else now, one.view.id)
    )
    observation = Observation(
        now=now,
        waiting=seen.waiting if seen else None,
        running=seen.running if seen else 0,
        due=seen.due if seen else 0,
        oldest_wait=_seconds(seen.oldest_wait_ms) if seen else None,
        service_seconds=_seconds(seen.service_ms) if seen else None,
        paused=bool(seen and seen.paused),
        workers=tuple(worker.view for worker in workers),
    )
    return Sight(observation, {worker.view.id: worker for worker in workers}, followed)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def deployment_of(pod: Pod) -> str:
    """The name of the Deployment that a pod belongs to."""
    return f"{pod.queue[1]}-{pod.pool}-{pod.revision}"


def _leaving(
    deployments: Mapping[str, Deployment], pods: Mapping[str, Pod], followed: Mapping[str, Progress]
) -> set[str]:
    """Pods that Kubernetes is about to remove, as their Deployment was lowered already.

    A ReplicaSet may still be at a number that we have raised again since, and which of the cheap ones it takes is its
    choice: until it is through with that, none of them may be called back.
    """
    leaving: set[str] = set()
    for deployment in deployments.values():
        active = in_order(pod for pod in pods.values() if deployment_of(pod) == deployment.name)
        leaving |= {pod.name for pod in active[: max(0, len(active) - deployment.replicas)]}
        if followed[deployment.name].removing:
            leaving |= {pod.name for pod in active if pod.cost == names.EMPTY_COST}
    return leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What a pod is judged by."""

    current: Collection[str]
    """Deployments of the revisions in force."""
    leaving: Collection[str]
    """Pods that are about to be removed."""
    told: Collection[str]
    """Workers that were told to drain."""
    busy_after: float
    """A pod that became ready later, and says nothing, is taken for busy."""
    blind: bool
    """Whether Redis could not be asked: then nobody is heard."""


def _worker(pod: Pod, beat: WorkerSeen | None, view: _View) -> Worker | None:
    """A pod as a worker. None: it has ended, or ends and has nothing to say any more."""
    if not pod.active and beat is None:
        return None
    outdated = deployment_of(pod) not in view.current
    # Its mark is read with its beat. One that lost the mark, as when its container starts anew, takes work again.
    draining = beat.draining if beat else pod.worker in view.told
    # A ready pod that says nothing is taken for busy at first; then for one that has not found its way to Redis.
    trusted = beat is None and pod.ready and (view.blind or pod.ready_since >= view.busy_after)
    running = beat.held if beat else int(trusted)
    if not pod.active or draining or pod.name in view.leaving:
        phase, recallable = Phase.DRAINING, pod.active and not outdated and pod.name not in view.leaving
    else:
        phase, recallable = (Phase.READY if beat or trusted else Phase.STARTING), True
    worker = WorkerView(pod.worker, phase, running, recallable, pod.pool, outdated and phase is not Phase.DRAINING)
    # Who was told before its first beat takes nothing; but blind, a beat may have come that we have not heard.
    drained = beat.about["phase"] == "drained" if beat else running == 0 and not view.blind
    return Worker(
        worker,
        deployment_of(pod),
        pod,
        empty=pod.active and draining and drained,
        silent=beat is None and pod.ready and not trusted,
    )


def _asked_for(deployment: Deployment, pods: Mapping[str, Pod], current: set[str]) -> list[Worker]:
    """Workers whose pods Kubernetes has not made yet."""
    there = sum(pod.active and deployment_of(pod) == deployment.name for pod in pods.values())
    outdated = deployment.name not in current
    return [
        Worker(
            WorkerView(f"{deployment.name}#{number}", Phase.STARTING, pool=deployment.pool, outdated=outdated),
            deployment.name,
            None,
        )
        for number in range(there, deployment.replicas)
    ]
