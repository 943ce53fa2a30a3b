"""What one look sees: pods and beats, put together into workers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from genfleet.scaling.observation import Phase
from genfleet.store.records import WorkerSeen
from genfleet_operator.sight import Sight, Worker, sight
from genfleet_operator.world import Deployment, Pod
from tests.operator.queues import CHEAP, NOW, beat, container, deployment, look, plan, pod, replica_set, replica_sets

NEW, OLD = plan(), plan(container(image="old:1"))
STARTING: dict[str, Any] = {"phase": "Pending", "ready": False}


def seen(
    pods: list[Pod], *beats: WorkerSeen, deployments: list[Deployment] | None = None, blind: bool = False, **more: Any
) -> Sight:
    """A look at these pods, of which Redis says this."""
    made = [deployment(NEW, len(pods))] if deployments is None else deployments
    more = {"listening_since": NOW, "replica_sets": replica_sets(made, pods), **more}
    return sight(
        None if blind else look(*beats),
        now=NOW,
        revisions=[NEW],
        deployments={one.name: one for one in made},
        pods={one.name: one for one in pods},
        **more,
    )


def only(one: Sight) -> Worker:
    """The only worker that was seen."""
    (worker,) = one.workers.values()
    return worker


P = pod(NEW, "p")


@pytest.mark.parametrize(
    ("one", "beats", "told", "expected"),
    [
        pytest.param(replace(P, ready=False), [], (), (Phase.STARTING, 0, False), id="it starts"),
        pytest.param(P, [beat(P)], (), (Phase.READY, 0, False), id="it is idle"),
        pytest.param(P, [beat(P, running=2)], (), (Phase.READY, 2, False), id="it works"),
        pytest.param(
            replace(P, ready=False), [beat(P)], (), (Phase.READY, 0, False), id="it beats before the probe knows"
        ),
        pytest.param(P, [beat(P, draining=True)], (), (Phase.DRAINING, 0, False), id="marked, and does not know yet"),
        pytest.param(
            P, [beat(P, "draining", running=1, draining=True)], (), (Phase.DRAINING, 1, False), id="it drains"
        ),
        pytest.param(P, [beat(P, "drained", draining=True)], (), (Phase.DRAINING, 0, True), id="it is drained"),
        pytest.param(P, [beat(P, "drained")], (), (Phase.READY, 0, False), id="called back, and does not know yet"),
        pytest.param(P, [beat(P)], {"p@studio"}, (Phase.READY, 0, False), id="told once, and its mark is lost"),
        pytest.param(replace(P, ready=False), [], {"p@studio"}, (Phase.DRAINING, 0, True), id="told before it was up"),
        pytest.param(P, [], {"p@studio"}, (Phase.DRAINING, 1, False), id="told, up, and silent"),
        pytest.param(P, [], (), (Phase.READY, 1, False), id="ready and silent is taken for busy"),
        pytest.param(
            replace(P, terminating=True), [beat(P, "draining", running=1)], (), (Phase.DRAINING, 1, False), id="it ends"
        ),
    ],
)
def test_a_pod_as_a_worker(one: Pod, beats: list[WorkerSeen], told: Any, expected: tuple[Phase, int, bool]) -> None:
    """Its phase, what it holds, and whether it may be removed."""
    worker = only(seen([one], *beats, told=told, deployments=[deployment(NEW, 1)] if one.active else []))
    assert (worker.view.phase, worker.view.running, worker.empty) == expected
    assert (worker.view.pool, worker.deployment) == ("spot", NEW.deployment)


@pytest.mark.parametrize("change", [{"terminating": True}, {"phase": "Failed", "ready": False}, {"phase": "Succeeded"}])
def test_a_pod_that_ended_is_no_worker(change: dict[str, Any]) -> None:
    """Nothing is left of it when its worker has said goodbye."""
    assert not seen([replace(P, **change)], deployments=[]).workers


@pytest.mark.parametrize(
    ("ready_for", "heard_for", "running"),
    [
        pytest.param(600, 5, 1, id="Redis is just back"),
        pytest.param(600, 61, 0, id="all had their time to beat"),
        pytest.param(30, 61, 1, id="it is new"),
    ],
)
def test_how_long_a_silent_worker_is_taken_for_busy(ready_for: int, heard_for: int, running: int) -> None:
    """For a minute in which it could have beaten; then its tasks are elsewhere."""
    worker = only(seen([replace(P, ready_since=NOW - ready_for)], listening_since=NOW - heard_for))
    assert worker.view.running == running


def test_pods_that_are_not_there_yet_are_on_their_way() -> None:
    """A Deployment asks for three and has one: two start, and have names of their own."""
    one = seen([P], beat(P), deployments=[deployment(NEW, 3)])
    assert [worker.view.phase for worker in one.workers.values()] == [Phase.READY, Phase.STARTING, Phase.STARTING]
    assert len(one.workers) == one.observation.replicas == 3
    assert [worker.pod for worker in one.workers.values()][1:] == [None, None]


def test_pods_that_kubernetes_is_about_to_remove_have_left() -> None:
    """The Deployment was lowered already: the cheapest is not counted, and cannot be called back."""
    cheap = pod(NEW, "cheap", **CHEAP)
    one = seen([P, cheap], beat(P), beat(cheap), deployments=[deployment(NEW, 1)])
    views = {worker.view.id: worker.view for worker in one.workers.values()}
    assert views["cheap@studio"].phase is Phase.DRAINING
    assert not views["cheap@studio"].recallable
    assert views["p@studio"].phase is Phase.READY


@pytest.mark.parametrize(
    ("change", "recallable"),
    [
        pytest.param({}, True, id="nothing is on its way"),
        pytest.param({"there": 3}, False, id="it has yet to remove one"),
        pytest.param({"observed": 0}, False, id="it has yet to see its last number"),
    ],
)
def test_who_may_be_on_the_way_out_is_not_called_back(change: dict[str, int], recallable: bool) -> None:
    """A number that was raised again may still be followed as it was: any of the cheap ones may be taken."""
    cheap = pod(NEW, "cheap", **CHEAP)
    made = deployment(NEW, 2)
    told = beat(cheap, "drained", draining=True)
    one = seen([P, cheap], beat(P), told, deployments=[made], replica_sets=[replica_set(made, P, cheap, **change)])
    assert one.workers["cheap@studio"].view.recallable is recallable


def test_workers_of_an_old_revision_are_outdated_and_not_called_back() -> None:
    """Whichever of them drain already are no more outdated: they leave anyway."""
    stays, leaves = pod(OLD, "stays"), pod(OLD, "leaves")
    one = seen(
        [stays, leaves],
        beat(stays, running=1),
        beat(leaves, "draining", running=1, draining=True),
        deployments=[deployment(OLD, 2)],
    )
    views = {worker.view.id: worker.view for worker in one.workers.values()}
    assert (views["stays@studio"].outdated, views["stays@studio"].phase) == (True, Phase.READY)
    assert (views["leaves@studio"].outdated, views["leaves@studio"].recallable) == (False, False)
    assert len(one.of(OLD.deployment)) == 2


def test_who_cannot_ask_redis_knows_of_no_work() -> None:
    """Not zero but unknown; and no worker looks empty by that."""
    one = seen([P, pod(NEW, "q")], blind=True, told={"q@studio"})
    assert one.observation.demand is None
    assert not any(worker.empty for worker in one.workers.values())
    assert all(worker.view.running for worker in one.workers.values())


@pytest.mark.parametrize(("blind", "empty"), [(False, True), (True, False)])
def test_who_was_told_while_it_started_is_empty_unless_it_cannot_be_heard(*, blind: bool, empty: bool) -> None:
    """Our watch may show a worker late that has long been up and at work: while Redis is away, nobody is let go."""
    starting = pod(NEW, "p", **STARTING)
    assert only(seen([starting], told=("p@studio",), blind=blind)).empty is empty


def test_what_redis_knows_is_passed_on() -> None:
    """Counts as they are, times in seconds."""
    one = sight(look(waiting=3, running=2), now=NOW, revisions=[NEW], deployments={}, pods={})
    facts = one.observation
    assert (facts.waiting, facts.running, facts.due, facts.oldest_wait, facts.service_seconds) == (3, 2, 0, 2.5, None)
    assert (facts.now, facts.workers) == (NOW, ())


def test_workers_stand_in_order_of_pool_and_age() -> None:
    """Of equals the last is the first to leave: the youngest, and of the last pool."""
    rest = replace(NEW, pool="rest", deployment=NEW.deployment.replace("spot", "rest"))
    pods = [
        pod(rest, "r"),
        pod(NEW, "young", created=NOW - 1),
        pod(NEW, "old", created=NOW - 9),
        pod(OLD, "gone", pool="x"),
    ]
    one = sight(look(), now=NOW, revisions=[NEW, rest], deployments={}, pods={each.name: each for each in pods})
    assert [worker.view.id.split("@")[0] for worker in one.workers.values()] == ["old", "young", "r", "gone"]
