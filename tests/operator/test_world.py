"""What is known of the cluster, whatever order its news comes in and however strange an object is."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genfleet_operator.world import World, deployment, moment, pod, queue_document

LABELS = {"genfleet.dev/queue": "video", "genfleet.dev/pool": "spot", "genfleet.dev/revision": "0a1b2c3d"}
OWNERS = [{"kind": "GenerationQueue", "name": "video", "controller": True}]
KEY = ("studio", "video")


def thing(name: str, version: int, **more: Any) -> dict[str, Any]:
    """An object of ours."""
    meta = {"name": name, "namespace": "studio", "labels": LABELS, "resourceVersion": str(version)}
    return {"metadata": meta | {"ownerReferences": OWNERS}, "spec": {}, **more}


def replicas(world: World) -> int | None:
    """Of the Deployment that a test is about."""
    known = world.deployments.get(KEY, {}).get("d")
    return known.replicas if known else None


@settings(deadline=None)
@given(st.permutations(range(1, 6)))
def test_the_newest_version_counts_in_any_order(order: list[int]) -> None:
    """Watches, lists and answers to our own writes come as they like."""
    world = World()
    for version in order:
        world.take_deployment("MODIFIED", thing("d", version, spec={"replicas": version}))
    assert replicas(world) == 5


def test_the_same_version_again_is_taken() -> None:
    """A list brings what a watch brought, and nothing is lost by that."""
    world = World()
    for _ in range(2):
        world.take_deployment(None, thing("d", 7, spec={"replicas": 3}))
    assert replicas(world) == 3


def test_what_is_deleted_is_gone_and_may_come_again() -> None:
    """Under its name a new object may be made, with a higher version."""
    world = World()
    world.take_deployment("ADDED", thing("d", 3, spec={"replicas": 1}))
    world.take_deployment("DELETED", thing("d", 4))
    assert replicas(world) is None
    assert KEY not in world.deployments
    world.take_deployment("ADDED", thing("d", 5, spec={"replicas": 2}))
    assert replicas(world) == 2


def test_an_old_deletion_does_not_remove_the_new_object() -> None:
    """The object was made again before we heard that the old one is gone."""
    world = World()
    world.take_deployment("ADDED", thing("d", 9, spec={"replicas": 2}))
    world.take_deployment("DELETED", thing("d", 4))
    assert replicas(world) == 2


def test_pods_that_are_gone_are_kept_for_who_cleans_up() -> None:
    """With what is needed to find their worker."""
    world = World()
    world.take_pod("ADDED", thing("p", 1))
    world.take_pod("DELETED", thing("p", 2))
    assert [one.worker for one in world.gone] == ["p@studio"]
    assert world.pods == {}


@pytest.mark.parametrize("kind", ["queue", "deployment", "pod"])
def test_a_list_removes_what_it_does_not_show(kind: str) -> None:
    """A watch that died without a word has not told of it."""
    world = World()
    take = {"queue": world.take_queue, "deployment": world.take_deployment, "pod": world.take_pod}[kind]
    for name in ("a", "b"):
        take("ADDED", thing(name, 1))
    world.changed.clear()
    world.forget_absent(kind, [thing("a", 1)], (), world.known(kind))
    assert world.known(kind) == {("studio", "a")}
    assert world.changed
    take("ADDED", thing("b", 1))
    assert world.known(kind) == {("studio", "a"), ("studio", "b")}


def test_a_list_leaves_what_came_while_it_was_made() -> None:
    """It was not known before the list, and need not be in it."""
    world = World()
    world.take_pod("ADDED", thing("a", 1))
    known = world.known("pod")
    world.take_pod("ADDED", thing("b", 2))
    world.forget_absent("pod", [thing("a", 1)], (), known)
    assert world.known("pod") == {("studio", "a"), ("studio", "b")}


def test_a_list_of_one_namespace_says_nothing_of_others() -> None:
    """What we do not look after any more is not taken for gone."""
    world = World()
    world.take_pod("ADDED", thing("a", 1))
    world.forget_absent("pod", [], ("elsewhere",), world.known("pod"))
    assert world.known("pod") == {("studio", "a")}


def test_every_change_names_its_queue() -> None:
    """So that the next look is at the queues that something happened to."""
    world = World()
    for kind, take in (("d", world.take_deployment), ("p", world.take_pod)):
        world.changed.clear()
        take("ADDED", thing(kind, 1))
        assert world.changed == {KEY}
    world.take_queue("ADDED", thing("voice", 1))
    assert world.changed == {KEY, ("studio", "voice")}


@pytest.mark.parametrize("labels", [None, {}, {"genfleet.dev/queue": "video"}, {"genfleet.dev/pool": "spot"}])
def test_what_is_not_ours_is_left_out(labels: dict[str, str] | None) -> None:
    """Objects of others, and those that somebody took our labels from."""
    obj = thing("x", 1)
    obj["metadata"]["labels"] = labels
    assert deployment(obj) is None
    assert pod(obj) is None


def test_an_object_with_nothing_in_it_is_read() -> None:
    """No status, no spec, no times: as the API server shows what was made a moment ago."""
    bare = {"metadata": {"name": "x", "namespace": "studio", "labels": LABELS, "ownerReferences": OWNERS}}
    seen, made, declared = pod(bare), deployment({**bare, "spec": None, "status": None}), queue_document(bare)
    assert seen
    assert (seen.phase, seen.assigned, seen.ready, seen.cost, seen.ours, seen.trouble) == (
        "Pending",
        False,
        False,
        0,
        True,
        "",
    )
    assert made
    assert (made.replicas, made.failure) == (1, "")
    assert declared.document["spec"] is None


@pytest.mark.parametrize(
    ("written", "cost", "ours"),
    [
        ("-1000", -1000, True),
        ("0", 0, True),
        ("5", 5, False),
        ("+5", 5, False),
        ("-2147483648", -2147483648, False),
        ("many", 0, False),
        ("", 0, False),
        ("1.5", 0, False),
        ("--5", 0, False),
        ("-", 0, False),
        ("²", 0, False),
    ],
)
def test_deletion_costs_of_others_are_read_and_told_apart(written: str, cost: int, ours: bool) -> None:
    """One that is no number is 0 for Kubernetes, too."""
    obj = thing("p", 1)
    obj["metadata"]["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": written}
    seen = pod(obj)
    assert seen
    assert (seen.cost, seen.ours) == (cost, ours)


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        ({}, ""),
        ({"conditions": [{"type": "PodScheduled", "status": "True"}]}, ""),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPU"}
                ]
            },
            "Unschedulable: no GPU",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "ImagePullBackOff"),
        (
            {
                "containerStatuses": [
                    {"state": {}},
                    {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "5m"}}},
                ]
            },
            "CrashLoopBackOff: 5m",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                        "lastState": {
                            "terminated": {"exitCode": 2, "reason": "Error", "message": "GENFLEET_QUEUE: no\n"}
                        },
                    }
                ]
            },
            "CrashLoopBackOff: exit code 2: GENFLEET_QUEUE: no",
        ),
        (
            {"containerStatuses": [{"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]},
            "OOMKilled: exit code 137",
        ),
        (
            {
                "containerStatuses": [
                    {"state": {"running": {}}, "started": False, "lastState": {"terminated": {"exitCode": 2}}}
                ]
            },
            "Error: exit code 2",
        ),
        (
            {
                "containerStatuses": [
                    {"state": {"running": {}}, "started": True, "lastState": {"terminated": {"exitCode": 2}}}
                ]
            },
            "",
        ),
        ({"initContainerStatuses": [{"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}, ""),
        ({"containerStatuses": None, "conditions": None}, ""),
    ],
)
def test_why_a_pod_does_not_run(status: dict[str, Any], trouble: str) -> None:
    """In Kubernetes' words, and only what will not pass by itself."""
    seen = pod(thing("p", 1, status=status))
    assert seen
    assert seen.trouble == trouble


