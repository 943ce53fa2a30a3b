"""What is known of the cluster: queues, and the Deployments and pods that operators made, kept up to date by watches.

Only what decisions need is kept of each object. Whoever brings an older version than is known is not listened to, so
watches, lists and the answers to our own writes may come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from genfleet_operator import names

Json = Mapping[str, Any]

Key = tuple[str, str]
"""Namespace and name of a queue."""

LAST_WORDS = 400
"""Characters kept of what a container said when it ended: the end says the most."""


@dataclass(frozen=True, slots=True)
class QueueDocument:
    """A GenerationQueue as it was written; not yet checked."""

    key: Key
    uid: str
    generation: int
    created: str
    document: Json
    status: Json = field(default_factory=dict)
    """What an operator said of it last: its times go on where nothing has changed since."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Deployment of ours."""

    name: str
    queue: Key
    pool: str
    revision: str
    replicas: int
    generation: int
    observed: int
    """The generation that its controller has followed."""
    labels: Mapping[str, str]
    """Those of its pods' template."""
    failure: str
    """Why pods cannot be created, such as a quota. Empty: nothing known."""
    created: float = 0.0
    """When it was made, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """The ReplicaSet of one of our Deployments: what its controller has seen, by its own words."""

    name: str
    queue: Key
    deployment: str
    generation: int
    observed: int
    """The generation that its controller has followed."""
    there: int
    """Active pods that it has seen."""
    ready: int
    """Those of them that are ready."""
    labelled: int
    """Those of them that have every label of the template."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of one of our Deployments. Moments are seconds since the epoch, by the clock of the API server."""

    name: str
    queue: Key
    pool: str
    revision: str
    phase: str
    assigned: bool
    """Whether it has a node."""
    ready: bool
    ready_since: float
    created: float
    restarts: int
    terminating: bool
    cost: int
    ours: bool
    """Whether the cost is one that we wrote, or none."""
    labels: Mapping[str, str]
    unschedulable_since: float | None
    trouble: str
    """Why it does not run, in Kubernetes' words. Empty: it does, or is about to."""

    @property
    def active(self) -> bool:
        """Whether a ReplicaSet counts it."""
        return not self.terminating and self.phase not in ("Succeeded", "Failed")

    @property
    def homeless(self) -> bool:
        """Whether no node has room for it."""
        return self.unschedulable_since is not None

    @property
    def worker(self) -> str:
        """The name its worker reports under."""
        return names.worker_id(self.name, self.queue[0])


