"""What makes pods out of Deployments: controllers and kubelet of a small cluster, and the workers inside the pods.

A pod is ready at once; its worker beats in a real Redis, drains when it is told to, and holds the tasks that a test gives it.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from genfleet.errors import StoreUnavailable
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet_operator import names
from tests.support import tasks
from tests.support.api_objects import Json, Manager, Objects, Refused, has_labels, stamp

EVERY_S = 0.05
QUEUE = "gpu_medium"
OWNED = ("generationqueues", "deployments", "replicasets", "pods")
CONTROLLERS = Manager("kube-controller-manager", "Update", "status")


@dataclass
class Pods:
    """The pods of a cluster. `busy_killed` is what must never happen."""

    objects: Objects
    store: SyncStore
    busy: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """What workers hold: task and token, by pod."""
    busy_killed: list[str] = field(default_factory=list)
    silent: bool = False
    """No worker beats."""
    _drained: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextlib.contextmanager
    def running(self) -> Iterator[Pods]:
        """Follow the Deployments while the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._follow, args=(over,), name="pods")
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def there(self) -> list[str]:
        """Names of the pods."""
        return [pod["metadata"]["name"] for pod in self.objects.find("pods")]

    def occupy(self, pod: str) -> str:
        """The id of a new task, which this pod's worker holds from now on."""
        worker = names.worker_id(pod, "default")
        lease = tasks.running(self.store, worker=worker)
        self.busy.setdefault(pod, []).append((lease.task_id, lease.token))
        return lease.task_id

    def finish(self, pod: str) -> None:
        """Its worker completes what it holds."""
        for task, token in self.busy.pop(pod, []):
            self.store.run(steps.complete(task, token, b"{}"))

    def _follow(self, over: threading.Event) -> None:
        while not over.wait(EVERY_S):
            self._collect_orphans()
            for deployment in self.objects.find("deployments"):
                with contextlib.suppress(Refused):  # removed meanwhile
                    self._scale(deployment)
            if not self.silent:
                with contextlib.suppress(StoreUnavailable):
                    for pod in self.objects.find("pods"):
                        self._beat(pod["metadata"]["name"])

    def _collect_orphans(self) -> None:
        """What was made while its owner was removed."""
        there = [(plural, obj["metadata"]) for plural in OWNED for obj in self.objects.find(plural)]
        known = {meta["uid"] for _, meta in there}
        for plural, meta in there:
            if any(owner["uid"] not in known for owner in meta.get("ownerReferences", ())):
                with contextlib.suppress(Refused):
                    self.objects.delete(plural, meta["namespace"], meta["name"])

    def _scale(self, deployment: Json) -> None:
        labels = deployment["spec"]["selector"]["matchLabels"]
        pods = self.objects.find("pods", labels=labels)
        surplus = len(pods) - deployment["spec"].get("replicas", 1)
        for _ in range(-surplus):
            self.objects.create("pods", _pod(deployment, next(self._numbers)))
        for pod in sorted(pods, key=_rank)[: max(0, surplus)]:
            name = pod["metadata"]["name"]
            if name in self.busy:
                self.busy_killed.append(name)
                self._stopped_at_work(name)
            self.objects.delete("pods", "default", name)
            self._drained.discard(name)
        self._tell(deployment, pods)

    def _stopped_at_work(self, pod: str) -> None:
        """What becomes of what it held. Nothing here: its lease runs out."""

    def _tell(self, deployment: Json, pods: list[Json]) -> None:
        """Status of the Deployment and of its ReplicaSet: what was followed, and what was seen of the pods."""
        meta, template = deployment["metadata"], deployment["spec"]["template"]["metadata"]["labels"]
        namespace, name = meta["namespace"], meta["name"]
        replica_set = ("replicasets", namespace, f"{name}-1")
        if not self.objects.find("replicasets", labels=template):
            owner = {"kind": "Deployment", "name": name, "uid": meta["uid"]}
            made = {"name": replica_set[2], "namespace": namespace, "labels": template, "ownerReferences": [owner]}
            self.objects.create("replicasets", {"metadata": made})
        followed = {"spec": {"replicas": deployment["spec"].get("replicas", 1)}}
        generation = self.objects.merge(replica_set, followed, CONTROLLERS)["metadata"]["generation"]
        status = {
            "observedGeneration": generation,
            "replicas": len(pods),
            "readyReplicas": len(pods),
            "fullyLabeledReplicas": sum(has_labels(pod, template) for pod in pods),
        }
        self.objects.merge(replica_set, {"status": status}, CONTROLLERS)
        observed = {"status": {"observedGeneration": meta["generation"]}}
        self.objects.merge(("deployments", namespace, name), observed, CONTROLLERS)

    def _beat(self, pod: str) -> None:
        held = self.busy.get(pod, [])
        phase = "drained" if pod in self._drained and not held else "draining" if pod in self._drained else "ready"
        about = orjson.dumps({"phase": phase, "running": len(held)})
        beat = self.store.run(steps.renew(names.worker_id(pod, "default"), QUEUE, about, held))
        if beat.drain:
            self._drained.add(pod)
        else:
            self._drained.discard(pod)


def _pod(deployment: Json, number: int) -> Json:
    """A pod that runs."""
    moment = stamp()
    kinds = ("PodScheduled", "Ready")
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": moment} for kind in kinds]
    meta = {
        "name": f"{deployment['metadata']['name']}-{number}",
        "namespace": deployment["metadata"]["namespace"],
        "labels": deployment["spec"]["template"]["metadata"]["labels"],
        "ownerReferences": [{"uid": deployment["metadata"]["uid"]}],
    }
    return {
        "metadata": meta,
        "spec": {"nodeName": "node"},
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [{"restartCount": 0}]},
    }


def _rank(pod: Json) -> tuple[int, int]:
    """A ReplicaSet's order among pods that are all ready: the cheapest first, then the youngest."""
    cost = int((pod["metadata"].get("annotations") or {}).get(names.DELETION_COST, "0"))
    return cost, -int(pod["metadata"]["name"].rpartition("-")[2])


HUMAN = Manager("kubectl-edit", "Update")
AUTOSCALER = Manager("kube-controller-manager", "Update", "scale")
