"""The scaling decision: a queue's rules and what was seen of it go in, the number of workers and the reason come out.

Total and pure: the same three values give the same decision on a laptop, in a cluster and in a simulation. It reads
from top to bottom: the decision, its four steps (`wanted`, `window`, `bounded`, reason), and the sentence for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from genfleet.contract.reasons import Reason
from genfleet.scaling.observation import Moment, Observation, Seconds
from genfleet.scaling.policy import Policy, TasksPerWorker, WaitTarget
from genfleet.scaling.schedule import floor


@dataclass(frozen=True, slots=True)
class Want:
    """So many workers were wanted, for the last time at `until`."""

    replicas: int
    until: Moment


Memory = tuple[Want, ...]
"""The wants of the last cooldown, largest and oldest first, without those that a later one reached. So it is short,
its first is the largest, and its last is the latest. Empty: nothing was decided yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many workers the queue deserves now."""

    replicas: int
    """Workers that are to be there, those that drain not counted."""
    needed: int
    """So many of them are asked for by the work or by a bound. The others the cooldown keeps: nobody starts for them."""
    reason: Reason
    explanation: str
    """The reason with its numbers, one sentence for people."""
    demand: int | None
    """Tasks there are: waiting, running or due again. None: unknown."""
    memory: Memory
    """To be handed to the next decision. May be lost: a fresh start only lets workers go one cooldown later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The numbers of workers that a decision comes from."""

    asked: int
    """That the tasks alone ask for."""
    busy: int
    """That hold a task: fewer are never wanted."""
    there: int
    minimum: int
    """That the policy keeps at any time."""
    floor: int
    """That are kept now: the minimum, or what the schedule keeps above it."""
    ceiling: int
    wanted: int
    """`needed`, within the bounds."""
    replicas: int
    """`wanted`, or more while it cools down: what is decided."""
    keeps: Seconds
    """How long it is until fewer than `replicas` may do, if no more are wanted meanwhile."""

    @property
    def needed(self) -> int:
        """Before the bounds."""
        return max(self.asked, self.busy)


def decide(policy: Policy, seen: Observation, memory: Memory = ()) -> Decision:
    """Say how many workers the queue deserves now, and why. Never guesses: unseen demand holds what runs.

    Up at once. Down only to the largest size that was wanted within the last cooldown, and never below the workers
    that hold a task. A paused queue wants these alone, at once and below every minimum, so it runs empty as they end.
    """
    if seen.demand is None:
        return _hold(policy, seen, memory)
    if policy.paused or seen.paused:
        return _pause(policy, seen)
    sums, memory = _weigh(policy, seen, memory)
    reason = _reason(sums)
    return Decision(
        replicas=sums.replicas,
        needed=sums.wanted,
        reason=reason,
        explanation=explain(policy, seen, sums, reason),
        demand=seen.demand,
        memory=memory,
    )


def _weigh(policy: Policy, seen: Observation, memory: Memory) -> tuple[Sums, Memory]:
    """The four steps: what the work asks for, within the bounds, over the last cooldown, within the bounds again."""
    asked = wanted(policy, seen)
    low, high = _floor(policy, seen.now), policy.max_replicas
    want = bounded(max(asked, seen.busy), low, high)
    memory = window(memory, want, seen, policy.cooldown)
    held = min(memory[0].replicas, seen.replicas)  # what was wanted and has not come is not wanted any more
    replicas = bounded(max(want, held), low, high)
    last_wanted = max(past.until for past in memory if past.replicas >= replicas)
    sums = Sums(
        asked=asked,
        busy=seen.busy,
        there=seen.replicas,
        minimum=policy.min_replicas,
        floor=low,
        ceiling=high,
        wanted=want,
        replicas=replicas,
        keeps=policy.cooldown - (seen.now - last_wanted),
    )
    return sums, memory


def _hold(policy: Policy, seen: Observation, memory: Memory) -> Decision:
    """Nothing is known of the work: the person's bounds hold, and apart from them nothing changes."""
    low = 0 if policy.paused else _floor(policy, seen.now)
    replicas = bounded(seen.replicas, low, policy.max_replicas)
    bounds = "" if replicas == seen.replicas else f", which the bounds make {replicas}"
    return Decision(
        replicas=replicas,
        needed=replicas,
        reason=Reason.DEMAND_UNKNOWN,
        explanation=f"How much work there is could not be seen: {_count(seen.replicas, 'worker')} as before{bounds}.",
        demand=None,
        memory=memory,
    )


def _pause(policy: Policy, seen: Observation) -> Decision:
    """The memory is dropped: what was wanted before a pause says nothing about the time after it."""
    replicas = bounded(seen.busy, 0, policy.max_replicas)
    at_work = sum(worker.running > 0 for worker in seen.workers)
    work = "no worker holds a task" if not at_work else f"{_count(at_work, 'worker')} at work, to finish and leave"
    return Decision(
        replicas=replicas,
        needed=replicas,
        reason=Reason.PAUSED,
        explanation=f"The queue is paused: {work}.",
        demand=seen.demand,
        memory=(),
    )