@dataclass(slots=True)
class World:
    """The objects by kind and name. `changed` collects the queues that something happened to."""

    queues: dict[Key, QueueDocument] = field(default_factory=dict)
    deployments: dict[Key, dict[str, Deployment]] = field(default_factory=dict)
    replica_sets: dict[Key, dict[str, ReplicaSet]] = field(default_factory=dict)
    pods: dict[Key, dict[str, Pod]] = field(default_factory=dict)
    changed: set[Key] = field(default_factory=set)
    gone: list[Pod] = field(default_factory=list)
    """Pods that are no more, for whoever cleans up after them."""
    _versions: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def take_queue(self, event: str | None, obj: Json) -> None:
        """A GenerationQueue was seen."""
        key = _key(obj)
        if not self._is_news("queue", obj, event):
            return
        if event == "DELETED" or "deletionTimestamp" in obj["metadata"]:  # its Deployments go, and come no more
            self.queues.pop(key, None)
        else:
            self.queues[key] = queue_document(obj)
        self.changed.add(key)

    def take_deployment(self, event: str | None, obj: Json) -> None:
        """A Deployment was seen."""
        seen = deployment(obj)
        if seen is None or not self._is_news("deployment", obj, event):
            return
        self._keep(self.deployments, seen.queue, seen.name, None if event == "DELETED" else seen)

    def take_replica_set(self, event: str | None, obj: Json) -> None:
        """A ReplicaSet was seen."""
        seen = replica_set(obj)
        if seen is None or not self._is_news("replica set", obj, event):
            return
        self._keep(self.replica_sets, seen.queue, seen.name, None if event == "DELETED" else seen)

    def take_pod(self, event: str | None, obj: Json) -> None:
        """A pod was seen."""
        seen = pod(obj)
        if seen is None or not self._is_news("pod", obj, event):
            return
        if event == "DELETED":
            self.gone.append(seen)
        self._keep(self.pods, seen.queue, seen.name, None if event == "DELETED" else seen)

    def forget_absent(self, kind: str, present: Iterable[Json], namespaces: Iterable[str], known: set[Key]) -> None:
        """After a list: what was `known` before it and is not in it, has gone without a watch that told us."""
        there = {_key(obj) for obj in present}
        looked_at = set(namespaces)
        here = self.known(kind) | there
        self._versions = {key: version for key, version in self._versions.items() if key[0] != kind or key[1:] in here}
        for namespace, name in known - there:
            if looked_at and namespace not in looked_at:
                continue
            self._versions.pop((kind, namespace, name), None)
            if kind == "queue":
                self.queues.pop((namespace, name), None)
                self.changed.add((namespace, name))
                continue
            keyed = self._keyed(kind)
            for queue in [queue for queue, objects in keyed.items() if queue[0] == namespace and name in objects]:
                self._keep(keyed, queue, name, None)

    def known(self, kind: str) -> set[Key]:
        """Namespaces and names of what is known of a kind."""
        if kind == "queue":
            return set(self.queues)
        return {(queue[0], name) for queue, objects in self._keyed(kind).items() for name in objects}

    def _keyed(self, kind: str) -> dict[Key, dict[str, Any]]:
        keyed: dict[str, dict[Key, dict[str, Any]]] = {
            "deployment": self.deployments,
            "replica set": self.replica_sets,
            "pod": self.pods,
        }
        return keyed[kind]

    def _keep(self, keyed: dict[Key, dict[str, Any]], queue: Key, name: str, seen: Any) -> None:
        objects = keyed.setdefault(queue, {})
        if seen is None:
            objects.pop(name, None)
        else:
            objects[name] = seen
        if not objects:
            del keyed[queue]
        self.changed.add(queue)

    def _is_news(self, kind: str, obj: Json, event: str | None) -> bool:
        """Whether this version is newer than what is known, or as new.

        The version of what is gone is kept until the next list: the answer to a write of ours may come after the end.
        """
        key, version = (kind, *_key(obj)), int(obj["metadata"].get("resourceVersion") or 0)
        known = self._versions.get(key, -1)
        if version >= known:
            self._versions[key] = version + (event == "DELETED")
        return version >= known


def queue_document(obj: Json) -> QueueDocument:
    """What is kept of a GenerationQueue."""
    meta = obj["metadata"]
    document = {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "spec": plain(obj.get("spec")),
    }
    created = str(meta.get("creationTimestamp", ""))
    return QueueDocument(
        key=_key(obj),
        uid=str(meta.get("uid", "")),
        generation=int(meta.get("generation", 0)),
        created=created,
        document=document,
        status=plain(obj.get("status")) or {},
    )


