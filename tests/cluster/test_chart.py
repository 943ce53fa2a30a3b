"""The chart on a real cluster: one command installs it; upgrade, rollback and uninstall leave the right things.

The pods run the images that GENFLEET_API_IMAGE and GENFLEET_WORKER_IMAGE name.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from genfleet.contract.queue import API_VERSION, KIND
from tests.cluster.kubectl import CRD, Kubectl
from tests.support.helm import CHART, ENVIRONMENTS, HOST, Release
from tests.support.rendered import manifests, merged
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

KEPT = ("api-key", "password", "url")
"""Entries of Secrets that no upgrade may change."""

QUEUES = {"gpu-medium": {"queue": "gpu_medium", "concurrency": 4, "scaling": {"maxReplicas": 3}}}


def values() -> dict[str, Any]:
    """What fits into any cluster: no volumes, one pod of each, the images under test."""
    images = [os.environ.get(name, "") for name in ("GENFLEET_API_IMAGE", "GENFLEET_WORKER_IMAGE")]
    if not all(images):
        pytest.skip("no images: name them in GENFLEET_API_IMAGE and GENFLEET_WORKER_IMAGE")
    api, worker = ({"repository": image.rpartition(":")[0], "tag": image.rpartition(":")[2]} for image in images)
    return {
        "image": api,
        "workers": {"image": worker},
        "api": {"replicas": 1, "resources": {"requests": {"cpu": "10m"}}},
        "operator": {"replicas": 1, "resources": {"requests": {"cpu": "10m"}}},
        "redis": {"bundled": {"persistence": {"enabled": False}, "resources": {"requests": {"cpu": "10m"}}}},
        "media": {"volume": {"emptyDir": {}}},
        "queues": QUEUES,
    }


@pytest.fixture
def restricted(kubectl: Kubectl, namespace: str) -> str:
    """A namespace that takes only pods that keep to the strictest of Kubernetes' standards."""
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    return namespace


@pytest.fixture
def release(restricted: str) -> Iterator[Release]:
    """A release that is uninstalled in the end."""
    made = Release("trial", restricted)
    yield made
    made.uninstall()


@pytest.fixture
def unknown(kubectl: Kubectl) -> None:
    """A cluster that does not know what a GenerationQueue is. The definition is only taken away where that is allowed."""
    if not kubectl("get", "crd", CRD.stem, "--ignore-not-found"):
        return
    if not os.environ.get("GENFLEET_CLUSTER_IS_OURS"):
        pytest.skip("the cluster knows GenerationQueue: set GENFLEET_CLUSTER_IS_OURS=1 where nobody else uses it")
    if kubectl("get", "generationqueues", "-A", "-o", "name"):
        pytest.skip("there are queues in this cluster: their definition cannot be taken away")
    kubectl("delete", "crd", CRD.stem)


@pytest.fixture
def newer(kubectl: Kubectl, tmp_path: Path) -> Iterator[Path]:
    """A later version of the chart, whose queues have one field more. Afterwards the definition is as in this tree."""
    chart = tmp_path / "genfleet"
    shutil.copytree(CHART, chart)
    definition = chart / "crds" / CRD.name
    crd = yaml.safe_load(definition.read_text())
    crd["metadata"]["annotations"] = {"genfleet.dev/schema": "another", "genfleet.dev/version": "99.0.0"}
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["motto"] = {"type": "string"}
    definition.write_text(yaml.safe_dump(crd))
    checks = chart / "values.schema.json"
    allowed = json.loads(checks.read_text())
    allowed["$defs"]["Spec"]["properties"]["motto"] = {"type": "string"}
    checks.write_text(json.dumps(allowed))
    yield chart
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHART / "crds"))


