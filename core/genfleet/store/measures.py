"""Reads what Redis counts for good (`contract/measures.py`): one hash, that the steps of tasks and webhooks add to.

A field is `name|queue|type`, with the state, outcome or cause behind it where there is one; of a histogram, the number of the
bucket, or `ms` for the sum. Each step adds to it in the same script that does it, so nothing is counted twice or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genfleet.contract import measures
from genfleet.contract.measures import Measure
from genfleet.store.calls import Call, info, pairs
from genfleet.store.scripts import script

_COUNTED: Mapping[str, Measure] = {
    "submitted": measures.SUBMITTED,
    "ended": measures.ENDED,
    "attempts": measures.ATTEMPTS,
    "failures": measures.FAILURES,
    "stale": measures.STALE,
    "webhooks": measures.WEBHOOKS,
}
_TIMED: Mapping[str, Measure] = {"wait": measures.WAIT, "start": measures.START, "run": measures.RUN}
_LASTING: Mapping[str, Measure] = {
    "dead_letters": measures.SET_ASIDE,
    "quarantined_tasks": measures.POISONED,
    "recovered_messages": measures.RECOVERED,
    "overdue_tasks": measures.OVERDUE,
}
"""Counters of `GET /tasks/metrics` that are measures, too."""


@dataclass(frozen=True, slots=True)
class Times:
    """A histogram of one combination of labels."""

    buckets: tuple[int, ...]
    """How many fell into each bucket, by itself; the last has no upper bound."""
    seconds: float
    """Their sum."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Everything that is counted, by measure and by the values of its labels."""

    numbers: Mapping[Measure, Mapping[tuple[str, ...], int]]
    times: Mapping[Measure, Mapping[tuple[str, ...], Times]]
    webhooks_due: int


def counts() -> Call[Counts]:
    """All of it, in one round trip."""
    return Call(script("measures"), (), _read)


@dataclass(frozen=True, slots=True)
class RedisUse:
    """What Redis itself takes."""

    memory: int
    """Bytes."""
    memory_most: int
    """Its maxmemory in bytes; 0: it has none."""
    clients: int


def redis_use() -> Call[RedisUse]:
    """By Redis' own words."""

    def read(reply: Any) -> RedisUse:
        told = info(reply)
        return RedisUse(*(int(told.get(name, 0)) for name in ("used_memory", "maxmemory", "connected_clients")))

    return Call("INFO", (), read)


def _read(reply: list[Any]) -> Counts:
    fields, counters, due = pairs(reply[0]), pairs(reply[1]), int(reply[2])
    numbers: dict[Measure, dict[tuple[str, ...], int]] = {}
    raw: dict[tuple[Measure, tuple[str, ...]], dict[str, int]] = {}
    for measure, labels, count in _known(fields):
        if measure in _TIMED.values():
            raw.setdefault((measure, labels[:-1]), {})[labels[-1]] = count
        else:
            numbers.setdefault(measure, {})[labels] = count
    for name, measure in _LASTING.items():
        numbers[measure] = {(): int(counters.get(name.encode(), 0))}
    times: dict[Measure, dict[tuple[str, ...], Times]] = {}
    for (measure, labels), by_bucket in raw.items():
        buckets = tuple(by_bucket.get(str(number), 0) for number in range(len(measure.bounds) + 1))
        times.setdefault(measure, {})[labels] = Times(buckets, by_bucket.get("ms", 0) / 1000)
    return Counts(numbers, times, due)


def _known(fields: Mapping[bytes, bytes]) -> Iterator[tuple[Measure, tuple[str, ...], int]]:
    """What this version knows. Another may count more, or otherwise."""
    for field, count in fields.items():
        name, *labels = field.decode().split("|")
        measure = _COUNTED.get(name) or _TIMED.get(name)
        if measure and len(labels) == len(measure.labels) + (name in _TIMED):
            yield measure, tuple(labels), int(count)
