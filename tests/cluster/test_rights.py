"""The operator's rights are the least that will do: without any one of them something stops, and it says what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.cluster.installation import NAME, Installation
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.timeout(400)]

ROLE = f"{NAME}-operator"


class Right(NamedTuple):
    """A verb on a resource that the operator's Role grants."""

    verb: str
    resource: str


@pytest.fixture
def without(site: Installation) -> Iterator[Callable[[Right], None]]:
    """Takes one right away, for the length of a test."""
    rules = json.loads(site.run("get", "role", ROLE, "-o", "json"))["rules"]

    def put(wanted: list[dict[str, Any]]) -> None:
        site.run("patch", "role", ROLE, "--type=merge", "-p", json.dumps({"rules": wanted}))

    def take(right: Right) -> None:
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
        (Right("create", "deployments"), grow),
        (Right("patch", "deployments"), grow),
        (Right("patch", "pods"), shrink),
        (Right("delete", "deployments"), renew),
        (Right("patch", "generationqueues/status"), grow),
        (Right("create", "events"), adjust),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, Right) else "",
)
def test_every_right_is_needed(
    right: Right, act: Callable[[Installation], None], site: Installation, without: Callable[[Right], None]
) -> None:
    """Without it the operator tells, in its log, which right it lacks, within 20 seconds."""
    without(right)
    act(site)

    words = f'cannot {right.verb} resource "{right.resource}"'
    wait_for("the operator complains", lambda: _complaints(site, words), within=20)


def _declare(site: Installation, edition: str) -> None:
    worker = {"name": "worker", "env": [{"name": "EDITION", "value": edition}]}
    pool = {"name": "default", "class": "cpu", "template": {"spec": {"containers": [worker]}}}
    scaling = {"maxReplicas": 1, "target": {"tasksPerWorker": 1}, "cooldownSeconds": 1}
    site.declare("images", queue="gpu_medium", concurrency=1, scaling=scaling, pools=[pool])


def _complaints(site: Installation, words: str) -> list[str]:
    """Lines of the operators' logs with these words: Kubernetes' own."""
    log = site.run("logs", "-l", "app.kubernetes.io/component=operator", "--tail=200")
    return [line for line in log.splitlines() if words in line.replace("\\", "")]