def secrets(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    """What the chart keeps secret, by entry."""
    found = json.loads(
        kubectl("get", "secrets", "-n", namespace, "-l", "app.kubernetes.io/part-of=genfleet", "-o", "json")
    )
    return {key: base64.b64decode(text).decode() for each in found["items"] for key, text in each["data"].items()}


def names(kubectl: Kubectl, namespace: str, kinds: str) -> set[str]:
    """Of these kinds, what is in the namespace."""
    return set(kubectl("get", kinds, "-n", namespace, "-o", "name").split())


@pytest.mark.usefixtures("unknown")
def test_one_command_installs_everything(kubectl: Kubectl, release: Release) -> None:
    """Where nobody knows what a queue is, one `helm install` brings the definition, the queues and what serves them."""
    release.install(values())

    assert names(kubectl, release.namespace, "gq") == {"generationqueue.genfleet.dev/gpu-medium"}
    kubectl("rollout", "status", "-n", release.namespace, "statefulset/trial-genfleet-redis", "--timeout=80s")
    kubectl("rollout", "status", "-n", release.namespace, "deployment/trial-genfleet-api", "--timeout=80s")
    # Takes Redis with its password, and the API's image.
    key = kubectl("exec", "-n", release.namespace, "deploy/trial-genfleet-api", "--", "genfleet-api", "create-key", "a")
    assert key.startswith("gf_")


@pytest.mark.usefixtures("crd")
def test_upgrade_rollback_and_uninstall_leave_the_right_things(
    kubectl: Kubectl, release: Release, newer: Path, namespace: str
) -> None:
    """An upgrade brings a new definition first, keeps secrets and Redis' pod; rollback and uninstall keep the definition."""
    release.install(values())
    kubectl("rollout", "status", "-n", namespace, "statefulset/trial-genfleet-redis", "--timeout=80s")
    before = secrets(kubectl, namespace)
    redis = kubectl("get", "pod", "-n", namespace, "trial-genfleet-redis-0", "-o", "jsonpath={.metadata.uid}")
    foreign = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "foreign"}, "spec": {"queue": "default"}}
    kubectl("apply", "-n", namespace, "-f", "-", give=foreign)

    wanted = values()
    wanted["queues"] = {"gpu-medium": {**QUEUES["gpu-medium"], "motto": "onward"}}
    release.upgrade(wanted, chart=newer)

    motto = ("get", "gq", "gpu-medium", "-n", namespace, "-o", "jsonpath={.spec.motto}")
    assert kubectl(*motto) == "onward", "the queue was applied before its definition"
    assert {key: before[key] for key in KEPT} == {key: secrets(kubectl, namespace)[key] for key in KEPT}

    release.rollback(1)

    assert kubectl(*motto) == ""
    assert "motto" in kubectl("get", "crd", CRD.stem, "-o", "yaml"), "a rollback must not take fields from other queues"
    assert {key: before[key] for key in KEPT} == {key: secrets(kubectl, namespace)[key] for key in KEPT}
    after = kubectl("get", "pod", "-n", namespace, "trial-genfleet-redis-0", "-o", "jsonpath={.metadata.uid}")
    assert after == redis, "Redis was restarted by an upgrade that does not concern it"

    release.upgrade(values())  # by the older chart, after the newer one: it may not take the field away again

    assert "motto" in kubectl("get", "crd", CRD.stem, "-o", "yaml")

    release.uninstall()

    assert names(kubectl, namespace, "gq") == {"generationqueue.genfleet.dev/foreign"}
    ours = "deployments,statefulsets,jobs,services,secrets,roles,rolebindings,poddisruptionbudgets,networkpolicies"
    wait_for(
        "nothing of the release to be left",
        lambda: not kubectl("get", ours, "-n", namespace, "-l", "app.kubernetes.io/part-of=genfleet", "-o", "name"),
    )
    cluster = kubectl(
        "get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/part-of=genfleet", "-o", "name"
    )
    assert namespace not in cluster


@pytest.mark.usefixtures("crd")
def test_the_operator_may_do_what_it_needs_and_no_more(kubectl: Kubectl, release: Release, namespace: str) -> None:
    """Its account serves queues in its namespace, and can neither read secrets nor run anything, nor look elsewhere."""
    release.install(values())

    account = f"system:serviceaccount:{namespace}:trial-genfleet-operator"
    for allowed in (
        "watch generationqueues.genfleet.dev",
        "patch generationqueues.genfleet.dev/status",
        "create deployments.apps",
        "delete deployments.apps",
        "patch pods",
        "create events.events.k8s.io",
        "create leases.coordination.k8s.io",
    ):
        assert _may(kubectl, account, allowed, namespace), allowed
    for refused in (
        "get secrets",
        "create pods",
        "create pods/exec",
        "delete pods",
        "patch generationqueues.genfleet.dev",
        "patch deployments.apps/scale",
        "delete leases.coordination.k8s.io",
    ):
        assert not _may(kubectl, account, refused, namespace), refused
    for elsewhere in ("list generationqueues.genfleet.dev", "list pods", "create leases.coordination.k8s.io"):
        assert not _may(kubectl, account, elsewhere, "default"), elsewhere


def _may(kubectl: Kubectl, account: str, what: str, namespace: str) -> bool:
    """Whether an account may do this (a verb and a resource) in a namespace."""
    verb, _, resource = what.partition(" ")
    resource, _, subresource = resource.partition("/")
    resource, _, group = resource.partition(".")
    asked = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": account, "resourceAttributes": asked},
    }
    return kubectl("create", "-f", "-", "-o", "jsonpath={.status.allowed}", give=review) == "true"


@pytest.mark.usefixtures("crd")
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_the_api_server_takes_every_manifest(environment: Path, kubectl: Kubectl, restricted: str) -> None:
    """Of each environment's file, with strict validation and the cluster's own rules."""
    chosen = merged(yaml.safe_load(environment.read_text()), HOST)
    for document in manifests(merged(chosen, {"crds": {"upgrade": False}}), namespace=restricted):
        kubectl("apply", "--dry-run=server", "--validate=strict", "-n", restricted, "-f", "-", give=document)