def test_why_pods_cannot_be_made() -> None:
    """A quota, as the Deployment's conditions tell it."""
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    conditions = [{"type": "Progressing", "status": "True"}, failure]
    made = deployment(thing("d", 1, status={"conditions": conditions}))
    assert made
    assert made.failure == "exceeded quota"


def test_times_are_those_of_kubernetes() -> None:
    """Seconds since the epoch; none is 0."""
    assert moment("2026-11-23T10:00:00Z") == 1795428000
    assert moment("2026-11-23T10:00:00.000001Z") == pytest.approx(1795428000.000001)
    assert moment(None) == moment("") == 0


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_news_leads_to_what_is_there(chance: random.Random) -> None:
    """Some events are lost and the others come in any order: after a list, the world is as it is."""
    world = World()
    there: dict[str, int] = {}
    events = []
    for version in range(1, 21):
        name = chance.choice("abc")
        if name in there and chance.random() < 0.4:
            there.pop(name)
            events.append(("DELETED", thing(name, version)))
        else:
            there[name] = version
            events.append(("MODIFIED", thing(name, version, spec={"replicas": version})))
    chance.shuffle(events)
    for event, obj in events[: chance.randrange(20)]:
        world.take_deployment(event, obj)
    known = world.known("deployment")
    listed = [thing(name, number, spec={"replicas": number}) for name, number in there.items()]
    for obj in listed:
        world.take_deployment(None, obj)
    world.forget_absent("deployment", listed, (), known)
    assert {name: one.replicas for name, one in world.deployments.get(KEY, {}).items()} == there
