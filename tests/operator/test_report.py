"""What people are told of a queue: its status and its Events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types of its own

from genfleet.contract.reasons import Reason
from genfleet.contract.status import PoolStatus, QueueStatus
from genfleet.scaling.decide import Decision
from genfleet_operator import report, reporter
from genfleet_operator.report import Fault, Notice, Outcome, Trouble
from genfleet_operator.sight import sight
from genfleet_operator.world import Pod
from tests.operator.queues import NOW, UID, beat, container, deployment, look, plan, pod, queue

ROOT = Path(__file__).parents[2]
CRD = yaml.safe_load((ROOT / "crds" / "generationqueues.genfleet.dev.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
TIME = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLAN = plan()


def decided(replicas: int, reason: Reason = Reason.STEADY, explanation: str = "Told.") -> Decision:
    """A decision for so many workers."""
    demand = None if reason is Reason.DEMAND_UNKNOWN else 0
    return Decision(
        replicas=replicas, needed=replicas, reason=reason, explanation=explanation, demand=demand, memory=()
    )


def outcome(
    decision: Decision, *, ready: int = 1, blind: bool = False, trouble: Trouble | None = None, **spec: Any
) -> Outcome:
    """What a look at a queue with so many ready workers came to."""
    pods = [pod(PLAN, f"p{at}") for at in range(ready)]
    made = {PLAN.deployment: deployment(PLAN, ready)}
    seen = sight(
        None if blind else look(*map(beat, pods), waiting=2),
        now=NOW,
        revisions=[PLAN],
        deployments=made,
        pods={one.name: one for one in pods},
    )
    return Outcome(
        queue=queue({"name": "spot"}, **spec),
        generation=7,
        seen=seen,
        decision=decision,
        pools=report.pools_of([PLAN], seen, made),
        trouble=trouble or Trouble(),
    )


def conditions(status: QueueStatus) -> dict[str, tuple[str, str]]:
    """State and reason by type."""
    return {one.type: (one.status, one.reason) for one in status.conditions}


# -- conditions ----------------------------------------------------------------------------------------------------------

GOOD = {
    "Ready": ("True", "WorkersReady"),
    "ScalingActive": ("True", "FollowingDemand"),
    "ScalingLimited": ("False", "WithinBounds"),
    "Degraded": ("False", "AsExpected"),
}


@pytest.mark.parametrize(
    ("decision", "trouble", "differs"),
    [
        pytest.param(decided(1), None, {}, id="all is well"),
        pytest.param(decided(2), None, {"Ready": ("False", "WorkersStarting")}, id="one starts"),
        pytest.param(
            decided(2),
            Trouble(Fault.WORKERS_FAILING, "x"),
            {"Ready": ("False", "WorkersFailing"), "Degraded": ("True", "WorkersFailing")},
            id="one fails",
        ),
        pytest.param(
            decided(2),
            Trouble(Fault.UNSCHEDULABLE, "x"),
            {"Ready": ("False", "Unschedulable"), "Degraded": ("True", "Unschedulable")},
            id="one finds no node",
        ),
        pytest.param(
            decided(1, Reason.AT_MAXIMUM), None, {"ScalingLimited": ("True", "AtMaximum")}, id="the maximum decides"
        ),
        pytest.param(
            decided(1, Reason.AT_MINIMUM), None, {"ScalingLimited": ("True", "AtMinimum")}, id="the minimum decides"
        ),
        pytest.param(
            decided(1, Reason.SCHEDULED_FLOOR),
            None,
            {"ScalingLimited": ("True", "ScheduledFloor")},
            id="the schedule decides",
        ),
        pytest.param(
            decided(1, Reason.DEMAND_UNKNOWN),
            Trouble(Fault.REDIS_UNREACHABLE, "x"),
            {"ScalingActive": ("False", "DemandUnknown"), "Degraded": ("True", "RedisUnreachable")},
            id="blind",
        ),
        pytest.param(decided(1, Reason.PAUSED), None, {"ScalingActive": ("False", "Paused")}, id="paused"),
        pytest.param(
            decided(1),
            Trouble(Fault.APPLY_FAILED, "x"),
            {"ScalingActive": ("False", "ApplyFailed"), "Degraded": ("True", "ApplyFailed")},
            id="refused by the API server",
        ),
        pytest.param(
            decided(1),
            Trouble(Fault.SCALED_BY_ANOTHER, "x"),
            {"ScalingActive": ("False", "ScaledByAnother"), "Degraded": ("True", "ScaledByAnother")},
            id="an autoscaler is at it",
        ),
        pytest.param(
            decided(1),
            Trouble(Fault.INVALID_SPEC, "x"),
            {"Degraded": ("True", "InvalidSpec")},
            id="the last good version goes on",
        ),
    ],
)
def test_conditions(decision: Decision, trouble: Trouble | None, differs: dict[str, tuple[str, str]]) -> None:
    """Four aspects, each with the state that people and `kubectl wait` look for."""
    status = report.status(outcome(decision, trouble=trouble), None, TIME)
    assert conditions(status) == GOOD | differs
    assert all(one.observed_generation == 7 for one in status.conditions)


def test_scaled_to_zero_is_ready() -> None:
    """Nothing to do and nobody there is how it should be."""
    assert conditions(report.status(outcome(decided(0), ready=0), None, TIME))["Ready"] == ("True", "ScaledToZero")


@pytest.mark.parametrize(
    ("trouble", "degraded", "message"),
    [
        (None, "", "Told."),
        (
            Trouble(Fault.WORKERS_FAILING, "pool spot: CrashLoopBackOff"),
            "WorkersFailing",
            "pool spot: CrashLoopBackOff",
        ),
    ],
)
def test_what_kubectl_get_shows(trouble: Trouble | None, degraded: str, message: str) -> None:
    """Beside the reason for the number: what needs a person, and nothing when nothing does."""
    status = report.status(outcome(decided(1, Reason.AT_MINIMUM), trouble=trouble), None, TIME)
    assert (status.degraded, status.message) == (degraded, message)
    columns = {one["name"]: one["jsonPath"] for one in CRD["spec"]["versions"][0]["additionalPrinterColumns"]}
    assert (columns["Degraded"], columns["Message"]) == (".status.degraded", ".status.message")


NEW, OLD = PLAN, plan(container(image="old:1"))
PENDING: dict[str, Any] = {"phase": "Pending", "ready": False, "assigned": False, "unschedulable_since": NOW - 9}
HOMELESS = PENDING | {"trouble": "Unschedulable: no GPU"}
CRASHING: dict[str, Any] = {"ready": False, "trouble": "CrashLoopBackOff: exit code 2"}


@pytest.mark.parametrize(
    ("pods", "failing", "unschedulable", "message"),
    [
        pytest.param([pod(NEW, "a")], 0, 0, "", id="all is well"),
        pytest.param([pod(NEW, "a", **HOMELESS)], 0, 1, "Unschedulable: no GPU", id="no node"),
        pytest.param([pod(NEW, "a", **CRASHING)], 1, 0, "CrashLoopBackOff: exit code 2", id="a crash"),
        pytest.param(
            [pod(NEW, "a", **HOMELESS), pod(NEW, "b", **CRASHING)],
            1,
            1,
            "CrashLoopBackOff: exit code 2",
            id="a crash before a missing node",
        ),
        pytest.param([pod(OLD, "a", **HOMELESS), pod(OLD, "b", **CRASHING)], 0, 0, "", id="nothing of outdated pods"),
        pytest.param(
            [pod(OLD, "a", **HOMELESS), pod(NEW, "b", **CRASHING)],
            1,
            0,
            "CrashLoopBackOff: exit code 2",
            id="a mended mistake does not hide the next one",
        ),
    ],
)
def test_what_the_workers_of_a_pool_run_into(pods: list[Pod], failing: int, unschedulable: int, message: str) -> None:
    """Only of the revision in force: the others leave."""
    made = {one.deployment: deployment(one, sum(each.revision == one.revision for each in pods)) for one in (NEW, OLD)}
    heard = look(*(beat(one) for one in pods if one.ready))
    seen = sight(heard, now=NOW, revisions=[NEW], deployments=made, pods={one.name: one for one in pods})
    (pool,) = report.pools_of([NEW], seen, made)
    assert (pool.failing, pool.unschedulable, pool.message) == (failing, unschedulable, message)


def test_a_pool_names_no_deployment_that_is_not_there() -> None:
    """One that the API server did not take is not to be looked for. Pods that it cannot make are failing workers."""
    nothing = sight(look(), now=NOW, revisions=[NEW], deployments={}, pods={})
    assert [pool.deployment for pool in report.pools_of([NEW], nothing, {})] == [""]
    made = {NEW.deployment: deployment(NEW, 2, failure="exceeded quota")}
    (pool,) = report.pools_of([NEW], sight(look(), now=NOW, revisions=[NEW], deployments=made, pods={}), made)
    assert (pool.deployment, pool.failing, pool.message) == (NEW.deployment, 2, "exceeded quota")


@pytest.mark.parametrize(
    ("running", "rest"), [(0, "."), (1, "; 1 worker(s) of it at work finish their tasks and leave.")]
)
def test_a_new_revision_is_an_event(running: int, rest: str) -> None:
    """With both revisions, and who still works on the old one."""
    one = pod(OLD, "a")
    made = {NEW.deployment: deployment(NEW, 0), OLD.deployment: deployment(OLD, 1)}
    seen = sight(look(beat(one, running=running)), now=NOW, revisions=[NEW], deployments=made, pods={"a": one})
    told = report.takeover(OLD, NEW, seen)
    assert told.note == f"pool spot: revision {NEW.revision} takes over from {OLD.revision}{rest}"
    assert (told.reason, told.warning) == ("NewRevision", False)


# -- the whole status ----------------------------------------------------------------------------------------------------


def test_the_numbers() -> None:
    """As they were seen."""
    status = report.status(outcome(decided(3), ready=2), None, TIME)
    assert (status.waiting, status.running, status.oldest_wait_seconds) == (2, 0, 2)
    assert (status.desired, status.replicas, status.ready, status.draining, status.workers) == (3, 2, 2, 0, "2/3")
    assert [(one.name, one.replicas, one.ready) for one in status.pools] == [("spot", 2, 2)]


def test_what_is_not_known_is_left_out() -> None:
    """Not zero: the fields are not there."""
    status = report.status(outcome(decided(1, Reason.DEMAND_UNKNOWN), blind=True), None, TIME)
    written = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert not {"waiting", "running", "oldestWaitSeconds"} & written.keys()


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("reason", Reason)
def test_the_api_server_takes_every_status(reason: Reason, blind: bool) -> None:
    """By the schema of the custom resource definition, with texts that are far too long."""
    long = "x" * 5000
    status = report.status(
        outcome(decided(1, reason, long), blind=blind, trouble=Trouble(Fault.APPLY_FAILED, long)), None, TIME
    )
    refused = report.refused(8, Trouble(Fault.INVALID_SPEC, long), status, TIME)
    for one in (status, refused):
        written = one.model_dump(mode="json", by_alias=True, exclude_none=True)
        Draft202012Validator(SCHEMA).validate(written)
        assert written.keys() <= SCHEMA["properties"].keys()
        QueueStatus.model_validate_json(one.model_dump_json(by_alias=True, exclude_none=True))


def test_times_stay_where_nothing_changed() -> None:
    """Of each condition for itself, and of the last decision."""
    later = TIME + timedelta(minutes=5)
    first = report.status(outcome(decided(1)), None, TIME)
    same = report.status(outcome(decided(1, explanation="Other numbers.")), first, later)
    assert same == first
    changed = report.status(outcome(decided(2, Reason.DEMAND_ROSE)), first, later)
    times = {one.type: one.last_transition_time for one in changed.conditions}
    assert times.pop("Ready") == "2026-11-23T12:05:00Z"
    assert set(times.values()) == {"2026-11-23T12:00:00Z"}
    assert changed.last_decision
    assert (changed.last_decision.replicas, changed.last_decision.time) == (2, "2026-11-23T12:05:00Z")


def test_a_refused_resource_keeps_its_numbers() -> None:
    """What runs, goes on, and the status says what is wrong."""
    trouble = Trouble(Fault.INVALID_SPEC, "minReplicas")
    first = report.refused(1, trouble, None, TIME)
    assert conditions(first) == {kind: (state, "InvalidSpec") for kind, state in REFUSED.items()}
    kept = report.refused(2, trouble, report.status(outcome(decided(1)), None, TIME), TIME)
    assert (kept.desired, kept.observed_generation) == (1, 2)
    assert (kept.degraded, kept.message) == (first.degraded, first.message) == ("InvalidSpec", "minReplicas")


REFUSED = {"Ready": "False", "ScalingActive": "False", "Degraded": "True"}


# -- trouble and Events --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pools", "fault", "message"),
    [
        ([], Fault.NONE, ""),
        ([PoolStatus(name="a", ready=2)], Fault.NONE, ""),
        (
            [PoolStatus(name="a"), PoolStatus(name="b", failing=1, message="ImagePullBackOff")],
            Fault.WORKERS_FAILING,
            "pool b: Image",
        ),
        (
            [PoolStatus(name="a", unschedulable=2, message="no GPU"), PoolStatus(name="b", unschedulable=1)],
            Fault.UNSCHEDULABLE,
            "3 worker(s) find no node; pool a: no GPU",
        ),
        (
            [
                PoolStatus(name="a", unschedulable=2, message="no GPU"),
                PoolStatus(name="b", failing=1, unschedulable=1, message="CrashLoopBackOff"),
            ],
            Fault.WORKERS_FAILING,
            "pool b: Crash",
        ),
    ],
)
def test_what_workers_run_into(pools: list[PoolStatus], fault: Fault, message: str) -> None:
    """The gravest first, with the pool and Kubernetes' own words."""
    found = report.trouble_of(pools)
    assert found.fault is fault
    assert found.message.startswith(message)


