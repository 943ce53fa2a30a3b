"""A small cluster in memory: Kubernetes and Redis as far as an operator meets them, and workers that work.

Nothing happens by itself. A test lets each part act when it likes: a ReplicaSet late, a watch later, an answer never.
Controllers see the cluster as late as the test likes, and each sees it as it was at one moment. What is held to: a watch
shows a pod before its worker is up, and a worker beats at least every two seconds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from genfleet.errors import StoreUnavailable
from genfleet.store.calls import Call
from genfleet.store.records import QueueSeen, Survey, WorkerSeen
from genfleet_operator import names
from genfleet_operator.kube import DEPLOYMENTS, PODS, REPLICA_SETS, ClusterRefused, ClusterUnavailable
from genfleet_operator.world import World

Json = dict[str, Any]
Thing = tuple[str, str]
"""Kind and name of an object."""
Things = list[Thing]
Shown = list[tuple[str, Json]]
"""Objects as the API server shows them, each with its kind."""

START = 1_800_000_000.0
NAMESPACE = "studio"
NAME = "video"
QUEUE = "gpu_heavy"
HEARD_WITHIN_S = 0.4
"""How soon a worker beats again that has heard something new."""
BEAT_S = 2.0
NODES = ("node-a", "node-b")


def stamp(moment: float) -> str:
    """A time as Kubernetes writes it: in whole seconds."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Pod:
    """A pod and the worker in it."""

    name: str
    deployment: str
    labels: dict[str, str]
    created: float
    node: str = ""
    no_room_since: float | None = None
    ready_at: float | None = None
    """Since when it is ready. None: it starts."""
    cost: int = 0
    terminating: bool = False
    consuming: bool = False
    running: int = 0
    beats_soon: bool = False
    beat: Json | None = None
    """What it said of itself last."""

    @property
    def id(self) -> str:
        """The name its worker reports under."""
        return names.worker_id(self.name, NAMESPACE)

    def object(self, version: int) -> Json:
        """As the API server shows it."""
        conditions: list[Json] = []
        if self.no_room_since is not None:
            since = stamp(self.no_room_since)
            conditions.append(
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": since}
            )
        if self.ready_at is not None:
            conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": stamp(self.ready_at)})
        meta: Json = {
            "name": self.name,
            "namespace": NAMESPACE,
            "labels": self.labels,
            "annotations": {names.DELETION_COST: str(self.cost)} if self.cost else {},
            "resourceVersion": str(version),
            "creationTimestamp": stamp(self.created),
        }
        if self.terminating:
            meta["deletionTimestamp"] = stamp(self.created)
        phase = "Running" if self.node else "Pending"
        return {
            "metadata": meta,
            "spec": {"nodeName": self.node},
            "status": {"phase": phase, "conditions": conditions},
        }


Pods = list[Pod]


@dataclass
class ReplicaSet:
    """The ReplicaSet of a Deployment, and what its controller has seen of it and of its pods."""

    replicas: int
    generation: int = 1
    seen_replicas: int = 0
    seen_generation: int = 0
    seen: dict[str, Pod] = field(default_factory=dict)
    """Active pods as they were."""
    made: set[str] = field(default_factory=set)
    """Pods that it made, and has not seen yet: until then it makes and removes none."""
    stopped: set[str] = field(default_factory=set)
    """Pods that it removed, and has not seen going yet."""
    status: Json = field(default_factory=dict)


