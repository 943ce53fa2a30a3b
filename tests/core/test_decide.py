"""The scaling decision, case by case, and its steps one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from genfleet.contract.reasons import Reason
from genfleet.scaling.decide import Memory, Want, bounded, decide, wanted, window
from genfleet.scaling.observation import Observation, Phase, WorkerView
from genfleet.scaling.policy import Policy, TasksPerWorker, WaitTarget
from genfleet.scaling.schedule import Window
from tests.core.fleets import NOW, POLICY, SEEN, workers

OLD = WorkerView("old", Phase.READY, outdated=True)
"""A worker of an earlier revision."""
OLD_AT_WORK = replace(OLD, id="old at work", running=1)
ALWAYS_TWO = (Window("* * * * *", 3600, 2),)


def case(story: str, replicas: int, reason: Reason, *, memory: Memory = (), rules: Any = None, **seen: Any) -> Any:
    """A row of the table: what is decided, and of what. Only what the story is about is given."""
    return pytest.param(replace(POLICY, **(rules or {})), replace(SEEN, **seen), memory, replicas, reason, id=story)


def wanted_until(seconds_ago: float, replicas: int) -> Memory:
    """The memory of a fleet that wanted so many until then, and none since."""
    return (Want(replicas, NOW - seconds_ago), Want(0, NOW - 1))


CASES = [
    case("no work and no workers is a steady state", 0, Reason.STEADY),
    case("the first task brings the first worker", 1, Reason.DEMAND_ROSE, waiting=1),
    case("all workers are asked for in one step", 5, Reason.DEMAND_ROSE, waiting=9),
    case("retries that come due are work too", 2, Reason.DEMAND_ROSE, due=3),
    case("running tasks keep their workers", 2, Reason.STEADY, running=4, workers=workers(busy=2)),
    case("no work lifts the maximum", 10, Reason.AT_MAXIMUM, waiting=99),
    case("work that just fits is not limited", 10, Reason.DEMAND_ROSE, waiting=20),
    case("the minimum needs no work", 2, Reason.AT_MINIMUM, rules={"min_replicas": 2}),
    case("an open window needs no work", 2, Reason.SCHEDULED_FLOOR, rules={"floors": ALWAYS_TWO}),
    case("work rises above a window", 5, Reason.DEMAND_ROSE, rules={"floors": ALWAYS_TWO}, waiting=9),
    case("who just started takes what runs as wanted", 3, Reason.COOLING_DOWN, workers=workers(idle=3)),
    case(
        "within the cooldown nobody leaves",
        3,
        Reason.COOLING_DOWN,
        memory=wanted_until(59, 3),
        workers=workers(idle=3),
    ),
    case(
        "after the cooldown idle workers leave",
        0,
        Reason.DEMAND_FELL,
        memory=wanted_until(60, 3),
        workers=workers(idle=3),
    ),
    case(
        "it shrinks to the largest want of the last cooldown",
        3,
        Reason.COOLING_DOWN,
        memory=(Want(5, NOW - 90), Want(3, NOW - 30), Want(0, NOW - 2)),
        workers=workers(idle=5),
    ),
    case(
        "a small steady load lets a large fleet shrink to its size",
        1,
        Reason.DEMAND_FELL,
        memory=(Want(5, NOW - 60), Want(1, NOW - 2)),
        running=1,
        workers=workers(busy=1, idle=4),
    ),
    case(
        "a lapsed want starts nobody",
        1,
        Reason.COOLING_DOWN,
        memory=wanted_until(30, 8),
        workers=workers(idle=1),
    ),
    case(
        "a gap between two looks is not idle time",
        5,
        Reason.COOLING_DOWN,
        memory=(Want(5, NOW - 900),),
        workers=workers(idle=5),
    ),
    case(
        "a clock that stepped back holds nobody for longer",
        0,
        Reason.DEMAND_FELL,
        memory=wanted_until(-3600, 5),
        workers=workers(idle=5),
    ),
    case("no cooldown, no delay", 0, Reason.DEMAND_FELL, rules={"cooldown": 0}, workers=workers(idle=3)),
    case(
        "a worker with a task is never asked to leave",
        3,
        Reason.WORKERS_BUSY,
        memory=wanted_until(60, 3),
        running=3,
        workers=workers(busy=3),
    ),
    case(
        "a lowered maximum is the maximum",
        2,
        Reason.AT_MAXIMUM,
        rules={"max_replicas": 2},
        running=3,
        workers=workers(busy=3),
    ),
    case("tasks that end on leaving workers need no other", 0, Reason.STEADY, running=2, workers=workers(leaving=2)),
    case(
        "an outdated worker leaves with its task, and is not missed",
        0,
        Reason.STEADY,
        running=1,
        workers=(OLD_AT_WORK,),
    ),
    case(
        "but while work waits it is at work like any other",
        1,
        Reason.STEADY,
        running=1,
        waiting=1,
        workers=(OLD_AT_WORK,),
    ),
    case(
        "the minimum is kept beside an outdated worker at work",
        1,
        Reason.AT_MINIMUM,
        rules={"min_replicas": 1},
        running=1,
        workers=(OLD_AT_WORK,),
    ),
    case(
        "an idle outdated worker is kept by the cooldown",
        1,
        Reason.COOLING_DOWN,
        memory=wanted_until(30, 1),
        workers=(OLD,),
    ),
    case("a silent broker changes nothing", 3, Reason.DEMAND_UNKNOWN, waiting=None, workers=workers(idle=3)),
    case(
        "a silent broker does not lift the maximum",
        2,
        Reason.DEMAND_UNKNOWN,
        rules={"max_replicas": 2},
        waiting=None,
        workers=workers(idle=3),
    ),
    case(
        "a paused queue keeps only who is at work",
        1,
        Reason.PAUSED,
        rules={"paused": True, "min_replicas": 3},
        waiting=50,
        running=1,
        workers=workers(busy=1, idle=3),
    ),
    case(
        "a queue that was paused by the API is paused as well",
        1,
        Reason.PAUSED,
        rules={"min_replicas": 3},
        waiting=50,
        running=1,
        paused=True,
        workers=workers(busy=1, idle=3),
    ),
    case(
        "a paused queue that cannot be seen guesses not who is idle",
        2,
        Reason.DEMAND_UNKNOWN,
        rules={"paused": True, "min_replicas": 3},
        waiting=None,
        workers=workers(idle=2),
    ),
]


@pytest.mark.parametrize(("policy", "seen", "memory", "replicas", "reason"), CASES)
def test_the_decision(policy: Policy, seen: Observation, memory: Memory, replicas: int, reason: Reason) -> None:
    """Each case ends in the number and in the reason that its story tells."""
    decision = decide(policy, seen, memory)
    assert (decision.replicas, decision.reason) == (replicas, reason), decision.explanation


def test_what_the_cooldown_keeps_is_not_needed() -> None:
    """Of three that stay the work asks for one: only for that one may another start."""
    decision = decide(POLICY, replace(SEEN, waiting=1, workers=workers(idle=3)), wanted_until(30, 3))
    assert (decision.replicas, decision.needed, decision.reason) == (3, 1, Reason.COOLING_DOWN)


@pytest.mark.parametrize(
    ("at_work", "leaving", "says"),
    [
        (0, 0, "The queue is paused: no worker holds a task."),
        (1, 0, "The queue is paused: 1 worker at work, to finish and leave."),
        (1, 1, "The queue is paused: 2 workers at work, to finish and leave."),
    ],
)
def test_the_explanation_of_a_pause(at_work: int, leaving: int, says: str) -> None:
    """Who holds a task is told of, also when it was told to leave already."""
    seen = replace(SEEN, paused=True, running=at_work + leaving, workers=workers(idle=1, busy=at_work, leaving=leaving))
    assert decide(POLICY, seen).explanation == says


def test_the_stories_are_complete() -> None:
    """There is a story for each reason of the closed list."""
    assert {told.values[-1] for told in CASES} == set(Reason)


@pytest.mark.parametrize(
    ("target", "concurrency", "tasks", "service", "workers_wanted"),
    [
        pytest.param(TasksPerWorker(4), 1, 9, 30.0, 3, id="a share of tasks each, however long they take"),
        pytest.param(WaitTarget(60), 1, 12, 30.0, 6, id="twelve half minutes within one minute take six"),
        pytest.param(WaitTarget(60), 2, 12, 30.0, 3, id="or three that do two at once"),
        pytest.param(WaitTarget(60), 1, 3, 0.1, 1, id="a little work takes one"),
        pytest.param(WaitTarget(60), 1, 3, 600.0, 3, id="tasks longer than the target have a slot each, not more"),
        pytest.param(WaitTarget(60), 4, 9, None, 3, id="tasks of unknown length have a slot each"),
        pytest.param(WaitTarget(60), 1, 0, 30.0, 0, id="no work takes none"),
    ],
)
def test_what_the_tasks_ask_for(
    target: Any, concurrency: int, tasks: int, service: float | None, workers_wanted: int
) -> None:
    """The target turns tasks into workers."""
    policy = replace(POLICY, target=target, concurrency=concurrency)
    assert wanted(policy, replace(SEEN, waiting=tasks, service_seconds=service)) == workers_wanted


def test_the_bounds() -> None:
    """A number moves into the bounds, and where they cross the upper one holds."""
    assert [bounded(n, 2, 5) for n in (0, 2, 4, 5, 9)] == [2, 2, 4, 5, 5]
    assert bounded(3, 7, 5) == 5


def test_the_memory_keeps_what_a_later_want_did_not_reach() -> None:
    """Of the wants within the cooldown only those stay that are larger than every later one."""
    memory: Memory = ()
    for second, replicas in enumerate((4, 1, 3, 2)):
        memory = window(memory, replicas, replace(SEEN, now=NOW + second), cooldown=60)
    assert memory == (Want(4, NOW + 1), Want(3, NOW + 3), Want(2, NOW + 3))


def test_the_explanation_has_the_numbers() -> None:
    """A person can follow the decision from the tasks to the workers."""
    seen = replace(SEEN, waiting=10, running=2, oldest_wait=75.2, service_seconds=30.0, workers=workers(busy=2))
    assert decide(replace(POLICY, target=WaitTarget(60)), seen).explanation == (
        "12 tasks (10 waiting, the oldest for 75 s; 2 running; 0 due again): 6 workers needed, 1 at a time, "
        "to be done within 60 s at 30 s each; up from 2."
    )


def test_the_explanation_tells_how_long_the_cooldown_keeps() -> None:
    """Who wonders why idle workers stay reads until when."""
    explanation = decide(POLICY, replace(SEEN, workers=workers(idle=3)), wanted_until(45, 3)).explanation
    assert explanation.endswith("the cooldown keeps 3 for another 15 s.")
