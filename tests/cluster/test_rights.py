"""The operator's rights are the least that will do: all are used, no other is asked for, and the lack of one is told."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster.installation import NAME, Installation
from tests.cluster.recorder import Recorder, Right, recording
from tests.support.api_server import KUBECONFIG
from tests.support.servers import free_port, program
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.timeout(400)]

ROLE = f"{NAME}-operator"


class Write(NamedTuple):
    """A verb on a resource that the operator's Role grants, by which it changes something."""

    verb: str
    resource: str


@pytest.fixture
def without(site: Installation) -> Iterator[Callable[[Write], None]]:
    """Takes one right away, for the length of a test."""
    rules = json.loads(site.run("get", "role", ROLE, "-o", "json"))["rules"]

    def put(wanted: list[dict[str, Any]]) -> None:
        site.run("patch", "role", ROLE, "--type=merge", "-p", json.dumps({"rules": wanted}))

    def take(right: Write) -> None:
        left = [
            {**rule, "resources": [resource], "verbs": [verb for verb in rule["verbs"] if (verb, resource) != right]}
            for rule in rules
            for resource in rule["resources"]
        ]
        put([rule for rule in left if rule["verbs"]])

    yield take
    put(rules)


def grow(site: Installation) -> None:
    """Needs a new Deployment."""
    _declare(site, "0")


def adjust(site: Installation) -> None:
    """Needs another number of replicas."""
    _declare(site, "0")
    wait_for("the Deployment", site.deployments)
    site.work(0)


def shrink(site: Installation) -> None:
    """Needs a deletion cost, and fewer replicas."""
    _declare(site, "0")
    site.completed(site.work(0), within=60)


def renew(site: Installation) -> None:
    """Needs the removal of a Deployment."""
    _declare(site, "0")
    wait_for("the Deployment", site.deployments)
    _declare(site, "1")


@pytest.mark.parametrize(
    ("right", "act"),
    [
        (Write("create", "deployments"), grow),
        (Write("patch", "deployments"), grow),
        (Write("patch", "pods"), shrink),
        (Write("delete", "deployments"), renew),
        (Write("patch", "generationqueues/status"), grow),
        (Write("create", "events"), adjust),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, Write) else "",
)
def test_every_right_is_needed(
    right: Write, act: Callable[[Installation], None], site: Installation, without: Callable[[Write], None]
) -> None:
    """Without it the operator tells, in its log, which right it lacks, within 20 seconds."""
    without(right)
    act(site)

    words = f'cannot {right.verb} resource "{right.resource}"'
    wait_for("the operator complains", lambda: _complaints(site, words), within=20)


def test_every_right_is_used_and_no_other(site: Installation, tmp_path: Path) -> None:
    """S20: an operator that does all of its work asks the API server for exactly what its Roles grant: no verb is left over.

    It runs here, in the account's name, beside the cluster that it works on; those of the installation are away meanwhile.
    """
    operator = f"deployment/{ROLE}"
    site.run("scale", operator, "--replicas=0")
    site.run("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=operator", "--timeout=60s")
    site.run("delete", "lease", ROLE)  # so that it has to make one
    try:
        with (
            recording(f"system:serviceaccount:{site.namespace}:{ROLE}") as recorder,
            _operating(site, recorder, tmp_path),
        ):
            shrink(site)  # makes a Deployment and enlarges it
            wait_for("the worker leaves", lambda: not any(site.deployments().values()), within=60)
            (before,) = site.deployments()
            renew(site)
            wait_for("the old Deployment is gone", lambda: before not in site.deployments(), within=60)
            wait_for("events are told", lambda: Right("create", "events.k8s.io", "events") in recorder.used, within=20)
    finally:
        site.run("scale", operator, "--replicas=2")
        site.run("rollout", "status", operator, "--timeout=80s")

    assert recorder.refused == []
    assert {str(right) for right in recorder.used} == {str(right) for right in _granted(site)}


@contextmanager
def _operating(site: Installation, recorder: Recorder, folder: Path) -> Iterator[None]:
    """An operator on this machine, with the settings of the installation's."""
    container = json.loads(site.run("get", "deployment", ROLE, "-o", "json"))["spec"]["template"]["spec"]["containers"][
        0
    ]
    told = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    template, kubeconfig = folder / "worker.yaml", folder / "kubeconfig"
    template.write_text(site.run("get", "configmap", f"{NAME}-worker-template", "-o", "jsonpath={.data.worker\\.yaml}"))
    kubeconfig.write_text(KUBECONFIG.format(port=recorder.port))
    secret = site.run("get", "secret", f"{NAME}-redis", "-o", "jsonpath={.data.password}")
    forward = subprocess.Popen(
        (shutil.which("kubectl") or "kubectl", "port-forward", "-n", site.namespace, f"service/{NAME}-redis", ":6379"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert forward.stdout
    port = forward.stdout.readline().partition(" -> ")[0].rpartition(":")[2]
    environment = told | {
        "KUBECONFIG": str(kubeconfig),
        "REDIS_URL": f"redis://:{base64.b64decode(secret).decode()}@127.0.0.1:{port}/0",
        "GENFLEET_WORKER_TEMPLATE": str(template),
        "GENFLEET_PROBE_PORT": str(free_port()),
        "POD_NAME": "beside",
        "POD_NAMESPACE": site.namespace,
    }
    log = folder / "log"
    try:
        with program("genfleet_operator.main", log=log, environment=environment):
            yield
    except AssertionError:
        sys.stderr.write(log.read_text()[-4000:])
        raise
    finally:
        forward.kill()
        forward.communicate()


def _granted(site: Installation) -> set[Right]:
    """What the Roles that are bound to the operator's account grant, each verb on each resource."""
    bindings = [
        each
        for each in site.found("rolebindings")
        if any(subject.get("name") == ROLE for subject in each.get("subjects", ()))
    ]
    rules = [
        rule
        for binding in bindings
        for rule in json.loads(site.run("get", "role", binding["roleRef"]["name"], "-o", "json"))["rules"]
    ]
    assert len(bindings) == 2, "one for its queues, one for its lease"
    return {
        Right(verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def _declare(site: Installation, edition: str) -> None:
    worker = {"name": "worker", "env": [{"name": "EDITION", "value": edition}]}
    pool = {"name": "default", "class": "cpu", "template": {"spec": {"containers": [worker]}}}
    scaling = {"maxReplicas": 1, "target": {"tasksPerWorker": 1}, "cooldownSeconds": 1}
    site.declare("images", queue="gpu_medium", concurrency=1, scaling=scaling, pools=[pool])


def _complaints(site: Installation, words: str) -> list[str]:
    """Lines of the operators' logs with these words: Kubernetes' own."""
    log = site.run("logs", "-l", "app.kubernetes.io/component=operator", "--tail=200")
    return [line for line in log.splitlines() if words in line.replace("\\", "")]
