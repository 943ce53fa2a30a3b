"""Races that the search in test_any_order.py stands for, each played in the one order that would do harm."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.operator.model import NODES, Model
from tests.operator.test_any_order import AnyOrder

CHANCE = random.Random(0)  # noqa: S311  not for secrets


@pytest.fixture
def there() -> Iterator[AnyOrder]:
    """Three workers of which one has to stay; the other two are drained and cheap, which their ReplicaSet has yet to see."""
    one = AnyOrder()
    one.begin(minimum=1, tasks=3, rounds=1)
    model = one.model
    for _ in range(60):
        if sum(pod.cost < 0 for pod in model.pods.values()) == 2:
            break
        one._everyone(CHANCE) if not model.marks else look(one, 0.1)
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


def follow_blindly(model: Model) -> None:
    """Numbers are passed on and followed, by pods as they were seen long ago."""
    for name, one in model.replica_sets.items():
        model.follow(name)
        one.seen_replicas, one.seen_generation = one.replicas, one.generation
        model.replicate(name, CHANCE)


def work(model: Model) -> None:
    """Whoever takes work takes a task."""
    for pod in model.pods.values():
        if pod.consuming and model.waiting:
            model.take(pod)


def test_who_was_called_back_is_not_removed_in_the_place_of_another(there: AnyOrder) -> None:
    """A ReplicaSet that still takes it for cheap could remove it, with the task that it has by now."""
    there.submit(2)
    look(there, 0.0)
    work(there.model)
    for _ in range(3):
        look(there, 5.0)
        follow_blindly(there.model)
    assert sum(pod.running for pod in there.model.pods.values()) == 2
    assert not there.model.wrongs


def test_who_has_started_unseen_is_not_removed_in_the_place_of_another() -> None:
    """To a ReplicaSet that has not seen it start it is the first to go; no pause is long enough to rule that out."""
    one = AnyOrder()
    one.begin(minimum=1, tasks=0, rounds=4)
    model = one.model
    one.spec["minimum"] = 2
    one._declare()
    look(one, 0.0)
    model.control(CHANCE)
    newest = list(model.pods.values())[-1]
    model.place(newest, NODES[0])
    model.show_all(one.world)
    model.start(newest)
    model.waiting = 1
    model.take(newest)
    one.spec["minimum"] = 1
    one._declare()
    for _ in range(8):
        look(one, 5.0)
        follow_blindly(model)
    assert (newest.running, newest.terminating) == (1, False)
    one.teardown()


def test_who_lost_its_mark_leaves_all_the_same(there: AnyOrder) -> None:
    """A container that starts anew says goodbye first, and its mark goes with that."""
    there.model.marks.clear()
    there._calm_down()
    assert len(there.model.pods) == 1


def test_a_second_drain_waits_until_the_call_back_was_seen(there: AnyOrder) -> None:
    """A ReplicaSet that counts as many as before may have seen nothing at all: so costs go one way at a time."""
    model = there.model
    cheap = [pod for pod in model.pods.values() if pod.cost]
    model.control(CHANCE)
    there.submit(3)
    look(there, 0.0)
    assert not any(pod.cost for pod in cheap)
    model.waiting = 0
    for _ in range(3):
        look(there, 5.0)
    assert all(not pod.consuming for pod in cheap)
    assert not any(pod.cost for pod in cheap)
    for _ in range(3):
        model.control(CHANCE)
        look(there, 0.0)
    assert sum(not pod.terminating for pod in model.pods.values()) == 1
