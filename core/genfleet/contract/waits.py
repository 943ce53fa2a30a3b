"""Why a task waits, and for how long: what was seen of its line goes in, reasons and an estimate come out. Pure.

`store/lua/wait.lua` looks, and the API tells it to whoever asks for the task.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from genfleet.contract.durations import Durations
from genfleet.contract.reasons import Reason

_P90 = 1.2816
"""Standard deviations above the mean below which nine of ten values lie, of many small ones added up."""


class Code(StrEnum):
    """What a task waits for: a closed list. Several may hold at once."""

    PAUSED = "paused"
    """The queue was paused by the API."""
    SCHEDULED = "scheduled"
    """It was submitted for later."""
    RETRY = "retry"
    """Its last attempt failed for a passing reason; the next one has its time."""
    IN_LINE = "in_line"
    """Others come first."""
    NO_FLEET = "no_fleet"
    """No worker serves the queue, and nobody reports that one is to come."""
    FLEET_PAUSED = "fleet_paused"
    """The resource of the queue says paused: its fleet takes nothing."""
    FLEET_BLIND = "fleet_blind"
    """The fleet controller cannot see how much work there is."""
    WORKERS_FAILING = "workers_failing"
    """Workers end before they are ready."""
    UNSCHEDULABLE = "unschedulable"
    """No node has room for the workers that are wanted."""
    WORKERS_STARTING = "workers_starting"
    """More workers are wanted than are ready."""
    AT_MAXIMUM = "at_maximum"
    """The fleet has as many workers as it may."""
    WORKERS_BUSY = "workers_busy"
    """Every place of the workers that are ready is taken."""
    NEXT = "next"
    """A worker has a place for it, and takes it in a moment."""


class Unknown(StrEnum):
    """Why there is no estimate: a closed list."""

    PAUSED = "paused"
    NO_WORKER_READY = "no_worker_ready"
    """How long one needs to start is not measured."""
    NOT_MEASURED = "not_measured"
    """Too few tasks have ended for any to be timed by."""


@dataclass(frozen=True, slots=True)
class Pending:
    """One reason, with a sentence for people and the numbers in it."""

    code: Code
    message: str
    details: Mapping[str, int] = field(default_factory=dict)
    until_ms: int | None = None
    """When it ends by itself, where that is known."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds from now that half of such tasks, and nine of ten, would need at the most."""

    p50: float
    p90: float


