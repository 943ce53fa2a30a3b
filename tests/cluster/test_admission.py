"""Who may write queues gains nothing that they could not do themselves (facts S18)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from genfleet.contract.queue import API_VERSION, KIND
from tests.cluster.installation import NAME, Installation
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.timeout(400)]

QUEUES = {
    "apiGroups": ["genfleet.dev"],
    "resources": ["generationqueues"],
    "verbs": ["get", "create", "patch", "update"],
}
DEPLOYMENTS = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}
AUTHOR, BUILDER = "queue-author", "deployment-author"
GRABBING = {"spec": {"containers": [{"name": "worker", "envFrom": [{"secretRef": {"name": f"{NAME}-api"}}]}]}}
"""The API's keys, handed to the worker: without leave to read a single Secret."""

Write = Callable[..., str]


def queue(template: dict[str, Any] | None = None, **scaling: int) -> dict[str, Any]:
    """A queue that starts no worker unless it is told to."""
    pool = {"name": "default"} | ({"template": template} if template else {})
    spec = {"queue": "gpu_medium", "concurrency": 1, "scaling": {"maxReplicas": 1, **scaling}, "pools": [pool]}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "images"}, "spec": spec}


@pytest.fixture
def author(site: Installation) -> Iterator[Write]:
    """Writes a queue as somebody who may write queues in this namespace and nothing else."""
    yield from _somebody(site, AUTHOR, [QUEUES])


@pytest.fixture
def builder(site: Installation) -> Iterator[Write]:
    """The same, as somebody who may create Deployments there as well."""
    yield from _somebody(site, BUILDER, [QUEUES, DEPLOYMENTS])


def _somebody(site: Installation, name: str, rules: list[dict[str, Any]]) -> Iterator[Write]:
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}
    binding = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": name}],
    }
    del binding["rules"]
    for document in (role, binding):
        site.run("apply", "-f", "-", give=document)
    yield partial(_written, site, name)
    for kind in ("rolebinding", "role"):
        site.run("delete", kind, name)


def _written(site: Installation, name: str, document: dict[str, Any], *, fails: bool = False) -> str:
    return site.run("apply", "--server-side", "--force-conflicts", "--as", name, "-f", "-", give=document, fails=fails)


def test_who_may_not_make_deployments_sets_no_template(site: Installation, author: Write, builder: Write) -> None:
    """Not by a new queue, nor by a change of one; all else of a queue they may set, and leave a template as it is."""
    # The API server takes a moment to know of a new policy.
    said = wait_for("the policy counts", lambda: _refusal(site, author, queue(GRABBING)), within=30)
    assert "taken from those alone who may create deployments" in said
    assert site.namespace in said

    author(queue())
    author(queue(maxReplicas=2))
    assert "may create deployments" in author(queue(GRABBING), fails=True)

    builder(queue(GRABBING))
    author(queue(GRABBING, maxReplicas=3))
    changed = json.loads(json.dumps(GRABBING).replace(f"{NAME}-api", f"{NAME}-redis"))
    assert "may create deployments" in author(queue(changed), fails=True)
    assert json.loads(site.run("get", "gq", "images", "-o", "json"))["spec"]["scaling"]["maxReplicas"] == 3
    author(queue())


def _refusal(site: Installation, write: Write, document: dict[str, Any]) -> str:
    """Why it was refused. Nothing: it was not, and is undone."""
    try:
        return write(document, fails=True)
    except AssertionError:
        site.run("delete", "gq", "images", "--ignore-not-found")
        return ""


RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
HOSTILE: dict[str, dict[str, Any]] = {
    "spec.volumes[h].hostPath '/'": {"spec": {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}},
    "spec.hostNetwork": {"spec": {"hostNetwork": True}},
    "spec.hostPID": {"spec": {"hostPID": True}},
    "securityContext.privileged": {
        "spec": {"containers": [{"name": "worker", "securityContext": {"privileged": True}}]}
    },
    "securityContext.runAsUser": {"spec": {"containers": [{"name": "worker", "securityContext": {"runAsUser": 0}}]}},
    "spec.serviceAccountName": {"spec": {"serviceAccountName": f"{NAME}-operator"}},
    "spec.automountServiceAccountToken": {"spec": {"automountServiceAccountToken": True}},
    "spec.volumes[n].nfs": {"spec": {"volumes": [{"name": "n", "nfs": {"server": "10.0.0.1", "path": "/"}}]}},
    "names image 'evil/i'": {
        "spec": {"initContainers": [{"name": "i", "image": "evil/i", "securityContext": RESTRICTED}]}
    },
}
"""By what the operator says of each."""


def test_the_operator_makes_nothing_of_a_hostile_template(site: Installation) -> None:
    """Written by somebody who may do anything: the operator refuses, in a namespace of any standard."""
    operator = f"deployment/{NAME}-operator"
    site.run("set", "env", operator, "GENFLEET_ALLOWED_IMAGES=registry.example.com/team/*")
    site.run("rollout", "status", operator, "--timeout=80s")
    try:
        for words, template in HOSTILE.items():
            pools = [{"name": "default", "template": template}]
            site.declare("images", queue="gpu_medium", scaling={"minReplicas": 1}, pools=pools)
            wait_for(f"{words} is told", lambda: words in site.status("images").get("message", ""), within=40)  # noqa: B023
            assert site.status("images")["degraded"] == "InvalidSpec"
        assert not site.deployments()
    finally:
        site.run("rollout", "undo", operator)
        site.run("rollout", "status", operator, "--timeout=80s")
