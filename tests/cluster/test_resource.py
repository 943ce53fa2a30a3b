"""The GenerationQueue resource on a real API server: what it takes, what it refuses, and how it reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from genfleet.contract.queue import API_VERSION, KIND, GenerationQueue
from genfleet.contract.reasons import Reason
from genfleet.contract.status import QueueStatus
from genfleet.scaling.policy import Policy
from tests.cluster.kubectl import CRD, Kubectl
from tests.support.bad_queues import BAD_QUEUES, BadQueue

pytestmark = pytest.mark.usefixtures("crd")


def queue(**spec: Any) -> dict[str, Any]:
    """A queue named x, with this spec."""
    metadata = {"name": "x"}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {"queue": "gpu_heavy"} | spec}


def stored(kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    """The queue as the API server keeps it."""
    document: dict[str, Any] = json.loads(kubectl("get", "gq", "x", "-n", namespace, "-o", "json"))
    return document


def test_the_definition_is_structural(kubectl: Kubectl) -> None:
    """The API server took it, with every rule within its budget, and has no complaint about the schema."""
    conditions = json.loads(kubectl("get", "crd", CRD.stem, "-o", "json"))["status"]["conditions"]
    assert {each["type"]: each["status"] for each in conditions} == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("bad", BAD_QUEUES, ids=lambda bad: bad.id)
def test_a_bad_queue_is_refused(bad: BadQueue, kubectl: Kubectl) -> None:
    """`kubectl apply` of each wrong resource fails with a message that says what to change."""
    said = kubectl("apply", "--dry-run=server", "-f", "-", give=bad.document, fails=True)
    for words in bad.server or (bad.says,):
        assert words in said


def test_a_queue_is_completed_with_its_defaults(kubectl: Kubectl, namespace: str) -> None:
    """The least that declares a queue is taken, is shown with its defaults, and means the same as without them."""
    kubectl("apply", "-n", namespace, "-f", "-", give=queue())
    document = stored(kubectl, namespace)
    assert document["spec"] == {
        "queue": "gpu_heavy",
        "concurrency": 1,
        "scaling": {"minReplicas": 0, "maxReplicas": 10, "cooldownSeconds": 120},
        "pools": [{"name": "default", "class": "cpu"}],
        "paused": False,
    }
    assert Policy.of(GenerationQueue.parse(document, source="cluster")) == Policy.of(
        GenerationQueue.parse(queue(), source="file")
    )


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client side", "server side"])
def test_the_kind_of_target_can_be_changed(how: tuple[str, ...], kubectl: Kubectl, namespace: str) -> None:
    """From the default to tasksPerWorker and on to waitSeconds: no earlier target stays beside the new one."""
    for scaling in ({}, {"target": {"tasksPerWorker": 2}}, {"target": {"waitSeconds": 30}}):
        kubectl("apply", *how, "-n", namespace, "-f", "-", give=queue(scaling=scaling))
        assert stored(kubectl, namespace)["spec"]["scaling"].get("target") == scaling.get("target")


def test_another_person_can_replace_the_target(kubectl: Kubectl, namespace: str) -> None:
    """Whoever takes the target over by server-side apply gets it whole, whatever kind it was."""
    first, second = {"target": {"waitSeconds": 30}}, {"target": {"tasksPerWorker": 2}}
    apply = ("apply", "--server-side", "-n", namespace, "-f", "-")
    kubectl(*apply, "--field-manager=first", give=queue(scaling=first))
    kubectl(*apply, "--field-manager=second", "--force-conflicts", give=queue(scaling=second))
    assert stored(kubectl, namespace)["spec"]["scaling"]["target"] == {"tasksPerWorker": 2}


def test_a_pod_template_is_kept_whole(kubectl: Kubectl, namespace: str) -> None:
    """Whatever is in a pool's template comes back, and amounts may be numbers or text."""
    template = {"spec": {"priorityClassName": "batch", "containers": [{"name": "worker", "env": [{"name": "A"}]}]}}
    pool = {"name": "a", "resources": {"requests": {"cpu": 2, "memory": "1.5Gi"}}, "template": template}
    kubectl("apply", "-n", namespace, "-f", "-", give=queue(pools=[pool]))
    assert stored(kubectl, namespace)["spec"]["pools"] == [pool | {"class": "cpu"}]