def wanted(policy: Policy, seen: Observation) -> int:
    """Workers that the tasks ask for by the target, before any bound. Unseen tasks ask for nothing.

    Tasks on a draining worker end there, so they ask for no other.
    """
    tasks = max(0, (seen.demand or 0) - seen.leaving_with)
    match policy.target:
        case TasksPerWorker(per_worker):
            return ceil(tasks / per_worker)
        case WaitTarget(wait):
            return ceil(_slots(tasks, seen.service_seconds, wait) / policy.concurrency)


def _slots(tasks: int, service: Seconds | None, wait: Seconds) -> int:
    """Tasks to run at once, so that all are done within `wait`: one at least, and never more than there are.

    So a task that takes longer than the target has its slot at once, and while no time was measured each task has one.
    """
    if service is None or tasks == 0:
        return tasks
    return max(1, min(tasks, ceil(tasks * service / wait)))


def window(memory: Memory, replicas: int, seen: Observation, cooldown: Seconds) -> Memory:
    """The memory after `replicas` are wanted now.

    What was wanted last counts as wanted until now: between two looks nobody saw that fewer suffice. So neither a
    silent broker nor a stopped controller makes workers leave early, and a fresh start takes what runs as wanted.
    """
    last = memory[-1].replicas if memory else seen.replicas
    past = (*memory[:-1], Want(last, seen.now))
    # A want of the future is one of a clock that stepped back; it would hold workers for as long as the step was.
    larger = (want for want in past if want.replicas > replicas and 0 <= seen.now - want.until < cooldown)
    return (*larger, Want(replicas, seen.now))


def bounded(replicas: int, low: int, high: int) -> int:
    """`replicas` within the bounds. Where they cross, as a schedule above maxReplicas would, the upper one holds."""
    return min(max(replicas, low), high)


def _floor(policy: Policy, now: Moment) -> int:
    return max(policy.min_replicas, floor(policy.floors, now))


def _reason(sums: Sums) -> Reason:
    """The rule that made the number: the maximum before the cooldown, the cooldown before a minimum, then the work."""
    if sums.needed > sums.ceiling:
        return Reason.AT_MAXIMUM
    if sums.replicas > sums.wanted:
        return Reason.COOLING_DOWN
    if sums.needed < sums.floor:
        return Reason.SCHEDULED_FLOOR if sums.floor > sums.minimum else Reason.AT_MINIMUM
    if sums.busy > sums.asked:
        return Reason.WORKERS_BUSY
    if sums.replicas == sums.there:
        return Reason.STEADY
    return Reason.DEMAND_ROSE if sums.replicas > sums.there else Reason.DEMAND_FELL


def explain(policy: Policy, seen: Observation, sums: Sums, reason: Reason) -> str:
    """The decision in one sentence: what there is to do, what that asks for, and what comes of it."""
    return f"{_work(seen)}: {_count(sums.asked, 'worker')} needed, {_rule(policy, seen)}; {_outcome(sums, reason)}."


def _work(seen: Observation) -> str:
    oldest = "" if seen.oldest_wait is None else f", the oldest for {seen.oldest_wait:.0f} s"
    leaving = f", {seen.leaving_with} of them on workers that leave" if seen.leaving_with else ""
    tasks = _count(seen.demand or 0, "task")
    return f"{tasks} ({seen.waiting} waiting{oldest}; {seen.running} running{leaving}; {seen.due} due again)"


def _rule(policy: Policy, seen: Observation) -> str:
    match policy.target:
        case TasksPerWorker(per_worker):
            return f"{_count(per_worker, 'task')} each"
        case WaitTarget(wait):
            each = "all at once, as none was timed yet"
            if seen.service_seconds is not None:
                each = f"to be done within {wait:g} s at {round(seen.service_seconds, 1):g} s each"
            return f"{policy.concurrency} at a time, {each}"


def _outcome(sums: Sums, reason: Reason) -> str:
    """What comes of what the tasks ask for."""
    return {
        Reason.STEADY: "as many as there are",
        Reason.DEMAND_ROSE: f"up from {sums.there}",
        Reason.DEMAND_FELL: f"down from {sums.there}",
        Reason.COOLING_DOWN: f"the cooldown keeps {sums.replicas} for another {sums.keeps:.0f} s",
        Reason.WORKERS_BUSY: f"but those at work, {sums.busy}, are not stopped",
        Reason.AT_MAXIMUM: f"the maximum is {sums.ceiling}",
        Reason.AT_MINIMUM: f"the minimum is {sums.floor}",
        Reason.SCHEDULED_FLOOR: f"the schedule keeps {sums.floor} now",
    }[reason]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
