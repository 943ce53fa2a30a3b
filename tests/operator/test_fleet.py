"""One queue's state: what is read of its resource, and which of its workers wait in vain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from genfleet_operator.fleet import COST_AGAIN_S, Fleet
from genfleet_operator.report import Fault
from genfleet_operator.sight import sight
from tests.operator.queues import INSTALLATION, KEY, NOW, deployment, kept, look, pod

SPOT, REST = {"name": "spot", "maxReplicas": 3}, {"name": "rest", "spilloverAfterSeconds": 60}


def fleet(*pools: dict[str, Any], **spec: Any) -> Fleet:
    """A queue that was read."""
    document = kept(*pools, **spec)
    one = Fleet(document)
    one.read(document, INSTALLATION)
    return one


def test_a_valid_resource_is_read() -> None:
    """Its pools, its rules, and no complaint."""
    one = fleet(SPOT, REST)
    assert [plan.pool for plan in one.blueprints] == ["spot", "rest"]
    assert one.policy
    assert one.policy.max_replicas == 10
    assert one.refusal.fault is Fault.NONE
    assert one.key == KEY


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        pytest.param(kept(generation=2, scaling={"minReplicas": 99}), "minReplicas (99)", id="the rules"),
        pytest.param(
            kept({"name": "spot", "template": {"spec": {"hostNetwork": True}}}, generation=2),
            "hostNetwork",
            id="a template",
        ),
        pytest.param(
            kept({"name": "spot", "template": {"spec": "text"}}, generation=2), "template", id="a template that is none"
        ),
    ],
)
def test_a_wrong_version_leaves_the_last_good_one_in_force(wrong: Any, sentence: str) -> None:
    """What ran, goes on as it was, and the complaint says why; the next good version is taken."""
    one = fleet(SPOT, REST)
    before = (one.resource, one.policy, one.blueprints)
    one.read(wrong, INSTALLATION)
    assert (one.resource, one.policy, one.blueprints) == before
    assert one.refusal.fault is Fault.INVALID_SPEC
    assert sentence in one.refusal.message
    one.read(kept(SPOT, REST, generation=3), INSTALLATION)
    assert not one.refusal.message


def test_one_that_was_never_valid_has_nothing_in_force() -> None:
    """There is nothing to go on with."""
    one = fleet(scaling={"minReplicas": 99})
    assert (one.resource, one.policy, one.blueprints) == (None, None, ())
    assert one.refusal.fault is Fault.INVALID_SPEC


def test_a_queue_that_no_task_type_goes_to_gets_no_workers() -> None:
    """They would end as soon as they start: the sentence names those that there are. An installation may know better."""
    one = fleet(SPOT, REST, queue="gpu_stranger")
    assert (one.resource, one.blueprints, one.refusal.fault) == (None, (), Fault.UNKNOWN_QUEUE)
    assert "routed to 'gpu_stranger'" in one.refusal.message
    assert "use one of gpu_heavy, gpu_medium, cpu_intensive, default" in one.refusal.message
    one.read(one.document, replace(INSTALLATION, any_queue=True))
    assert len(one.blueprints) == 2
    assert one.refusal.fault is Fault.NONE


@pytest.mark.parametrize(
    ("since", "stuck"),
    [
        pytest.param(None, (), id="it has a node"),
        pytest.param(NOW - 59, (), id="not for long"),
        pytest.param(NOW - 60, ("p@studio",), id="for as long as the next pool waits"),
    ],
)
def test_who_finds_no_node_for_long_is_stuck(since: float | None, stuck: tuple[str, ...]) -> None:
    """By the patience of the next pool; workers of the last pool wait for ever."""
    one = fleet(SPOT, REST)
    for plan, expected in zip(one.blueprints, (stuck, ()), strict=True):
        pods = {"p": pod(plan, "p", phase="Pending", assigned=False, ready=False, unschedulable_since=since)}
        seen = sight(
            look(), now=NOW, revisions=one.blueprints, deployments={plan.deployment: deployment(plan, 1)}, pods=pods
        )
        views = {view.name: view for view in one.pools(seen)}
        assert views[plan.pool].stuck == expected


def test_without_a_patience_nobody_is_stuck() -> None:
    """A next pool that says nothing is taken only when the one before it is full."""
    one = fleet(SPOT, {"name": "rest"})
    plan = one.blueprints[0]
    pods = {"p": pod(plan, "p", phase="Pending", assigned=False, ready=False, unschedulable_since=NOW - 9999)}
    seen = sight(look(), now=NOW, revisions=one.blueprints, deployments={}, pods=pods)
    assert [view.stuck for view in one.pools(seen)] == [(), ()]


def test_a_pool_that_passed_workers_on_is_closed_for_a_while() -> None:
    """By the clock of the observations; and each pool holds what it may, or as many as the queue."""
    one = fleet(SPOT, REST)
    one.closed_until["spot"] = NOW + 1
    for now, closed in ((NOW, True), (NOW + 1, False)):
        seen = sight(look(), now=now, revisions=one.blueprints, deployments={}, pods={})
        assert [(view.closed, view.maximum) for view in one.pools(seen)] == [(closed, 3), (False, 10)]


def test_a_cost_that_was_just_set_is_not_set_again() -> None:
    """K10: until the watch shows it, each look would write it once more; another cost, or a later look, writes."""
    one = fleet(SPOT)
    one.costs["a"] = 100, NOW
    assert one.to_set({"a": 100, "b": 100}, NOW + 1) == {"b": 100}
    assert one.to_set({"a": 0}, NOW + 1) == {"a": 0}
    assert one.to_set({"a": 100}, NOW + COST_AGAIN_S) == {"a": 100}
    assert one.costs == {}
