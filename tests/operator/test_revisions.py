"""Which revision of a pool is in force, and whose fault it is when a new one is not taken."""

from __future__ import annotations

from typing import Any

import pytest

from genfleet_operator.blueprint import Installation, Revision
from genfleet_operator.kube import ClusterRefused
from genfleet_operator.revisions import in_force, to_introduce
from genfleet_operator.templates import TemplateRefused, explained
from tests.operator.queues import container, deployment, plan

NEW, OLD, OLDER = plan(), plan(container(image="old:1")), plan(container(image="old:0"))
PAST = [deployment(OLDER, 3, created=1.0), deployment(OLD, 0, created=2.0)]


@pytest.mark.parametrize(
    ("deployments", "deployment_in_force", "introduced"),
    [
        pytest.param([], NEW.deployment, [], id="the first one at once, with its workers"),
        pytest.param([deployment(NEW, 1), *PAST], NEW.deployment, [], id="the new one when it is there"),
        pytest.param(PAST, OLD.deployment, [NEW.deployment], id="until then the latest"),
        pytest.param([deployment(OLD, 1, pool="rest")], NEW.deployment, [], id="other pools do not count"),
    ],
)
def test_which_revision_is_in_force(deployments: list[Any], deployment_in_force: str, introduced: list[str]) -> None:
    """One that the API server has taken; a new one is made beside it without workers."""
    revision = in_force(NEW, {one.name: one for one in deployments})
    assert revision.deployment == deployment_in_force
    assert isinstance(revision, Revision)
    assert list(to_introduce([NEW], [revision])) == introduced


FAILED = "failed to create typed patch object (studio/video; apps/v1, Kind=Deployment): "
UNKNOWN = "field not declared in schema"
OF_POOL = "pool 'spot': template"
OF_ALL = "workers.podTemplate (the installation's template)"


@pytest.mark.parametrize(
    ("template", "installation", "words", "says"),
    [
        pytest.param(
            {"spec": {"nodeSelectr": {}}},
            {},
            f".spec.template.spec.nodeSelectr: {UNKNOWN}",
            f"{OF_POOL}: spec.nodeSelectr is no field of a pod: correct or remove it",
            id="of the pool",
        ),
        pytest.param(
            {},
            {"spec": {"nodeSelectr": {}}},
            f".spec.template.spec.nodeSelectr: {UNKNOWN}",
            f"{OF_ALL}: spec.nodeSelectr is no field of a pod: correct or remove it",
            id="of the installation",
        ),
        pytest.param(
            container(imag="x"),
            {},
            f'.spec.template.spec.containers[name="worker"].imag: {UNKNOWN}',
            f'{OF_POOL}: spec.containers[name="worker"].imag is no field of a pod: correct or remove it',
            id="of a container",
        ),
        pytest.param(
            {"spec": {"nodeSelector": {"a": 1}}},
            {"spec": {"tolerations": [{"kee": "x"}]}},
            "errors:\n  .spec.template.spec.nodeSelector.a: expected string, got &value.valueUnstructured{Value:1}\n"
            f"  .spec.template.spec.tolerations[0].kee: {UNKNOWN}",
            f"{OF_POOL}: spec.nodeSelector.a: expected string, got 1; "
            f"{OF_ALL}: spec.tolerations[0].kee is no field of a pod: correct or remove it",
            id="two at once",
        ),
    ],
)
def test_a_slip_of_the_pen_is_told_by_its_layer(
    template: dict[str, Any], installation: dict[str, Any], words: str, says: str
) -> None:
    """The API server takes it for a failure of its own; people get the layer, the field and the remedy."""
    made = plan(template, Installation("worker:1", installation))
    told = explained(ClusterRefused(500, FAILED + words), made.layers)
    assert isinstance(told, TemplateRefused)
    assert str(told) == says


def test_other_refusals_stay_in_the_words_of_the_api_server() -> None:
    """It knows best what a policy or a quota wants."""
    refused = ClusterRefused(403, "exceeded quota: .spec.template.spec.x: no")
    assert explained(refused, NEW.layers) is refused