def deployment(obj: Json) -> Deployment | None:
    """What is kept of a Deployment. None: it is not one of ours."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    labels = meta.get("labels") or {}
    if names.QUEUE not in labels or names.POOL not in labels or not _owned(meta):
        return None
    status = obj.get("status") or {}
    conditions = status.get("conditions") or ()
    failures = [
        one.get("message", "") for one in conditions if one["type"] == "ReplicaFailure" and one["status"] == "True"
    ]
    return Deployment(
        name=meta["name"],
        queue=(meta["namespace"], labels[names.QUEUE]),
        pool=labels[names.POOL],
        revision=labels.get(names.REVISION, ""),
        replicas=int(spec.get("replicas", 1)),
        generation=int(meta.get("generation", 0)),
        observed=int(status.get("observedGeneration", 0)),
        labels=_labels((spec.get("template") or {}).get("metadata") or {}),
        failure=failures[0] if failures else "",
        created=moment(meta.get("creationTimestamp")),
    )


def replica_set(obj: Json) -> ReplicaSet | None:
    """What is kept of a ReplicaSet. None: it is not one of ours."""
    meta, status = obj["metadata"], obj.get("status") or {}
    labels = _labels(meta)
    owners = [owner["name"] for owner in meta.get("ownerReferences") or () if owner.get("kind") == "Deployment"]
    if names.QUEUE not in labels or not owners:
        return None
    return ReplicaSet(
        name=meta["name"],
        queue=(meta["namespace"], labels[names.QUEUE]),
        deployment=owners[0],
        generation=int(meta.get("generation", 0)),
        observed=int(status.get("observedGeneration", 0)),
        there=int(status.get("replicas", 0)),
        ready=int(status.get("readyReplicas", 0)),
        labelled=int(status.get("fullyLabeledReplicas", 0)),
    )


def _labels(meta: Json) -> dict[str, str]:
    return dict(meta.get("labels") or {})


def _owned(meta: Json) -> bool:
    """Whether a queue owns it: a copy that somebody made has our labels, and is theirs."""
    return any(owner.get("kind") == "GenerationQueue" for owner in meta.get("ownerReferences") or ())


def pod(obj: Json) -> Pod | None:
    """What is kept of a pod. None: it is not one of ours."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    labels, annotations = _labels(meta), meta.get("annotations") or {}
    if names.QUEUE not in labels or names.POOL not in labels:
        return None
    deployment = f"{labels[names.QUEUE]}-{labels[names.POOL]}-{labels.get(names.REVISION)}"
    owners = [owner for owner in meta.get("ownerReferences") or () if owner.get("kind") == "ReplicaSet"]
    if any(not str(owner.get("name")).startswith(f"{deployment}-") for owner in owners):
        return None  # of a copy of our Deployment that somebody made
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready, scheduled = conditions.get("Ready", {}), conditions.get("PodScheduled", {})
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    unschedulable = scheduled.get("reason") == "Unschedulable"
    cost = str(annotations.get(names.DELETION_COST, "0"))
    return Pod(
        name=meta["name"],
        queue=(meta["namespace"], labels[names.QUEUE]),
        pool=labels[names.POOL],
        revision=labels.get(names.REVISION, ""),
        phase=status.get("phase", "Pending"),
        assigned=bool(spec.get("nodeName")),
        ready=ready.get("status") == "True",
        ready_since=moment(ready.get("lastTransitionTime")),
        created=moment(meta.get("creationTimestamp")),
        restarts=max((int(one.get("restartCount", 0)) for one in containers), default=0),
        terminating="deletionTimestamp" in meta,
        cost=int(cost) if re.fullmatch("[+-]?[0-9]+", cost) else 0,
        ours=cost in ("0", str(names.EMPTY_COST)),
        labels=labels,
        unschedulable_since=moment(scheduled.get("lastTransitionTime")) if unschedulable else None,
        trouble=_trouble(scheduled if unschedulable else {}, containers),
    )


def _trouble(unschedulable: Json, containers: Iterable[Json]) -> str:
    if unschedulable:
        return f"Unschedulable: {unschedulable.get('message', '')}"
    for container in containers:
        state, last = container.get("state") or {}, container.get("lastState") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or last.get("terminated") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return ": ".join(filter(None, (waiting["reason"], _end(ended) or waiting.get("message"))))
        # Between two crashes it runs for seconds; once it has started, what it died of before is past.
        if ended.get("exitCode") and not container.get("started"):
            return f"{ended.get('reason') or 'Error'}: {_end(ended)}"
    return ""


def _end(terminated: Json) -> str:
    """How a container ended, with its last words."""
    if "exitCode" not in terminated:
        return ""
    words = str(terminated.get("message") or "").strip()[-LAST_WORDS:]
    return f"exit code {terminated['exitCode']}" + (f": {words}" if words else "")


def moment(text: str | None) -> float:
    """Seconds since the epoch of a time as Kubernetes writes it; 0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def plain(value: Any) -> Any:
    """A copy in plain dicts and lists: kopf hands out read-only views."""
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _key(obj: Json) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