@dataclass(frozen=True, slots=True)
class Eta:
    """When it will start, and when it will be done."""

    start: Estimate
    completion: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSaid:
    """The last report of whoever sizes the queue's fleet."""

    wanted: int
    ready: int
    maximum: int
    reason: str
    trouble: str = ""
    """`WorkersFailing` or `Unschedulable`, if so."""
    explanation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was seen at one moment of a queued task and its queue."""

    now_ms: int
    queue: str
    position: int
    """Place among those that wait; 1 is next. 0: it is not in line yet."""
    waiting: int
    running: int
    """Places that are taken."""
    places: int
    """Of the workers that are ready and take work."""
    due_ms: int | None
    attempt: int
    paused: str | None
    """In the words of whoever paused it. None: it is not paused."""
    fleet: FleetSaid | None
    of_type: Durations
    of_queue: Durations

    @property
    def wait_s(self) -> float:
        """Seconds until it is in line."""
        return max(0.0, ((self.due_ms or 0) - self.now_ms) / 1000) if self.position == 0 else 0.0


def pending_reasons(line: Line) -> tuple[Pending, ...]:
    """Everything that keeps a queued task from starting now, the plainest first. Never empty."""
    found = [*_by_itself(line), *_before_it(line)]
    if line.paused is None and line.wait_s == 0:
        found += _workers(line)
    return tuple(found) or (Pending(Code.NEXT, "A worker has a place for it, and takes it in a moment."),)


def _by_itself(line: Line) -> Iterator[Pending]:
    if line.paused is not None:
        why = f" ({line.paused})" if line.paused else ""
        yield Pending(Code.PAUSED, f"Queue {line.queue} is paused{why}: it starts nothing until somebody resumes it.")
    if line.wait_s > 0:
        seconds = math.ceil(line.wait_s)
        if line.attempt > 1:
            sentence = f"Attempt {line.attempt} gets in line in {seconds} s."
            yield Pending(Code.RETRY, sentence, {"attempt": line.attempt}, line.due_ms)
        else:
            yield Pending(
                Code.SCHEDULED, f"It was submitted for later, and gets in line in {seconds} s.", {}, line.due_ms
            )


def _before_it(line: Line) -> Iterator[Pending]:
    if line.position > 1:
        ahead = line.position - 1
        sentence = f"{_count(ahead, 'task')} of queue {line.queue} {'comes' if ahead == 1 else 'come'} first."
        yield Pending(Code.IN_LINE, sentence, {"position": line.position})


def _workers(line: Line) -> Iterator[Pending]:
    fleet, taken = line.fleet, {"places": line.places, "taken": line.running}
    if fleet is None:
        if line.places == 0:
            yield Pending(Code.NO_FLEET, f"No worker serves queue {line.queue}, and no fleet controller reports.")
    else:
        yield from _fleet(fleet)
    if line.places and line.running >= line.places:
        sentence = f"The workers that are ready are at work: {line.running} of {_count(line.places, 'place')} taken."
        yield Pending(Code.WORKERS_BUSY, sentence, taken)


def _fleet(fleet: FleetSaid) -> Iterator[Pending]:
    numbers = {"wanted": fleet.wanted, "ready": fleet.ready, "maximum": fleet.maximum}
    of_wanted = f"{fleet.ready} of {_count(fleet.wanted, 'wanted worker')} ready"
    match fleet.reason, fleet.trouble:
        case Reason.PAUSED, _:
            yield Pending(Code.FLEET_PAUSED, "The queue's resource says paused: its fleet takes nothing.", numbers)
        case Reason.DEMAND_UNKNOWN, _:
            yield Pending(Code.FLEET_BLIND, "The fleet controller cannot see the work, and adds no worker.", numbers)
        case _, "Unschedulable":
            yield Pending(Code.UNSCHEDULABLE, f"{of_wanted}: no node has room. {fleet.explanation}".rstrip(), numbers)
        case _, "WorkersFailing":
            yield Pending(
                Code.WORKERS_FAILING, f"{of_wanted}: they end at their start. {fleet.explanation}".rstrip(), numbers
            )
        case _ if fleet.ready < fleet.wanted:
            yield Pending(Code.WORKERS_STARTING, f"{of_wanted}; the others start.", numbers)
    if fleet.reason == Reason.AT_MAXIMUM:
        yield Pending(Code.AT_MAXIMUM, f"The fleet may have {_count(fleet.maximum, 'worker')} at the most.", numbers)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def eta(line: Line) -> Eta | Unknown:
    """When it will start and be done, by how long recent tasks took and how many places there are now.

    An estimate: it knows neither what will be submitted before it with a higher priority, nor what will fail.
    """
    if line.paused is not None:
        return Unknown.PAUSED
    if line.places == 0:
        return Unknown.NO_WORKER_READY
    of_others = line.of_queue if line.of_queue.measured else line.of_type
    own = line.of_type if line.of_type.measured else line.of_queue
    if not own.measured or not of_others.measured:
        return Unknown.NOT_MEASURED
    start = _start(line, of_others)
    p50 = start.p50 + own.quantile(0.5)
    spread = math.hypot(start.p90 - start.p50, own.quantile(0.9) - own.quantile(0.5))
    return Eta(start, Estimate(p50, p50 + spread))


def _start(line: Line, others: Durations) -> Estimate:
    """The time until enough places have been left by those before it, each as long at work as others were."""
    mean, variance = others.mean, others.variance
    gone_meanwhile = line.wait_s * line.places / mean
    ahead = line.position - 1 if line.position else max(0.0, line.waiting - gone_meanwhile)
    leave = ahead - (line.places - line.running) + 1
    if leave <= 0 or (line.wait_s and ahead < line.places):
        return Estimate(line.wait_s, line.wait_s)
    # Those at work began a while ago: each has half of a run left, and more where runs differ much. The first of them to
    # end is the first of so many moments that lie anywhere in twice that time; after it, places are left at an even rate.
    places, left = line.places, (mean**2 + variance) / (2 * mean)
    first, of_first = 2 * left / (places + 1), 4 * left**2 * places / ((places + 1) ** 2 * (places + 2))
    middle = line.wait_s + first + (leave - 1) * mean / places
    deviation = math.sqrt(of_first + (leave - 1) * variance / places**2)
    return Estimate(middle, middle + _P90 * deviation)
