"""What a pool's workers look like in the cluster: pure functions from a queue and the installation to a Deployment.

Each revision of a pod template is a Deployment of its own, with the revision in its name. A changed template inside
one Deployment would make Kubernetes replace pods at once, busy ones too; so the old Deployment stays, untouched, until
the last of its workers has finished. See docs/decisions/0010-a-deployment-for-each-revision.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from genfleet.contract.pools import Pool
from genfleet.contract.queue import GenerationQueue
from genfleet.contract.task_types import TASK_TYPES
from genfleet.errors import ConfigurationError
from genfleet_operator import names
from genfleet_operator.guard import complaint, images, is_allowed, reaches
from genfleet_operator.merge import laid, merged

Manifest = dict[str, Any]

GPU = "nvidia.com/gpu"
BEAT_FILE = "/tmp/beat"  # noqa: S108  in the pod's own empty folder
STOP_GRACE_S = 30
"""What a cancelled task has between SIGTERM and SIGKILL; a worker's default."""
LEAVE_S = 15
"""What a worker needs to hand back its tasks and say goodbye, before Kubernetes kills it."""
LONGEST_UNKNOWN_S = 600
"""Longest task of a queue whose types this version does not know."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is the same for all workers of this installation."""

    image: str
    template: Manifest = field(default_factory=dict)
    trust_templates: bool = False
    allowed_images: tuple[str, ...] = ()
    """Repositories whose images a pool's template may name; none: any."""
    any_queue: bool = False
    """Whether workers are started for a queue that no task type of this version is routed to: theirs may know more."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One of the revisions of a pool."""

    pool: str
    revision: str
    deployment: str
    """Name of the Deployment."""


@dataclass(frozen=True, slots=True)
class Blueprint(Revision):
    """The revision of a pool that its resource asks for."""

    manifest: Manifest
    """The Deployment, without a number of replicas."""
    layers: Mapping[str, Manifest] = field(default_factory=dict)
    """What of its pod template people wrote, by the name of the place, the most special last."""

    def with_replicas(self, replicas: int) -> Manifest:
        """The Deployment for so many workers."""
        return {**self.manifest, "spec": {**self.manifest["spec"], "replicas": replicas}}


def blueprint(queue: GenerationQueue, uid: str, pool: Pool, installation: Installation) -> Blueprint:
    """The Deployment of a pool. Raises ConfigurationError for a template that may not be."""
    try:
        template = pod_template(queue, pool, installation)
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # the schema lets any template through
        raise ConfigurationError(
            f"pool {pool.name!r}: template does not have the shape of a pod template ({error}): compare it with "
            "`kubectl explain pod.spec`"
        ) from error
    revision = hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]
    labels = {**_labels(queue, pool), names.REVISION: revision}
    template = merged(template, {"metadata": {"labels": {**labels, names.KEPT: names.IS_KEPT}}})
    name = f"{queue.metadata.name}-{pool.name}-{revision}"
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": queue.metadata.namespace,
            "labels": labels,
            "ownerReferences": [_owner(queue, uid)],
        },
        "spec": {
            "selector": {"matchLabels": {key: labels[key] for key in (names.QUEUE, names.POOL, names.REVISION)}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "revisionHistoryLimit": 0,  # a revision has a Deployment of its own
            "template": template,
        },
    }
    layers = {
        "workers.podTemplate (the installation's template)": installation.template,
        f"pool {pool.name!r}: template": pool.template,
    }
    return Blueprint(pool.name, revision, name, manifest, layers)


def selector(queue: GenerationQueue) -> str:
    """Of the pods of all pools."""
    return f"{names.QUEUE}={queue.metadata.name},{names.OURS}"


def pod_template(queue: GenerationQueue, pool: Pool, installation: Installation) -> Manifest:
    """From the most general to the most special: ours, the installation's, the pool's fields, the pool's template."""
    ours = laid((_ground(queue, installation.image), installation.template, _fields(pool)))
    template = merged(ours, pool.template)
    faults = set() if installation.trust_templates else reaches(template) - reaches(ours)
    if faults:
        raise ConfigurationError(
            f"pool {pool.name!r}: template {complaint(faults)}; or let the operator trust templates (the chart's "
            "operator.trustTemplates, GENFLEET_TRUST_TEMPLATES)"
        )
    if installation.allowed_images:
        _check_images(images(template) - images(ours), pool, installation.allowed_images)
    _worker(template, pool)
    # By these the operator knows its workers again: no template changes them.
    template = merged(template, _container(env=_environment(queue)))
    worker = _worker(template, pool)
    if not worker.get("image"):
        raise ConfigurationError(f"pool {pool.name!r}: no image: set GENFLEET_WORKER_IMAGE, or image in its template")
    complete: Manifest = merged(template, _grace(queue, template, worker))
    return complete


def _check_images(named: set[str], pool: Pool, allowed: tuple[str, ...]) -> None:
    for image in sorted(named):
        if not is_allowed(image, allowed):
            raise ConfigurationError(
                f"pool {pool.name!r}: template names image {image!r}, which is not of {', '.join(allowed)}: use one that is, or "
                "allow it (the chart's operator.allowedImages, GENFLEET_ALLOWED_IMAGES)"
            )


