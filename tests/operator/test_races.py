"""Races that the search in test_any_order.py stands for, each played in the one order that would do harm."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.operator.model import LAG_S, Model
from tests.operator.test_any_order import AnyOrder


class Latest(random.Random):
    """A ReplicaSet that sees everything as late as it may."""

    def choice(self, seq: Any) -> Any:
        """The oldest of what it may see."""
        return seq[0]


@pytest.fixture
def there() -> Iterator[AnyOrder]:
    """Three workers of which one has to stay; the other two are drained and cheap, which all have known for a while."""
    one = AnyOrder()
    one.begin(minimum=1, tasks=3, rounds=1)
    model, chance = one.model, random.Random(0)  # noqa: S311  not for secrets
    for _ in range(60):
        if sum(pod.cost < 0 for pod in model.pods.values()) == 2:
            break
        one._everyone(chance) if not model.marks else look(one, 0.1)
    look(one, 0.0)
    yield one
    one.teardown()


def look(one: AnyOrder, seconds: float) -> None:
    """All see what there is, the operator acts, workers beat; then so much time passes."""
    one.model.show_all(one.world)
    one.look_and_act()
    for pod in list(one.model.pods.values()):
        if pod.ready_at is not None:
            one.model.beat(pod)
    one.model.pass_time(seconds)


def work(model: Model) -> None:
    """Whoever takes work takes a task."""
    for pod in model.pods.values():
        if pod.consuming and model.waiting:
            model.take(pod)


def test_who_was_called_back_is_not_removed_in_the_place_of_another(there: AnyOrder) -> None:
    """A ReplicaSet that still takes it for cheap could remove it, with the task that it has by now."""
    there.model.pass_time(0.6)
    there.submit(2)
    look(there, LAG_S / 8)
    work(there.model)
    look(there, 0.0)
    for name in list(there.model.deployments):
        there.model.replicate(name, Latest())
    assert sum(pod.running for pod in there.model.pods.values()) == 2
    assert not there.model.wrongs


def test_who_lost_its_mark_leaves_all_the_same(there: AnyOrder) -> None:
    """A container that starts anew says goodbye first, and its mark goes with that."""
    there.model.marks.clear()
    there._calm_down()
    assert len(there.model.pods) == 1


def test_a_second_drain_waits_as_long_as_the_first(there: AnyOrder) -> None:
    """That a pod was cheap before it was called back says nothing of what a ReplicaSet knows now."""
    model = there.model
    cheap = [pod for pod in model.pods.values() if pod.cost]
    model.pass_time(9.0)
    seen = settled(there)
    assert seen == {pod.name for pod in cheap}
    for cost in (0, -1000):
        model._set_cost(cheap[0].name, cost)
        model.show_all(there.world)
        seen = settled(there)
        assert not seen & {cheap[0].name}
    model.pass_time(0.6)
    seen = settled(there)
    assert seen == {pod.name for pod in cheap}


def settled(there: AnyOrder) -> set[str]:
    """The pods that have been cheap for long enough."""
    pods = there.world.pods["studio", "video"].values()
    return there.controller._costs.settled(pods, there.model.monotonic())
