"""An API server that is away, slow or out of order: what runs stays, and the operator goes on when it is well again (T23)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.support.api_objects import Manager
from tests.support.api_pods import AUTOSCALER, HUMAN
from tests.support.api_server import Ask, refusal
from tests.support.operators import Place, of_queue, queue
from tests.support.waiting import wait_for

OUTAGE_S = 1.5
RECOVERED_WITHIN_S = 12.0


@contextmanager
def _refusing_connections(there: Place) -> Iterator[None]:
    there.api.stop()
    try:
        yield
    finally:
        there.api.start()


def _all(_: Ask) -> bool:
    return True


def _outage(there: Place, kind: str) -> AbstractContextManager[object]:
    match kind:
        case "503":
            return there.api.fails(_all, refusal(503, "the server is starting", "ServiceUnavailable"))
        case "429":
            return there.api.fails(_all, refusal(429, "too many requests", "TooManyRequests", retry_after=1))
        case "no answer":
            return there.api.fails(_all, hangs=True)
        case _:
            return _refusing_connections(there)


@pytest.mark.parametrize("kind", ["503", "429", "connections refused", "no answer"])
def test_an_outage_holds_what_runs_and_ends_by_itself(there: Place, kind: str) -> None:
    """K3, T23: decisions go on and are told in Redis, tries are few, and seconds after the outage the work has workers."""
    there.submit()
    there.has(1)
    with _outage(there, kind):
        began = time.monotonic()
        there.submit()
        wait_for("the decision is told in Redis", lambda: there.shown().get("wanted") == 2)
        if kind != "no answer":
            wait_for("Redis tells of the outage", lambda: "the API server" in there.shown()["explanation"])
        wait_for("it lasts", lambda: time.monotonic() - began > OUTAGE_S)
        tries = there.api.asked_for(lambda ask: ask.writes, since=began)
        assert len(tries) <= 5 * OUTAGE_S + 2, tries
        assert there.replicas() == 1
    there.has(2, within=RECOVERED_WITHIN_S)
    wait_for("the trouble is over", lambda: not there.degraded() and there.condition("Degraded")[0], within=10)


@pytest.mark.parametrize("ending", ["in the stream", "silent"])
def test_a_watch_that_fails_is_made_up_for(there: Place, ending: str) -> None:
    """K1, K2: a history that is gone makes kopf list again, and a watch that tells nothing is covered by our own lists."""
    there.submit()
    there.has(1)
    if ending == "silent":
        there.api.silent = True
    else:
        there.api.objects.forget_history()
    there.edit("images", {"scaling": {"minReplicas": 2}})
    wait_for("the change is seen", lambda: there.replicas() == 2, within=10)
    there.api.silent = False


def test_a_status_that_may_not_be_written_keeps_nobody_from_scaling(there: Place) -> None:
    """T23: without the right to write status, workers follow the work all the same, and Redis tells of it."""
    with there.api.fails(lambda ask: ask.below == "status", refusal(403, "not allowed", "Forbidden")):
        there.submit(2)
        there.has(2)
        wait_for("it is told in Redis", lambda: there.shown().get("wanted") == 2)
    wait_for("status is written", lambda: there.condition("Ready")[0] == "True")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            403,
            'deployments "x" is forbidden: unable to create new content in namespace default because it is being terminated',
        ),
        (404, 'namespaces "default" not found'),
    ],
    ids=["terminating", "gone"],
)
def test_a_namespace_on_its_way_out_is_left_in_peace(there: Place, code: int, message: str) -> None:
    """K18: where nothing can be created any more, tries are few and nobody is alarmed."""
    with there.api.fails(of_queue("images"), refusal(code, message, "Forbidden")) as fault:
        there.submit()
        began = wait_for("a first try", lambda: fault.hits)[0].at
        wait_for("time passes", lambda: time.monotonic() - began > OUTAGE_S)
        assert len(fault.hits) <= 3
        assert not there.degraded()


def test_a_template_that_is_refused_is_told_and_troubles_no_other_queue(there: Place) -> None:
    """T23: a 422 becomes Degraded with the server's sentence, is tried less and less often, and others go on."""
    there.objects.create("generationqueues", queue("videos", queue="gpu_heavy", scaling={"minReplicas": 1}))
    sentence = 'Deployment.apps "images" is invalid: spec.template.spec.containers[0].image: Required value'
    with there.api.fails(of_queue("images"), refusal(422, sentence, "Invalid")) as fault:
        there.submit()
        wait_for("it is told", lambda: there.degraded() == "ApplyFailed")
        assert sentence in there.condition("Degraded")[2]
        there.edit("videos", {"scaling": {"minReplicas": 2}})
        wait_for("the other queue has its workers", lambda: there.replicas("videos") == 2)
        wait_for("a third try", lambda: len(fault.hits) >= 3)
        first, second, third = (ask.at for ask in fault.hits[:3])
        assert 0.8 < second - first < third - second
    there.edit("images", {"concurrency": 2})
    wait_for("a new version of the queue is tried at once", lambda: there.replicas("images") == 1, within=3)
    wait_for("it is well again", lambda: there.condition("Degraded")[0] == "False")


