"""genfleet on a cluster, installed by its chart in a namespace of its own, for tests that put work through it."""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from genfleet.contract.queue import API_VERSION, KIND
from tests.cluster.film import GPU, WORKERS
from tests.cluster.forward import Api
from tests.cluster.kubectl import Kubectl
from tests.support.helm import Release
from tests.support.waiting import wait_for

NAME = "trial-genfleet"
FOLDERS = "/var/tmp/genfleet-tests"
SHELLS = ("/usr/bin/bash", "/usr/bin/dash")
"""Of the images, which have them for those who build upon them."""
SMALL = {"requests": {"cpu": "10m", "memory": "32Mi"}}

Document = dict[str, Any]


class Mark(NamedTuple):
    """What the engine of these tests left behind."""

    what: str
    task: str
    token: int
    pod: str


def images() -> tuple[Document, Document]:
    """Of API and worker, as the chart's values."""
    named = [os.environ.get(name, "") for name in ("GENFLEET_API_IMAGE", "GENFLEET_WORKER_IMAGE")]
    if not all(named):
        pytest.skip("no images: name them in GENFLEET_API_IMAGE and GENFLEET_WORKER_IMAGE")
    api, worker = ({"repository": image.rpartition(":")[0], "tag": image.rpartition(":")[2]} for image in named)
    return api, worker


UNLIMITED = [
    {"name": f"GENFLEET_{limit}", "value": "0"}
    for limit in ("SUBMISSIONS_PER_MINUTE", "STATUS_READS_PER_MINUTE", "PROJECT_TASKS")
]
"""Tests submit and look as fast as they can, which a client may not."""


def values(**workers: Any) -> Document:
    """Two operators, one API, Redis and media on volumes that outlive their pods."""
    api, worker = images()
    return {
        "image": api,
        "workers": {"image": worker, "resources": SMALL, **workers},
        "api": {"replicas": 1, "resources": SMALL, "env": UNLIMITED},
        "operator": {"replicas": 2, "resources": SMALL},
        "redis": {"bundled": {"persistence": {"existingClaim": "redis"}, "resources": SMALL}},
        "media": {"persistence": {"existingClaim": "media"}},
        # Where the network plugin enforces them, every test has to do with what they allow.
        "networkPolicy": {"enabled": True},
    }


def with_marks(*env: Document) -> Document:
    """The same, with the engine that works as long as a task says."""
    # A file that cannot be run in place of each shell: workers need none.
    shells = [{"name": "engine", "mountPath": shell, "subPath": "engine.py"} for shell in SHELLS]
    container = {"name": "worker", "volumeMounts": [{"name": "engine", "mountPath": "/opt/extra"}, *shells]}
    volume = {"name": "engine", "configMap": {"name": "engine"}}
    return values(
        env=[
            {"name": "GENFLEET_ENGINES", "value": "engine:engines"},
            {"name": "PYTHONPATH", "value": "/opt/extra"},
            *env,
        ],
        podTemplate={"spec": {"containers": [container], "volumes": [volume]}},
    )