class Model:
    """Everything outside of the operator."""

    def __init__(self) -> None:
        self.now = START
        self.loop = asyncio.new_event_loop()
        self.waiting = 0
        self.marks: set[str] = set()
        self.redis_up = True
        self.deployments: dict[str, Json] = {}
        self.replica_sets: dict[str, ReplicaSet] = {}
        """By the name of their Deployment."""
        self.pods: dict[str, Pod] = {}
        self.queue: Json = {}
        self.most = 0
        """Workers that there may be at most."""
        self.wrongs: list[str] = []
        """What should never happen, and did."""
        self.calls: list[asyncio.Future[bool]] = []
        """Calls of the operator that wait: to arrive, or for their answer."""
        self._version = 0
        self._versions: dict[tuple[str, str], int] = {}
        self._shown: dict[tuple[str, str], int] = {}
        self._deleted: list[tuple[str, Json]] = []
        self._made = 0

    def monotonic(self) -> float:
        """For modules that measure time: this object stands in for their `time`."""
        return self.now - START + 1000

    # -- calls of the operator -----------------------------------------------------------------------------------------

    async def call(self, effect: Callable[[], Any], failure: type[Exception] = ClusterUnavailable) -> Any:
        """One request: it arrives when the test lets it, and its answer as well."""
        await self._wait(failure)
        result = effect()
        await self._wait(failure)
        return result

    async def _wait(self, failure: type[Exception]) -> None:
        waits: asyncio.Future[bool] = self.loop.create_future()
        self.calls.append(waits)
        if not await waits:
            raise failure("no answer")

    def let(self, at: int, *, fail: bool = False) -> None:
        """Let one call go on, or fail."""
        self.calls.pop(at % len(self.calls)).set_result(not fail)
        self.spin()

    def let_all(self) -> None:
        """Let every call go on, until none is left."""
        while self.calls:
            self.let(0)

    def spin(self) -> None:
        """Let the operator run until all of it waits."""
        self.loop.run_until_complete(_turns())

    # -- Redis ---------------------------------------------------------------------------------------------------------

    async def run_all(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """As the store does."""
        answer: list[Any] = await self.call(lambda: [self._command(call) for call in calls], StoreUnavailable)
        return answer

    async def run(self, call: Call[Any]) -> Any:
        """One of them."""
        return (await self.run_all([call]))[0]

    def _command(self, call: Call[Any]) -> Any:
        if not self.redis_up:
            raise StoreUnavailable("Redis is away")
        if call.what == "SADD":
            return self.marks.add(str(call.args[1]))
        if call.what == "SREM":
            return self.marks.discard(str(call.args[1]))
        return Survey(int(self.now * 1000), tuple(self._seen() for _ in call.args[1:]))

    def _seen(self) -> QueueSeen:
        running = sum(pod.running for pod in self.pods.values())
        beats = tuple(
            WorkerSeen(pod.id, pod.beat, pod.running, 0, pod.id in self.marks)
            for pod in self.pods.values()
            if pod.beat is not None
        )
        return QueueSeen(QUEUE, self.waiting, running, 0, 0, 1000 if self.waiting else None, None, beats, None)

    # -- the API server ------------------------------------------------------------------------------------------------

    async def list(self, resource: Any, labels: str | None = None) -> tuple[list[Json], tuple[str, ...]]:
        """All objects of a kind, in all namespaces."""
        kinds = {id(DEPLOYMENTS): "deployment", id(REPLICA_SETS): "replica set", id(PODS): "pod"}
        kind = kinds.get(id(resource), "queue")
        found: list[Json] = await self.call(lambda: [obj for known, obj in self._objects() if known == kind])
        return found, ()

    async def apply(self, manifest: Json, *, force: bool = False) -> Json:
        """A Deployment as it is to be."""
        made: Json = await self.call(lambda: self._apply(manifest))
        return made

    async def scale(self, namespace: str, name: str, replicas: int) -> Json:
        """Its number of replicas."""
        made: Json = await self.call(lambda: self._scale(name, replicas))
        return made

    async def remove(self, namespace: str, name: str) -> None:
        """A Deployment, with all that is below it."""
        await self.call(lambda: self._remove(name))

    async def set_cost(self, namespace: str, pod: str, cost: int) -> None:
        """The deletion cost of a pod."""
        await self.call(lambda: self._set_cost(pod, cost))

    def _apply(self, manifest: Json) -> Json:
        name = manifest["metadata"]["name"]
        before = self.deployments.get(name)
        generation = before["metadata"]["generation"] if before else 0
        if before is None or before["spec"] != manifest["spec"]:
            generation += 1
        raised = manifest["spec"]["replicas"] > (before["spec"]["replicas"] if before else 0)
        status = before["status"] if before else {}
        self.deployments[name] = {
            **manifest,
            "metadata": {**manifest["metadata"], "generation": generation},
            "status": status,
        }
        total = sum(each["spec"]["replicas"] for each in self.deployments.values())
        if raised and total > self.most:
            self.wrongs.append(f"{total} replicas where {self.most} workers may be")
        return self._changed("deployment", name)

    def _scale(self, name: str, replicas: int) -> Json:
        if name not in self.deployments:
            raise ClusterRefused(404, "not found")
        there = self.deployments[name]
        meta, spec = there["metadata"], there["spec"]
        if spec["replicas"] != replicas:
            meta = {**meta, "generation": meta["generation"] + 1}
        self.deployments[name] = {**there, "metadata": meta, "spec": {**spec, "replicas": replicas}}
        return self._changed("deployment", name)

    def _remove(self, name: str) -> None:
        if name not in self.deployments:
            raise ClusterRefused(404, "not found")
        for pod in self.of(name):
            self._stop(pod, f"its Deployment {name} was removed")
        if name in self.replica_sets:
            self._deleted.append(("replica set", self._changed("replica set", name)))
            del self.replica_sets[name]
        self._deleted.append(("deployment", self._changed("deployment", name)))
        del self.deployments[name]

    def _set_cost(self, name: str, cost: int) -> None:
        if name not in self.pods:
            raise ClusterRefused(404, "not found")
        pod = self.pods[name]
        pod.cost = cost
        pod.labels = {**pod.labels, names.KEPT: names.MAY_GO if cost else names.IS_KEPT}
        self._changed("pod", name)

    def _changed(self, kind: str, name: str) -> Json:
        """A new version of an object."""
        self._version += 1
        self._versions[kind, name] = self._version
        return self._object(kind, name)

    def _object(self, kind: str, name: str) -> Json:
        version = self._versions[kind, name]
        if kind == "pod":
            return self.pods[name].object(version)
        if kind == "replica set":
            return self._replica_set(name, version)
        obj = self.queue if kind == "queue" else self.deployments[name]
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}

    def _objects(self) -> Shown:
        return [(kind, self._object(kind, name)) for kind, name in self._there()]

    def _there(self) -> Things:
        there = [("queue", NAME), *(("deployment", name) for name in self.deployments)]
        there += [("replica set", name) for name in self.replica_sets]
        return there + [("pod", name) for name in self.pods]

    def _replica_set(self, name: str, version: int) -> Json:
        one, labels = self.replica_sets[name], self.deployments[name]["spec"]["template"]["metadata"]["labels"]
        meta = {
            "name": f"{name}-1",
            "namespace": NAMESPACE,
            "labels": labels,
            "ownerReferences": [{"kind": "Deployment", "name": name}],
            "generation": one.generation,
            "resourceVersion": str(version),
        }
        return {"metadata": meta, "spec": {"replicas": one.replicas}, "status": one.status}

    def declare(self, queue: Json) -> None:
        """A new version of the queue's resource."""
        generation = self.queue["metadata"]["generation"] + 1 if self.queue else 1
        meta = {"name": NAME, "namespace": NAMESPACE, "uid": "uid-1", "generation": generation}
        self.queue = {**queue, "metadata": {**meta, "creationTimestamp": stamp(START)}}
        self._changed("queue", NAME)

    # -- watches -------------------------------------------------------------------------------------------------------

    def forget_watches(self) -> None:
        """Another operator has seen nothing yet."""
        self._shown.clear()
        self._deleted.clear()

    def unseen(self) -> Things:
        """Kinds and names of what changed since the watch showed it."""
        return [key for key in self._there() if self._shown.get(key) != self._versions[key]]

    def knows(self, pod: Pod) -> bool:
        """Whether the watch showed this pod at all."""
        return ("pod", pod.name) in self._shown

    def show(self, world: World, key: Thing) -> None:
        """An event of the watch."""
        kind, name = key
        self._shown[key] = self._versions[key]
        _take(world, kind)("MODIFIED", self._object(kind, name))

    def show_deleted(self, world: World) -> None:
        """The events of what is no more."""
        deleted, self._deleted = self._deleted, []
        for kind, obj in deleted:
            _take(world, kind)("DELETED", obj)

    def show_all(self, world: World) -> None:
        """All events that are due."""
        for key in self.unseen():
            self.show(world, key)
        self.show_deleted(world)

    # -- Kubernetes' controllers ---------------------------------------------------------------------------------------

    def of(self, name: str) -> Pods:
        """The active pods of a Deployment."""
        return [pod for pod in self.pods.values() if pod.deployment == name and not pod.terminating]

    def follow(self, name: str) -> None:
        """The controller of Deployments passes on a number."""
        there = self.deployments[name]
        wanted, generation = there["spec"]["replicas"], there["metadata"]["generation"]
        one = self.replica_sets.get(name)
        if one is None:
            self.replica_sets[name] = ReplicaSet(wanted)
            self._changed("replica set", name)
        elif one.replicas != wanted:
            one.replicas, one.generation = wanted, one.generation + 1
            self._changed("replica set", name)
        if there["status"].get("observedGeneration") != generation:
            self.deployments[name] = {**there, "status": {"observedGeneration": generation}}
            self._changed("deployment", name)

    def catch_up(self, name: str) -> None:
        """The controller of ReplicaSets sees a ReplicaSet and its pods as they are now."""
        one = self.replica_sets[name]
        one.seen_replicas, one.seen_generation = one.replicas, one.generation
        one.seen = {pod.name: replace(pod) for pod in self.of(name)}
        one.made -= one.seen.keys()
        one.made &= self.pods.keys()
        one.stopped &= one.seen.keys()

    def replicate(self, name: str, chance: random.Random) -> None:
        """It makes or removes pods by what it has seen, and tells what that was."""
        one = self.replica_sets[name]
        if not (one.made or one.stopped):
            for _ in range(one.seen_replicas - len(one.seen)):
                self._make(name)
            ranked = self._by_rank(list(one.seen.values()), chance)
            for pod in ranked[: max(0, len(one.seen) - one.seen_replicas)]:
                one.stopped.add(pod.name)
                if pod.name in self.pods and not self.pods[pod.name].terminating:
                    self._stop(self.pods[pod.name], f"{name} was lowered to {one.seen_replicas}")
        labels = self.deployments[name]["spec"]["template"]["metadata"]["labels"]
        status = {
            "observedGeneration": one.seen_generation,
            "replicas": len(one.seen),
            "readyReplicas": sum(pod.ready_at is not None for pod in one.seen.values()),
            "fullyLabeledReplicas": sum(pod.labels == labels for pod in one.seen.values()),
        }
        if status != one.status:
            one.status = status
            self._changed("replica set", name)

    def _make(self, name: str) -> None:
        self._made += 1
        labels = self.deployments[name]["spec"]["template"]["metadata"]["labels"]
        pod = Pod(f"{name}-{self._made}", name, labels, self.now)
        self.pods[pod.name] = pod
        self.replica_sets[name].made.add(pod.name)
        self._changed("pod", pod.name)

    def control(self, chance: random.Random) -> None:
        """All controllers do all that they have to."""
        for name in list(self.deployments):
            self.follow(name)
            for _ in range(2):
                self.catch_up(name)
                self.replicate(name, chance)

    def _by_rank(self, pods: Sequence[Pod], chance: random.Random) -> Pods:
        """Kubernetes' ActivePodsWithRanks: the first to be removed first. Of equals it may be any."""
        crowd = {node: sum(pod.node == node for pod in pods) for node in NODES}
        shuffled = chance.sample(pods, len(pods))

        def rank(pod: Pod) -> tuple[Any, ...]:
            return (bool(pod.node), pod.ready_at is not None, pod.cost, -crowd.get(pod.node, 0))

        return sorted(shuffled, key=rank)

    def _stop(self, pod: Pod, why: str) -> None:
        if pod.running:
            self.wrongs.append(f"{pod.name} is removed with a task, as {why}")
        self.evict(pod)

    def evict(self, pod: Pod) -> None:
        """SIGTERM: it finishes what it has, and leaves."""
        pod.terminating, pod.consuming = True, False
        self._changed("pod", pod.name)
        if pod.ready_at is None:
            self.leave(pod)

    def leave(self, pod: Pod) -> None:
        """The end of a pod that was stopped."""
        self.marks.discard(pod.id)
        self._deleted.append(("pod", self._changed("pod", pod.name)))
        del self.pods[pod.name]

    def place(self, pod: Pod, node: str) -> None:
        """A node for it; none: there is no room."""
        if node:
            pod.node, pod.no_room_since = node, None
        elif pod.no_room_since is None:
            pod.no_room_since = self.now
        self._changed("pod", pod.name)

    # -- workers -------------------------------------------------------------------------------------------------------

    def start(self, pod: Pod) -> None:
        """Its worker is up: it takes work unless it was told not to."""
        pod.ready_at, pod.consuming = self.now, pod.id not in self.marks
        self._changed("pod", pod.name)
        self.beat(pod)

    def beat(self, pod: Pod) -> None:
        """A worker says how it was, and learns whether to drain."""
        if not self.redis_up:
            return
        drains = "draining" if pod.running else "drained"
        pod.beat = {"phase": "ready" if pod.consuming else drains, "running": pod.running}
        pod.beats_soon = False
        if not pod.terminating and pod.consuming == (pod.id in self.marks):
            pod.consuming = not pod.consuming
            pod.beats_soon = True

    def take(self, pod: Pod) -> None:
        """It claims a task."""
        self.waiting -= 1
        pod.running += 1

    def finish(self, pod: Pod) -> None:
        """A task ends."""
        pod.running -= 1

    def pass_time(self, seconds: float) -> None:
        """Time passes, in which workers beat as they have to."""
        for pod in [pod for pod in self.pods.values() if pod.ready_at is not None]:
            if seconds >= HEARD_WITHIN_S and pod.beats_soon:
                self.beat(pod)
            if seconds >= BEAT_S:
                self.beat(pod)
        self.now += seconds


def _take(world: World, kind: str) -> Callable[[str | None, Json], None]:
    return {
        "queue": world.take_queue,
        "deployment": world.take_deployment,
        "replica set": world.take_replica_set,
        "pod": world.take_pod,
    }[kind]


async def _turns() -> None:
    for _ in range(12):
        await asyncio.sleep(0)
