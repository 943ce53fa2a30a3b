"""How far a ReplicaSet may be lowered: whatever Kubernetes knows that we do not, it removes nobody who may not go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genfleet_operator.removal import in_order, removable
from genfleet_operator.world import Pod
from tests.operator.queues import NOW, plan, pod

PLAN = plan()


def kubernetes_order(pods: list[Pod], nodes: dict[str, str]) -> list[Pod]:
    """`ActivePodsWithRanks` in full: the first to be removed first.

    Its parts are: not assigned, phase, not ready, deletion cost, pods of the set on the same node, ready for a shorter
    time, more restarts, younger.
    """
    crowd = {name: sum(nodes[other.name] == nodes[name] for other in pods) for name in nodes}
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}

    def rank(one: Pod) -> tuple[Any, ...]:
        crowded = -crowd[one.name] if one.assigned else 0
        ready_since = -one.ready_since if one.ready else 0
        return (
            one.assigned,
            phases[one.phase],
            one.ready,
            one.cost,
            crowded,
            ready_since,
            -one.restarts,
            -one.created,
        )

    return sorted(pods, key=rank)


@st.composite
def placed_pods(draw: st.DrawFn) -> tuple[list[Pod], dict[str, str], set[str]]:
    """Pods, their nodes, and who may go."""
    pods, nodes, may_go = [], {}, set()
    for at in range(draw(st.integers(0, 8))):
        assigned = draw(st.booleans())
        running = assigned and draw(st.booleans())
        one = pod(
            PLAN,
            f"pod-{at}",
            assigned=assigned,
            phase="Running" if running else draw(st.sampled_from(["Pending", "Unknown"])),
            ready=running and draw(st.booleans()),
            ready_since=NOW - draw(st.integers(0, 3)),
            created=NOW - draw(st.integers(0, 3)),
            restarts=draw(st.integers(0, 2)),
            cost=draw(st.sampled_from([0, -1000])),
        )
        pods.append(one)
        nodes[one.name] = draw(st.sampled_from("abc"))
        if draw(st.booleans()):
            may_go.add(one.name)
    return pods, nodes, may_go


@settings(deadline=None, max_examples=200)
@given(placed_pods())
def test_kubernetes_removes_nobody_who_may_not_go(drawn: tuple[list[Pod], dict[str, str], set[str]]) -> None:
    """Lowered by so many, or by fewer, the order that Kubernetes goes by meets only those who may go."""
    pods, nodes, may_go = drawn
    number = removable(pods, may_go)
    assert {one.name for one in kubernetes_order(pods, nodes)[:number]} <= may_go


@settings(deadline=None)
@given(placed_pods())
def test_all_who_are_cheap_and_ready_may_be_removed(drawn: tuple[list[Pod], dict[str, str], set[str]]) -> None:
    """It does not hold back for nothing: of ready pods, all that have the low cost and may go are counted."""
    pods, _, may_go = drawn
    ready = [
        replace(one, phase="Running", assigned=True, ready=True, cost=-1000 if one.name in may_go else 0)
        for one in pods
    ]
    assert removable(ready, may_go) == len(may_go)


@pytest.mark.parametrize(
    ("change", "may_go", "number"),
    [
        pytest.param({}, {"a"}, 0, id="an equal that may not go"),
        pytest.param({"cost": -1000}, {"a"}, 1, id="a low cost"),
        pytest.param({"ready": False}, {"a"}, 1, id="not ready yet"),
        pytest.param({"phase": "Pending"}, {"a"}, 1, id="pending"),
        pytest.param({"assigned": False, "phase": "Pending"}, {"a"}, 1, id="without a node"),
        pytest.param({"cost": -1000}, set(), 0, id="a low cost on who may not go"),
        pytest.param({"cost": -1000}, {"b"}, 0, id="a low cost on the wrong one"),
        pytest.param({"terminating": True}, {"a"}, 0, id="gone already"),
        pytest.param({"phase": "Failed"}, {"a"}, 0, id="ended already"),
        pytest.param({}, {"a", "b"}, 2, id="everyone"),
    ],
)
def test_of_two_pods(change: dict[str, Any], may_go: set[str], number: int) -> None:
    """Pod a, with one thing changed, beside a ready pod b."""
    assert removable([pod(PLAN, "a", **change), pod(PLAN, "b")], may_go) == number


def test_of_no_pods() -> None:
    """Nobody is removed where nobody is."""
    assert removable([], {"a"}) == len(in_order([])) == 0
