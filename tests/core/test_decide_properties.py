"""What holds of every scaling decision, whatever the rules, the work, the workers and the past."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from genfleet.contract.reasons import Reason
from genfleet.scaling.decide import Memory, Want, bounded, decide, wanted
from genfleet.scaling.observation import Observation, Phase, WorkerView
from genfleet.scaling.policy import Policy, TasksPerWorker, WaitTarget
from tests.core.fleets import NOW, SEEN, workers

patient = settings(deadline=None)
"""A busy machine is no fault of the decision."""

counts = st.integers(0, 3) | st.integers(0, 40)
fleets = st.lists(st.builds(WorkerView, st.uuids().map(str), st.sampled_from(Phase), st.integers(0, 4)), max_size=12)
targets = st.builds(WaitTarget, st.integers(1, 600)) | st.builds(TasksPerWorker, st.integers(1, 9))


def as_memory(wants: list[tuple[int, int]]) -> Memory:
    """Wants of these sizes and ages in seconds, in the order that a memory has: largest and oldest first."""
    sizes = sorted({size for size, _ in wants}, reverse=True)
    ages = sorted((age for _, age in wants), reverse=True)
    return tuple(Want(size, NOW - age) for size, age in zip(sizes, ages, strict=False))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any rules that a queue may have, but for the schedule and the pause."""
    low, high = sorted((draw(st.integers(0, 12)), draw(st.integers(0, 12))))
    return Policy(
        min_replicas=low,
        max_replicas=high,
        concurrency=draw(st.integers(1, 4)),
        target=draw(targets),
        cooldown=draw(st.integers(0, 300)),
    )


observations = st.builds(
    Observation,
    now=st.just(NOW),
    waiting=counts | st.none(),
    running=counts,
    due=counts,
    oldest_wait=st.none() | st.floats(0, 1e4),
    service_seconds=st.none() | st.floats(0, 1e4),
    paused=st.just(False),
    workers=fleets.map(tuple),
)
memories = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 400)), max_size=6).map(as_memory)


@patient
@given(policies(), observations, memories)
def test_the_bounds_always_hold(policy: Policy, seen: Observation, memory: Memory) -> None:
    """Whatever was seen, the number lies within the bounds, and somebody is told why."""
    decision = decide(policy, seen, memory)
    assert policy.min_replicas <= decision.replicas <= policy.max_replicas
    assert decision.explanation.endswith(".")
    assert decision.demand == seen.demand


@patient
@given(policies(), observations, memories)
def test_unseen_demand_holds(policy: Policy, seen: Observation, memory: Memory) -> None:
    """Without sight of the work, what runs stays within the bounds, and nothing is learnt or forgotten."""
    decision = decide(policy, replace(seen, waiting=None), memory)
    assert decision.replicas == bounded(seen.replicas, policy.min_replicas, policy.max_replicas)
    assert (decision.reason, decision.memory) == (Reason.DEMAND_UNKNOWN, memory)


@patient
@given(policies(), observations, memories, st.booleans())
def test_never_fewer_than_are_at_work(policy: Policy, seen: Observation, memory: Memory, paused: bool) -> None:
    """Workers that hold a task are wanted, as far as the maximum goes."""
    decision = decide(replace(policy, paused=paused), seen, memory)
    assert decision.replicas >= min(seen.busy, policy.max_replicas)


@patient
@given(policies(), observations, memories, st.booleans(), st.integers(0, 12))
def test_only_the_cooldown_keeps_more_than_are_needed(
    policy: Policy, seen: Observation, memory: Memory, paused: bool, outdated: int
) -> None:
    """And never more than are there, some of them of an earlier revision."""
    views = tuple(replace(worker, outdated=at < outdated) for at, worker in enumerate(seen.workers))
    seen = replace(seen, workers=views)
    decision = decide(replace(policy, paused=paused), seen, memory)
    assert decision.needed <= decision.replicas <= max(decision.needed, seen.replicas)


@patient
@given(policies(), observations, memories, st.integers(1, 40))
def test_more_demand_never_wants_fewer(policy: Policy, seen: Observation, memory: Memory, more: int) -> None:
    """Another task never makes the fleet smaller."""
    seen = replace(seen, waiting=seen.waiting or 0)
    grown = replace(seen, waiting=(seen.waiting or 0) + more)
    assert decide(policy, grown, memory).replicas >= decide(policy, seen, memory).replicas


@patient
@given(policies(), observations, memories)
def test_a_steady_load_reaches_a_steady_size(policy: Policy, seen: Observation, memory: Memory) -> None:
    """Under one load the size settles within a cooldown at what the load asks for, and stays."""
    load = replace(seen, waiting=seen.waiting or 0, running=0, workers=())
    steady = bounded(wanted(policy, load), policy.min_replicas, policy.max_replicas)
    replicas = seen.replicas
    for tick in range(0, 2 * int(policy.cooldown) + 20, 10):
        decision = decide(policy, replace(load, now=NOW + tick, workers=workers(idle=replicas)), memory)
        replicas, memory = decision.replicas, decision.memory
        assert tick < policy.cooldown + 10 or replicas == steady, decision.explanation


@patient
@given(policies(), st.lists(st.tuples(st.integers(1, 60), counts), min_size=1, max_size=40))
def test_it_shrinks_to_the_largest_want_of_the_cooldown(policy: Policy, looks: list[tuple[int, int]]) -> None:
    """The short memory decides as a full history would: a want lasts until the next look, then for one cooldown."""
    memory: Memory = ()
    now, replicas, ended = NOW, 0, [(0, NOW)]
    for seconds, waiting in looks:
        now += seconds
        seen = replace(SEEN, now=now, waiting=waiting, workers=workers(idle=replicas))
        want = bounded(wanted(policy, seen), policy.min_replicas, policy.max_replicas)
        ended = [*ended[:-1], (ended[-1][0], now), (want, now)]
        held = max((past for past, end in ended if now - end < policy.cooldown), default=0)
        decision = decide(policy, seen, memory)
        assert decision.replicas == max(want, min(held, replicas)), decision.explanation
        replicas, memory = decision.replicas, decision.memory
