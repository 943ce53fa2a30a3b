"""What is to be written, so that what was decided comes about and nobody is removed who may not go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from genfleet.scaling.moves import Moves
from genfleet.store.records import WorkerSeen
from genfleet_operator import names
from genfleet_operator.orders import Orders, orders
from genfleet_operator.sight import sight
from genfleet_operator.world import Deployment, Pod
from tests.operator.queues import CHEAP, NOW, beat, container, deployment, look, plan, pod, replica_sets

NEW, OLD = plan(), plan(container(image="old:1"))
NAME, OLD_NAME = NEW.deployment, OLD.deployment


def ordered(
    moves: Moves,
    pods: list[Pod],
    *beats: WorkerSeen,
    deployments: list[Deployment] | None = None,
    seen_by_it: Sequence[Pod] | None = None,
) -> Orders:
    """The orders after a look at these pods. `seen_by_it`: as the ReplicaSets saw them; as they are, if not told."""
    made = {one.name: one for one in ([deployment(NEW, len(pods))] if deployments is None else deployments)}
    seen = sight(
        look(*beats),
        now=NOW,
        revisions=[NEW],
        deployments=made,
        replica_sets=replica_sets(made.values(), pods if seen_by_it is None else seen_by_it),
        pods={one.name: one for one in pods},
        told=moves.drain,
    )
    return orders(seen, moves, [NEW], made)


A, B = pod(NEW, "a"), pod(NEW, "b")
GOING = replace(A, **CHEAP)
"""Pod a with the low cost that a drained worker has."""


def test_nothing_to_do_is_no_order() -> None:
    """Where everything is as it should be, nothing is written."""
    assert not ordered(Moves(), [A], beat(A, running=1))


def test_a_missing_deployment_is_made_also_for_nobody() -> None:
    """So that its pool is seen, and the first worker comes by a number alone."""
    assert ordered(Moves(), [], deployments=[]).apply == {NAME: 0}
    assert ordered(Moves(start={"spot": 3}), [], deployments=[]).apply == {NAME: 3}


def test_workers_start_by_a_higher_number() -> None:
    """On top of what the Deployment has."""
    assert ordered(Moves(start={"spot": 2}), [A], beat(A)).apply == {NAME: 3}


def test_who_leaves_is_told_first() -> None:
    """Nothing is removed before it said that it is empty."""
    told = ordered(Moves(drain=("a@studio",)), [A], beat(A))
    assert (told.drain, told.costs, told.apply) == (("a@studio",), {}, {})


def test_who_is_empty_becomes_cheap() -> None:
    """It said that it takes nothing and has nothing; the number waits until Kubernetes knows of the cost."""
    told = ordered(Moves(), [A, B], beat(A, "drained", draining=True), beat(B, running=1))
    assert (told.costs, told.apply) == ({"a": names.EMPTY_COST}, {})


STARTS = replace(B, phase="Pending", ready=False)


@pytest.mark.parametrize(
    ("seen_by_it", "apply"),
    [
        pytest.param([GOING, B], {NAME: 1}, id="it has seen all"),
        pytest.param([A, B], {}, id="it has not seen the cost: it might take the other one"),
        pytest.param([GOING, STARTS], {}, id="it has not seen the other one start: it would take that first"),
        pytest.param([GOING], {}, id="it has not seen the other one at all"),
        pytest.param([GOING, B, pod(NEW, "c")], {}, id="it has seen one that we have not"),
    ],
)
def test_the_number_is_lowered_when_the_replica_set_has_seen_what_we_have(
    seen_by_it: list[Pod], apply: dict[str, int]
) -> None:
    """It says so itself, by what it counts: however late it is, it then takes who may go."""
    told = ordered(Moves(), [GOING, B], beat(A, "drained", draining=True), beat(B, running=1), seen_by_it=seen_by_it)
    assert told.apply == apply


def test_where_everyone_may_go_no_cost_is_needed() -> None:
    """Whichever Kubernetes takes, it is none too many."""
    assert ordered(Moves(), [A], beat(A, "drained", draining=True)).apply == {NAME: 0}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"observed": 0}, id="the Deployment's last number is not passed on yet"),
        pytest.param({"replicas": 3}, id="one that was asked for is not made yet"),
    ],
)
def test_one_number_is_followed_before_the_next_is_lower(change: dict[str, Any]) -> None:
    """Who is on the way, in or out, is not known before."""
    made = replace(deployment(NEW, 2), **change)
    told = ordered(Moves(), [GOING, B], beat(A, "drained", draining=True), beat(B, running=1), deployments=[made])
    assert told.apply == {}


def test_costs_change_one_way_at_a_time() -> None:
    """A ReplicaSet tells how many it has seen change, not which: one up and one down would look as if nothing were."""
    empty = beat(B, "drained", draining=True)
    assert ordered(Moves(), [GOING, B], beat(A), empty).costs == {"a": 0}


def test_costs_wait_until_the_last_ones_were_seen() -> None:
    """For the same reason."""
    told = ordered(Moves(), [GOING, B], beat(A), beat(B), seen_by_it=[A, B])
    assert told.costs == {}


def test_who_is_called_back_is_no_more_cheap() -> None:
    """And the number stays."""
    told = ordered(Moves(recall=("a@studio",)), [GOING], beat(A, "drained", draining=True))
    assert (told.recall, told.costs, told.apply) == (("a@studio",), {"a": 0}, {})


def test_a_low_cost_on_a_worker_that_stays_is_taken_back() -> None:
    """Whoever died in the middle has left it."""
    assert ordered(Moves(), [GOING], beat(A)).costs == {"a": 0}


def test_costs_of_others_are_left_alone() -> None:
    """Two controllers that write the same annotation would never rest; a person is told instead."""
    foreign = replace(A, cost=5, ours=False)
    assert ordered(Moves(), [foreign], beat(A)).costs == {}


def test_nobody_is_removed_while_others_start() -> None:
    """A number that rises removes nobody, so both at once would lose count."""
    told = ordered(Moves(start={"spot": 1}), [GOING, B], beat(A, "drained", draining=True), beat(B, running=1))
    assert told.apply == {NAME: 3}


def test_a_number_that_was_lowered_is_not_lowered_again() -> None:
    """The ReplicaSet has not acted yet: two pods are there, and one is asked for."""
    told = ordered(
        Moves(),
        [GOING, B],
        beat(A, "drained", draining=True),
        beat(B, running=1),
        deployments=[deployment(NEW, 1)],
    )
    assert (told.apply, told.lower) == ({}, {})


def test_outdated_deployments_are_lowered_as_their_workers_leave() -> None:
    """By the number alone, as their template is not ours to change any more."""
    one, other = pod(OLD, "a", **CHEAP), pod(OLD, "b")
    told = ordered(
        Moves(),
        [one, other],
        beat(one, "drained", draining=True),
        beat(other, running=1),
        deployments=[deployment(NEW, 0), deployment(OLD, 2)],
    )
    assert (told.lower, told.apply, told.remove) == ({OLD_NAME: 1}, {}, ())


@pytest.mark.parametrize(
    ("replicas", "pods", "remove"),
    [
        pytest.param(0, [], (OLD_NAME,), id="nothing is left of it"),
        pytest.param(0, [pod(OLD, "a", terminating=True)], (), id="its last worker still ends"),
        pytest.param(1, [], (), id="a pod of it may still come"),
    ],
)
def test_outdated_deployments_go_when_they_are_empty(replicas: int, pods: list[Pod], remove: tuple[str, ...]) -> None:
    """Not before: with it Kubernetes removes all that is below it."""
    beats = [beat(one, "draining", running=1) for one in pods]
    told = ordered(Moves(), pods, *beats, deployments=[deployment(NEW, 0), deployment(OLD, replicas)])
    assert told.remove == remove