def test_an_event_fits_the_api() -> None:
    """Its note is cut at what Kubernetes takes, and it points at the queue."""
    made = report.event(("studio", "video"), UID, Notice(reason="DemandRose", note="x" * 5000, warning=True), TIME, 3)
    assert len(made["note"]) <= 1024
    assert (made["type"], made["regarding"]["uid"]) == ("Warning", UID)
    assert made["metadata"]["namespace"] == made["regarding"]["namespace"] == "studio"
    assert made["eventTime"] == "2026-11-23T12:00:00.000000Z"
    other = report.event(("studio", "video"), UID, Notice(reason="DemandRose", note=""), TIME, 4)
    assert other["metadata"]["name"] != made["metadata"]["name"]


def test_what_the_command_line_shows() -> None:
    """The same keys as the local fleet, and the trouble behind the explanation."""
    shown = report.shown(outcome(decided(1), trouble=Trouble(Fault.UNSCHEDULABLE, "No node.")))
    assert shown == {
        "wanted": 1,
        "starting": 0,
        "ready": 1,
        "draining": 0,
        "busy": 0,
        "minimum": 0,
        "maximum": 10,
        "reason": "Steady",
        "trouble": "Unschedulable",
        "explanation": "Told. No node.",
    }


# -- when a status is written --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "age", "due", "urgent"),
    [
        pytest.param({}, 99, False, False, id="nothing changed"),
        pytest.param({"waiting": 9}, 1, False, False, id="a number"),
        pytest.param({"waiting": 9}, 5, True, False, id="a number, after a while"),
        pytest.param({"ready": 5}, 0, True, True, id="who is ready"),
        pytest.param({"desired": 5}, 0, True, True, id="how many are wanted"),
        pytest.param({"observed_generation": 8}, 0, True, True, id="a new version was acted on"),
        pytest.param({"conditions": ()}, 0, True, True, id="a condition"),
    ],
)
def test_when_a_status_is_written(change: dict[str, Any], age: float, due: bool, urgent: bool) -> None:
    """What people wait for at once, numbers every few seconds, the same again never."""
    before = report.status(outcome(decided(1)), None, TIME)
    page = reporter._Page(before.model_copy(update=change), written=before, written_at=100)
    assert (reporter._is_due(page, 100 + age), reporter._is_urgent(page)) == (due, urgent)


def test_a_status_that_was_never_written_is_urgent() -> None:
    """So that `kubectl get` shows something from the start."""
    page = reporter._Page(report.status(outcome(decided(1)), None, TIME))
    assert reporter._is_urgent(page)
    assert reporter._is_due(page, 0)