@pytest.mark.parametrize(
    ("code", "message", "reason", "says"),
    [
        (
            500,
            "failed to create typed patch object (x): .spec.template.spec.nodeSelectr: field not declared in schema",
            "InvalidTemplate",
            "pool 'default': template: spec.nodeSelectr is no field of a pod: correct or remove it",
        ),
        (422, "spec.nodeSelectr: not by our policy", "ApplyFailed", "not by our policy"),
    ],
    ids=["a slip of the pen", "a policy"],
)
def test_a_new_revision_that_is_refused_leaves_the_last_one_in_force(
    there: Place, code: int, message: str, reason: str, says: str
) -> None:
    """Work that comes gets workers of the last revision that was taken; the layer and the field are named, tries are few.

    Once it is mended, or the API server takes it after all, it takes over.
    """
    there.submit()
    there.has(1)
    (good,) = there.deployments()
    wrong = {"pools": [{"name": "default", "template": {"spec": {"nodeSelectr": {"pool": "gpu"}}}}]}

    def of_another(ask: Ask) -> bool:
        return of_queue("images")(ask) and ask.name != good

    with there.api.fails(of_another, refusal(code, message, "Invalid")) as fault:
        there.edit("images", wrong)
        wait_for("it is told", lambda: there.degraded() == reason)
        assert says in there.condition("Degraded")[2]
        there.submit(2)
        there.has(3)
        assert there.deployments() == {good: 3}
        began = time.monotonic()
        wait_for("time passes", lambda: time.monotonic() - began > OUTAGE_S)
        assert len(fault.hits) <= 4
        assert there.degraded() == reason, "scaling the last one does not hide it"
    wait_for("it is well again", lambda: there.condition("Degraded")[0] == "False", within=10)
    wait_for("the new one takes over", lambda: len(there.deployments()) == 1 and good not in there.deployments())
    wait_for("an Event tells", lambda: "NewRevision" in there.told())


def test_trouble_is_over_when_nothing_is_left_to_write(there: Place) -> None:
    """A refused change that nobody wants any more must not leave the queue Degraded for ever."""
    there.submit()
    there.has(1)
    with there.api.fails(of_queue("images"), refusal(422, "no", "Invalid")):
        there.edit("images", {"scaling": {"minReplicas": 2}})
        wait_for("it is told", lambda: there.degraded() == "ApplyFailed")
        there.edit("images", {"scaling": {"minReplicas": 0}})
        wait_for("it is well again", lambda: there.condition("Degraded")[0] == "False")


def test_writes_that_hang_cost_nobody_the_lead(there: Place) -> None:
    """More hanging writes than there are turns: the lease is renewed all the same."""
    for number in range(20):
        there.objects.create(
            "generationqueues", queue(f"slow-{number}", queue=f"slow_{number}", scaling={"minReplicas": 1})
        )

    def hangs(ask: Ask) -> bool:
        return ask.plural == "deployments" and ask.name.startswith("slow-")

    with there.api.fails(hangs, hangs=True) as fault:
        wait_for("writes hang", lambda: len(fault.hits) >= 16)
        began = time.monotonic()
        wait_for(
            "the lease is renewed twice meanwhile",
            lambda: len(there.api.asked_for(lambda ask: ask.plural == "leases", since=began)) >= 2,
            within=6,
        )
        there.api.cut_watches()


def _deployment(there: Place) -> tuple[str, str, str]:
    (found,) = there.objects.find("deployments")
    return "deployments", "default", found["metadata"]["name"]


def test_what_a_person_changes_by_hand_is_taken_back(there: Place) -> None:
    """K11: `kubectl scale` and `kubectl edit` are drift: repaired within seconds, against their ownership of the fields."""
    there.submit()
    there.has(1)
    key = _deployment(there)
    there.objects.merge(key, {"spec": {"replicas": 3}}, Manager("kubectl", "Update", "scale"))
    there.has(1)
    there.objects.merge(key, {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}}, HUMAN)
    wait_for(
        "the template is ours again",
        lambda: not there.objects.get(*key)["spec"]["template"]["spec"]["automountServiceAccountToken"],
    )
    there.objects.merge(key, {"metadata": {"annotations": {"team": "a"}}}, HUMAN)
    there.submit()
    there.has(2)
    assert there.objects.get(*key)["metadata"]["annotations"] == {"team": "a"}, "what is not ours stays"


def test_another_autoscaler_is_left_alone_and_told(there: Place) -> None:
    """K11: an HPA's number stays, the queue says who sets it, tries are few; when it writes no more, ours holds again.

    The HPA's ownership outlives it, as in Kubernetes: only its silence tells that it is gone.
    """
    there.submit()
    there.has(1)
    key = _deployment(there)
    there.objects.merge(key, {"spec": {"replicas": 2}}, AUTOSCALER)
    wait_for("it is told", lambda: there.degraded() == "ScaledByAnother")
    assert "kube-controller-manager" in there.condition("Degraded")[2]
    since = time.monotonic()
    wait_for("time passes", lambda: time.monotonic() - since > OUTAGE_S)
    assert there.replicas() == 2
    assert len(there.api.asked_for(of_queue("images"), since=since)) <= 3
    there.has(1, within=RECOVERED_WITHIN_S)
    wait_for("it is well again", lambda: there.condition("Degraded")[0] == "False")