@dataclass(slots=True)
class Installation:
    """What a user has: kubectl, helm and the API's address."""

    kubectl: Kubectl
    namespace: str
    node: str
    release: Release = field(init=False)
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        """Fill in what follows from the namespace."""
        self.release = Release("trial", self.namespace)
        self.api = Api(self.namespace, f"service/{NAME}-api", "")

    @property
    def label(self) -> str:
        """Of the node, for as long as this is installed there."""
        return f"genfleet.dev/{self.namespace}"

    # -- kubectl -------------------------------------------------------------------------------------------------------

    def run(self, *args: str, **more: Any) -> str:
        """Kubectl, in this namespace."""
        return self.kubectl("-n", self.namespace, *args, **more)

    def found(self, *args: str) -> list[Document]:
        """What `kubectl get` finds."""
        found: list[Document] = json.loads(self.run("get", *args, "-o", "json"))["items"]
        return found

    def declare(self, name: str, **spec: Any) -> None:
        """`kubectl apply` of a queue."""
        document = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}
        self.run("apply", "-f", "-", give=document)

    def status(self, queue: str) -> Document:
        """Of a queue."""
        found: Document = json.loads(self.run("get", "gq", queue, "-o", "json")).get("status", {})
        return found

    def workers(self) -> list[Document]:
        """The pods of all workers that were not told to end."""
        pods = self.found("pods", "-l", WORKERS)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def ready_workers(self) -> set[str]:
        """Names of those that have passed their startup probe."""
        return {
            pod["metadata"]["name"]
            for pod in self.workers()
            if all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": False}]))
        }

    def deployments(self) -> dict[str, int]:
        """Replicas of the workers' Deployments."""
        return {each["metadata"]["name"]: each["spec"]["replicas"] for each in self.found("deployments", "-l", WORKERS)}

    def kill(self, pod: str) -> None:
        """Without a word to it."""
        self.run("delete", "pod", pod, "--force", "--grace-period=0", "--wait=false")

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def submit(self, body: Document) -> str:
        """The id of a task that was accepted."""
        response = self.api.post("/api/v1/tasks/submit", body)
        assert response.is_success, response.text
        task_id: str = response.json()["task_id"]
        return task_id

    def work(self, seconds: float) -> str:
        """A task for queue gpu_medium that takes so long."""
        return self.submit({"project_id": "p", "task_type": "generate_image", "task_data": {"seconds": seconds}})

    def task(self, task_id: str) -> Document:
        """How a task is."""
        status: Document = self.api.get(f"/api/v1/tasks/{task_id}/status").json()
        return status

    def completed(self, *task_ids: str, within: float) -> None:
        """Wait until all these have completed."""
        deadline = time.monotonic() + within
        for task_id in task_ids:
            left = max(0.1, deadline - time.monotonic())
            wait_for(f"{task_id} ends", lambda: self.task(task_id)["completed_at"], within=left)  # noqa: B023
            status = self.task(task_id)
            assert status["status"] == "completed", status

    def marks(self, what: str, *task_ids: str) -> list[Mark]:
        """Of these tasks, or of all, in the order in which they were left."""
        response = self.api.get("/media/marks.txt")
        if not response.is_success:  # nobody has worked so far
            return []
        rows = [line.split() for line in response.text.splitlines()]
        marks = [Mark(kind, task, int(token), pod) for kind, task, token, pod in rows]
        return [mark for mark in marks if mark.what == what and (not task_ids or mark.task in task_ids)]

    def started(self, *task_ids: str, within: float = 60) -> dict[str, str]:
        """The pods at work on these tasks, once all have started."""
        wait_for("all tasks start", lambda: len(self.marks("start", *task_ids)) >= len(task_ids), within=within)
        return {mark.task: mark.pod for mark in self.marks("start", *task_ids)}

    def count(self) -> int:
        """How many tasks have completed, as the API counts them."""
        number: int = self.api.get("/api/v1/tasks/metrics").json()["metrics"]["completed_tasks"]
        return number

    # -- operators -----------------------------------------------------------------------------------------------------

    def leader(self) -> str:
        """The pod that holds the lease."""
        lease = self.run("get", "lease", f"{NAME}-operator", "-o", "jsonpath={.spec.holderIdentity}")
        operators = self.run("get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "name")
        return lease if f"pod/{lease}" in operators.split() else ""

    def metric(self, name: str, *labels: str) -> float:
        """A metric of the leader; 0 if it does not have it."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{self.leader()}:8080/proxy/metrics"
        for line in self.kubectl("get", "--raw", path).splitlines():
            series, _, number = line.rpartition(" ")
            if series.startswith(name) and all(label in series for label in labels):
                return float(number)
        return 0.0

    def logs(self) -> str:
        """The last of what operators and workers logged."""
        parts = ("app.kubernetes.io/component=operator", WORKERS)
        return "\n".join(self.run("logs", "-l", part, "--prefix", "--tail=60", "--ignore-errors") for part in parts)

    # -- before and after ----------------------------------------------------------------------------------------------

    def install(self, chosen: Document) -> None:
        """`helm install`, by a user who may run nothing special here; then wait until the API answers."""
        self.on_node(f"mkdir -p -m 0777 /all/{self.namespace}/media /all/{self.namespace}/redis")
        for claim in ("media", "redis"):
            self._claim(claim)
        engine = (Path(__file__).parent / "engine.py").read_text()
        self.run("create", "configmap", "engine", f"--from-literal=engine.py={engine}")
        self.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        self.release.install(chosen)
        for program in ("statefulset/{}-redis", "deployment/{}-api", "deployment/{}-operator"):
            self.run("rollout", "status", program.format(NAME), "--timeout=80s")
        key = self.run("get", "secret", f"{NAME}-api", "-o", "jsonpath={.data.api-key}")
        self.api.key = base64.b64decode(key).decode()
        wait_for("an operator leads", self.leader, within=30)

    def remove(self) -> None:
        """Everything, also what was written on the node."""
        self.api.close()
        self.release.uninstall()
        self.run("delete", "gq", "--all")
        wait_for("no pod is left", lambda: not self.found("pods"), within=60)
        self.run("delete", "pvc", "--all")
        self.kubectl("delete", "pv", *(f"{self.namespace}-{claim}" for claim in ("media", "redis")))
        self.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce-")
        self.on_node(f"rm -rf /all/{self.namespace}")

    def on_node(self, command: str) -> None:
        """A command as root, with the node's folder of these tests at /all."""
        name = f"node-{uuid.uuid4().hex[:4]}"
        api, _ = images()
        container = {
            "name": "root",
            "image": f"{api['repository']}:{api['tag']}",
            "command": ["sh", "-c", command],
            "securityContext": {"runAsUser": 0},
            "volumeMounts": [{"name": "all", "mountPath": "/all"}],
        }
        folder = {"name": "all", "hostPath": {"path": FOLDERS, "type": "DirectoryOrCreate"}}
        spec = {"nodeName": self.node, "restartPolicy": "Never", "containers": [container], "volumes": [folder]}
        self.run("apply", "-f", "-", give={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        self.run("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
        self.run("delete", "pod", name, "--wait=false")

    def _claim(self, claim: str) -> None:
        """A folder of the node, as a volume that only this namespace gets."""
        volume = f"{self.namespace}-{claim}"
        common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        host = {"key": "kubernetes.io/hostname", "operator": "In", "values": [self.node]}
        self.kubectl(
            *("apply", "-f", "-"),
            give={
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": volume},
                "spec": {
                    **common,
                    "capacity": {"storage": "1Gi"},
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": f"{FOLDERS}/{self.namespace}/{claim}"},
                    "claimRef": {"namespace": self.namespace, "name": claim},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
                },
            },
        )
        self.run(
            *("apply", "-f", "-"),
            give={
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": claim},
                "spec": {**common, "volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}},
            },
        )


@contextmanager
def installed(kubectl: Kubectl, namespace: str, chosen: Callable[[], Document]) -> Iterator[Installation]:
    """An installation, which is gone afterwards."""
    wanted = chosen()
    node = roomiest(kubectl)
    made = Installation(kubectl, namespace, node)
    kubectl("label", "node", node, f"{made.label}=here")
    try:
        made.install(wanted)
        yield made
    finally:
        made.remove()
        kubectl("label", "node", node, f"{made.label}-")


def roomiest(kubectl: Kubectl) -> str:
    """A real node that takes any pod; one with GPUs if there is one."""
    nodes = [
        node
        for node in json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
        if not node["spec"].get("taints") and not node["spec"].get("unschedulable")
    ]
    assert nodes, "no node takes any pod"
    node = max(nodes, key=lambda each: int(each["status"]["allocatable"].get(GPU, 0)))
    name: str = node["metadata"]["name"]
    return name


def gpus_of(kubectl: Kubectl, node: str) -> int:
    """GPUs that a node offers."""
    allocatable = json.loads(kubectl("get", "node", node, "-o", "json"))["status"]["allocatable"]
    return int(allocatable.get(GPU, 0))