def _labels(queue: GenerationQueue, pool: Pool) -> dict[str, str]:
    return {
        names.APP: "genfleet-worker",
        names.MANAGED_BY: names.MANAGER,
        names.QUEUE: queue.metadata.name,
        names.POOL: pool.name,
    }


def _owner(queue: GenerationQueue, uid: str) -> Manifest:
    """Kubernetes removes what has lost its owner, also when no operator runs."""
    return {
        "apiVersion": queue.api_version,
        "kind": queue.kind,
        "name": queue.metadata.name,
        "uid": uid,
        "controller": True,
    }


def _ground(queue: GenerationQueue, image: str) -> Manifest:
    """What every worker has."""
    return {
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # As process 1, a worker that still starts would ignore SIGTERM, and hold its GPU for the whole grace.
            "shareProcessNamespace": True,
            "securityContext": {
                "runAsNonRoot": True,
                "fsGroup": 10001,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": names.CONTAINER,
                    "image": image,
                    "command": ["genfleet-worker"],
                    # What it says when it ends is in its pod's status then, and from there in its queue's.
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "env": _environment(queue),
                    "startupProbe": _probe("--startup", period=2, failures=450),  # images and models may be large
                    "livenessProbe": _probe("60", period=20, failures=3),  # seconds that the main loop may stand still
                    # No readiness probe: nobody sends requests here, and a ReplicaSet removes unready pods first, so
                    # one slow answer could cost a busy worker.
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108
                }
            ],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},  # locks of the pool, tensors
            ],
        }
    }


def _environment(queue: GenerationQueue) -> list[Manifest]:
    return [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "GENFLEET_WORKER_NAME", "value": names.worker_id("$(POD_NAME)", "$(POD_NAMESPACE)")},
        {"name": "GENFLEET_QUEUE", "value": queue.spec.queue},
        {"name": "GENFLEET_CONCURRENCY", "value": str(queue.spec.concurrency)},
        {"name": "GENFLEET_BEAT_FILE", "value": BEAT_FILE},
    ]


def _probe(*arguments: str, period: int, failures: int) -> Manifest:
    return {
        "exec": {"command": ["python", "-m", "genfleet_workers.probe", *arguments]},
        "periodSeconds": period,
        "timeoutSeconds": 10,
        "failureThreshold": failures,
    }


def _fields(pool: Pool) -> Manifest:
    """What the fields of a pool say."""
    gpus = {GPU: str(pool.gpu_count)} if pool.gpu_count else {}
    requests, limits = {**pool.resources.requests, **gpus}, {**pool.resources.limits, **gpus}
    resources = {name: values for name, values in (("requests", requests), ("limits", limits)) if values}
    said: Manifest = {"resources": resources} if resources else {}
    if pool.gpu_count:
        said["env"] = [{"name": "GENFLEET_GPUS", "value": str(pool.gpu_count)}]
    spec: Manifest = _container(**said)["spec"] if said else {}
    if pool.node_selector:
        spec["nodeSelector"] = dict(pool.node_selector)
    if pool.tolerations:
        spec["tolerations"] = [toleration.model_dump(exclude_none=True) for toleration in pool.tolerations]
    return {"spec": spec}


def _worker(template: Manifest, pool: Pool) -> Manifest:
    for container in template["spec"].get("containers", []):
        if container.get("name") == names.CONTAINER:
            if any("name" not in entry for entry in container.get("env", [])):
                raise TypeError("env: each entry has a name")
            return dict(container)
    raise ConfigurationError(f"pool {pool.name!r}: template removes the container {names.CONTAINER!r}: keep it")


def _grace(queue: GenerationQueue, template: Manifest, worker: Manifest) -> Manifest:
    """How long a worker that is told to end may go on: its longest task, unless a template says otherwise.

    The worker is told less than Kubernetes, so that it can hand back in time what will not be finished.
    """
    environment = {entry["name"]: entry.get("value") for entry in worker.get("env", [])}
    grace = template["spec"].get("terminationGracePeriodSeconds")
    if grace is None:
        grace = _longest(queue.spec.queue, environment.get("GENFLEET_TIME_LIMITS")) + STOP_GRACE_S + LEAVE_S
    drain = min(float(environment.get("GENFLEET_DRAIN_SECONDS") or grace), max(0, grace - LEAVE_S))
    told = _container(env=[{"name": "GENFLEET_DRAIN_SECONDS", "value": f"{drain:g}"}])
    told["spec"]["terminationGracePeriodSeconds"] = grace
    return told


def _container(**fields: Any) -> Manifest:
    """A layer that says something of the worker's container alone."""
    return {"spec": {"containers": [{"name": names.CONTAINER, **fields}]}}


def _longest(queue: str, time_limits: str | None) -> int:
    """Seconds that the longest task of a queue may take; limits that templates set count."""
    try:
        given: Mapping[str, Any] = orjson.loads(time_limits) if time_limits else {}
        hard = [
            float(given[row.name][1]) if row.name in given else row.hard_limit.total_seconds()
            for row in TASK_TYPES.values()
            if row.queue == queue
        ]
    except (ValueError, TypeError, LookupError) as error:
        raise ConfigurationError(f"GENFLEET_TIME_LIMITS in a template: {error}") from error
    return round(max(hard, default=LONGEST_UNKNOWN_S))