def test_explain_reads_like_documentation(kubectl: Kubectl) -> None:
    """`kubectl explain` tells the meaning, the unit and the default of each field."""
    said = " ".join(kubectl("explain", "gq.spec.scaling").split())
    for words in (
        "How many workers there may be, and how fast they come and go.",
        "a worker that holds a task is never stopped",
        "Left out: {waitSeconds: 60}.",
        "Seconds a worker may idle before it leaves.",
        "Default: 120.",
    ):
        assert words in said


def test_scale_sets_the_workers_kept_warm(kubectl: Kubectl, namespace: str) -> None:
    """`kubectl scale` sets minReplicas, within the same rules."""
    kubectl("apply", "-n", namespace, "-f", "-", give=queue())
    kubectl("scale", "gq", "x", "--replicas=3", "-n", namespace)
    assert stored(kubectl, namespace)["spec"]["scaling"]["minReplicas"] == 3
    said = kubectl("scale", "gq", "x", "--replicas=11", "-n", namespace, fails=True)
    assert "spec.scaling.minReplicas (11) must not be above spec.scaling.maxReplicas (10)" in said


def test_the_queue_of_the_broker_stays(kubectl: Kubectl, namespace: str) -> None:
    """spec.queue cannot be changed: old workers would hold tasks of a queue that nobody watches."""
    kubectl("apply", "-n", namespace, "-f", "-", give=queue())
    said = kubectl("apply", "-n", namespace, "-f", "-", give=queue(queue="gpu_medium"), fails=True)
    assert "spec.queue cannot be changed" in said
    assert "make another" in said


def test_a_whole_status_is_kept(kubectl: Kubectl, namespace: str) -> None:
    """Every field that the operator reports comes back as it was written, and `kubectl wait` sees the condition."""
    time = "2026-11-23T15:33:42Z"
    status = QueueStatus.model_validate(
        {
            "observedGeneration": 1,
            "waiting": 5,
            "running": 1,
            "oldestWaitSeconds": 7,
            "desired": 2,
            "replicas": 2,
            "ready": 1,
            "draining": 1,
            "workers": "1/2",
            "selector": "genfleet.dev/queue=x",
            "lastDecision": {"replicas": 2, "reason": Reason.DEMAND_ROSE, "message": "5 waiting", "time": time},
            "pools": [
                {"name": "default", "deployment": "x-default-0a1b2c3d", "replicas": 2, "ready": 1, "message": "no room"}
            ],
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "AsWanted",
                    "lastTransitionTime": time,
                    "observedGeneration": 1,
                }
            ],
        }
    ).model_dump(mode="json", exclude_none=True)
    kubectl("apply", "-n", namespace, "-f", "-", give=queue())
    patch = ("patch", "gq", "x", "-n", namespace, "--subresource=status", "--type=merge", "-p")
    kubectl(*patch, json.dumps({"status": status}))
    assert stored(kubectl, namespace)["status"] == status
    kubectl("wait", "--for=condition=Ready", "--timeout=5s", "gq/x", "-n", namespace)


def test_a_list_shows_what_matters(kubectl: Kubectl, namespace: str) -> None:
    """`kubectl get gq` shows the queue, its work and its workers, and why there are so many, and what is wrong; `-o wide` more."""
    kubectl("apply", "-n", namespace, "-f", "-", give=queue())
    decision = {"replicas": 2, "reason": "DemandRose", "message": "5 waiting", "time": "2026-11-23T15:33:42Z"}
    status = {
        "waiting": 5,
        "running": 1,
        "workers": "1/2",
        "oldestWaitSeconds": 7,
        "desired": 2,
        "lastDecision": decision,
        "degraded": "Unschedulable",
        "message": "No GPU",
    }
    patch = json.dumps({"status": status})
    kubectl("patch", "gq", "x", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    heading, row = kubectl("get", "gq", "-n", namespace).splitlines()
    assert heading.split() == [
        "NAME",
        "QUEUE",
        "WAITING",
        "RUNNING",
        "WORKERS",
        "OLDEST",
        "S",
        "REASON",
        "DEGRADED",
        "AGE",
    ]
    assert row.split()[:-1] == ["x", "gpu_heavy", "5", "1", "1/2", "7", "DemandRose", "Unschedulable"]
    heading, row = kubectl("get", "gq", "-n", namespace, "-o", "wide").splitlines()
    assert heading.split()[10:] == ["DESIRED", "MIN", "MAX", "PAUSED", "MESSAGE"]
    assert row.split()[9:] == ["2", "0", "10", "false", "No", "GPU"]
    assert "generationqueue.genfleet.dev/x" in kubectl("get", "all", "-n", namespace, "-o", "name")
