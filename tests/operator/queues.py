"""Queues, pods and Deployments to begin a test with: valid as they are, and a test changes what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from genfleet.contract.queue import GenerationQueue
from genfleet.store.records import QueueSeen, WorkerSeen
from genfleet_operator import names
from genfleet_operator.blueprint import Blueprint, Installation, blueprint
from genfleet_operator.sight import deployment_of
from genfleet_operator.world import Deployment, Pod, QueueDocument, ReplicaSet

KEY = ("studio", "video")
UID = "0b8a0f6e-1c1a-4a57-9f0e-6f5f0a3c2d11"
NOW = 1_800_000_000.0
INSTALLATION = Installation("registry.example/genfleet-worker:1")
LABELS = {names.KEPT: names.IS_KEPT}
CHEAP: dict[str, Any] = {"cost": names.EMPTY_COST, "labels": {names.KEPT: names.MAY_GO}}
"""Of a pod whose worker may go."""


def document(*pools: Mapping[str, Any], name: str = "video", **spec: Any) -> dict[str, Any]:
    """A GenerationQueue as it is written."""
    return {
        "apiVersion": "genfleet.dev/v1alpha1",
        "kind": "GenerationQueue",
        "metadata": {"name": name, "namespace": "studio"},
        "spec": {"queue": "gpu_heavy", **({"pools": list(pools)} if pools else {}), **spec},
    }


def queue(*pools: Mapping[str, Any], **spec: Any) -> GenerationQueue:
    """A GenerationQueue."""
    return GenerationQueue.parse(document(*pools, **spec), source="a test")


def kept(*pools: Mapping[str, Any], generation: int = 1, **spec: Any) -> QueueDocument:
    """A GenerationQueue as the operator keeps it before it is checked."""
    return QueueDocument(KEY, UID, generation, "2026-11-23T10:00:00Z", document(*pools, **spec))


def plan(template: Mapping[str, Any] | None = None, installation: Installation = INSTALLATION) -> Blueprint:
    """The blueprint of the only pool of a queue."""
    one = queue({"name": "spot", "template": dict(template or {})})
    return blueprint(one, UID, one.spec.pools[0], installation)


def container(**fields: Any) -> dict[str, Any]:
    """A pod template that changes the worker's container."""
    return {"spec": {"containers": [{"name": names.CONTAINER, **fields}]}}


def deployment(of: Blueprint, replicas: int, **changes: Any) -> Deployment:
    """A Deployment made from a blueprint."""
    fields: dict[str, Any] = {
        "name": of.deployment,
        "queue": KEY,
        "pool": of.pool,
        "revision": of.revision,
        "replicas": replicas,
        "generation": 1,
        "observed": 1,
        "labels": LABELS,
        "failure": "",
    }
    return Deployment(**(fields | changes))


def replica_set(of: Deployment, *pods: Pod, **changes: Any) -> ReplicaSet:
    """The ReplicaSet of a Deployment. It has seen these pods as they are."""
    fields: dict[str, Any] = {
        "name": f"{of.name}-1",
        "queue": KEY,
        "deployment": of.name,
        "generation": 1,
        "observed": 1,
        "there": sum(one.active for one in pods),
        "ready": sum(one.active and one.ready for one in pods),
        "labelled": sum(one.active and one.labels == LABELS for one in pods),
    }
    return ReplicaSet(**(fields | changes))


def replica_sets(deployments: Iterable[Deployment], pods: Iterable[Pod]) -> list[ReplicaSet]:
    """Those of these Deployments, which have seen everything."""
    return [replica_set(one, *(pod for pod in pods if deployment_of(pod) == one.name)) for one in deployments]


def pod(of: Blueprint, name: str, **changes: Any) -> Pod:
    """A pod made from a blueprint: it runs, and is ready."""
    fields: dict[str, Any] = {
        "name": name,
        "queue": KEY,
        "pool": of.pool,
        "revision": of.revision,
        "phase": "Running",
        "assigned": True,
        "ready": True,
        "ready_since": NOW - 600,
        "created": NOW - 700,
        "restarts": 0,
        "terminating": False,
        "cost": 0,
        "ours": True,
        "labels": LABELS,
        "unschedulable_since": None,
        "trouble": "",
    }
    return Pod(**(fields | changes))


def beat(of: Pod, phase: str = "ready", *, running: int = 0, draining: bool = False) -> WorkerSeen:
    """What the worker of a pod said last."""
    return WorkerSeen(of.worker, {"phase": phase, "running": running}, running, 500, draining)


def look(*beats: WorkerSeen, waiting: int = 0, running: int = 0) -> QueueSeen:
    """What Redis says of the queue."""
    return QueueSeen("gpu_heavy", waiting, running, 0, 0, 2500 if waiting else None, None, beats, None)
