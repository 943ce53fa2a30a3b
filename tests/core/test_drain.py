"""Who leaves and who is called back when the fleet is to have another size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genfleet.contract.reasons import Reason
from genfleet.scaling.decide import Decision
from genfleet.scaling.drain import keep, victims
from genfleet.scaling.observation import Observation, Phase, WorkerView
from tests.core.fleets import SEEN


def starting(name: str, running: int = 0) -> WorkerView:
    """A worker that was asked for and is not ready."""
    return WorkerView(name, Phase.STARTING, running)


def ready(name: str, running: int = 0) -> WorkerView:
    """A worker that takes work."""
    return WorkerView(name, Phase.READY, running)


def draining(name: str, running: int = 0, recallable: bool = True) -> WorkerView:
    """A worker that was told to leave."""
    return WorkerView(name, Phase.DRAINING, running, recallable)


def seen(*workers: WorkerView) -> Observation:
    """What was seen of these workers."""
    return replace(SEEN, workers=workers)


def decided(replicas: int, demand: int | None = 0) -> Decision:
    """A decision for so many workers."""
    return Decision(
        replicas=replicas, needed=replicas, reason=Reason.STEADY, explanation="Told.", demand=demand, memory=()
    )


@pytest.mark.parametrize(
    ("replicas", "workers", "leave"),
    [
        pytest.param(1, [ready("a")], (), id="nobody when the size is right"),
        pytest.param(0, [ready("a", running=1)], (), id="never a worker at work"),
        pytest.param(0, [starting("a", running=1)], (), id="not even one that says it still starts"),
        pytest.param(1, [ready("a"), starting("b")], ("b",), id="who still starts goes first"),
        pytest.param(1, [starting("a"), ready("b")], ("a",), id="also when it is listed first"),
        pytest.param(1, [ready("a"), ready("b")], ("b",), id="of equals the last listed"),
        pytest.param(1, [ready("a"), ready("b", running=1)], ("a",), id="the idle one, wherever it is listed"),
        pytest.param(0, [ready("a"), draining("b")], ("a",), id="not who drains already"),
        pytest.param(0, [ready("a"), ready("b", running=1), ready("c")], ("c", "a"), id="all who are idle"),
    ],
)
def test_who_leaves(replicas: int, workers: list[WorkerView], leave: tuple[str, ...]) -> None:
    """Idle workers leave, as many as are too many, the least useful first."""
    assert victims(decided(replicas), seen(*workers)) == leave


def test_nobody_leaves_while_demand_is_unknown() -> None:
    """Who could not see the work cannot tell who is idle, so even a lowered maximum waits."""
    assert victims(decided(0, demand=None), seen(ready("a"))) == ()


@pytest.mark.parametrize(
    ("replicas", "workers", "back"),
    [
        pytest.param(1, [ready("a"), draining("b")], (), id="nobody when the size is right"),
        pytest.param(2, [ready("a"), draining("b")], ("b",), id="who drains, before a new one is started"),
        pytest.param(1, [draining("a", running=1), draining("b")], ("b",), id="the one with most room first"),
        pytest.param(1, [draining("a"), draining("b")], ("a",), id="of equals the first listed"),
        pytest.param(1, [draining("a", recallable=False)], (), id="not who leaves for a reason of its own"),
        pytest.param(9, [draining("a"), draining("b")], ("a", "b"), id="all, when many are missing"),
    ],
)
def test_who_is_called_back(replicas: int, workers: list[WorkerView], back: tuple[str, ...]) -> None:
    """When demand rose again, draining workers are kept before new ones are started."""
    assert keep(decided(replicas), seen(*workers)) == back


fleets = st.lists(
    st.builds(WorkerView, st.uuids().map(str), st.sampled_from(Phase), st.integers(0, 3), st.booleans()), max_size=12
)


@settings(deadline=None)
@given(fleets, st.integers(0, 15))
def test_the_fleet_never_falls_below_the_decision(workers: list[WorkerView], replicas: int) -> None:
    """No more leave than are too many, none of them at work, and nobody is both sent away and called back."""
    look, decision = seen(*workers), decided(replicas)
    leave, back = victims(decision, look), keep(decision, look)
    assert len(leave) <= max(0, look.replicas - replicas)
    assert len(back) <= max(0, replicas - look.replicas)
    assert all(not worker.running for worker in workers if worker.id in leave)
    assert not (leave and back)
