"""The steps that look at queues and workers, and tell workers what to do. Called by the fleet controllers and the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson

from genfleet.contract.keys import key
from genfleet.store import records
from genfleet.store.calls import Call, milliseconds
from genfleet.store.scripts import script

FLEET_KEPT = timedelta(seconds=30)
"""How long a decision is shown if its controller says nothing more."""
DUE_SOON = timedelta(seconds=5)
"""A retry counts as demand this long before its time, so that a worker is up when it comes."""


def observe(queues: Sequence[str]) -> Call[records.Survey]:
    """All that is known of these queues and their workers, at one moment."""

    def read(reply: bytes) -> records.Survey:
        seen = orjson.loads(reply)
        return records.Survey(
            now_ms=int(seen["now_ms"]),
            queues=tuple(map(_queue_seen, seen["queues"])),
            quarantined=seen["quarantined"],
            dead_letters=seen["dead_letters"],
        )

    return Call(script("observe"), (milliseconds(DUE_SOON), *queues), read)


def _queue_seen(row: dict[str, Any]) -> records.QueueSeen:
    oldest, service = row.get("oldest_wait_ms"), row.get("service_ms")
    fleet, paused = row.get("fleet"), row.get("paused")
    return records.QueueSeen(
        queue=row["queue"],
        waiting=_count(row["waiting"]),
        running=_count(row["running"]),
        scheduled=_count(row["scheduled"]),
        due=_count(row["due"]),
        oldest_wait_ms=int(oldest) if oldest is not None else None,
        service_ms=service,
        workers=tuple(map(_worker_seen, row.get("workers", ()))),
        fleet=orjson.loads(fleet) if fleet else None,
        paused=records.Pause.read(paused) if paused else None,
        by_priority=tuple(row["by_priority"]),
    )


def _count(value: object) -> int:
    """A number of tasks. What is none is not zero: raises ValueError, so that the queue counts as not seen (facts T24)."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of tasks")
    return value


def _worker_seen(row: dict[str, Any]) -> records.WorkerSeen:
    return records.WorkerSeen(
        id=row["id"],
        about=orjson.loads(row["about"]),
        held=row["held"],
        silent_ms=int(row["silent_ms"]),
        draining=bool(row["draining"]),
    )


def overview(queues: Sequence[str], *, long: timedelta, window: timedelta) -> Call[records.Overview]:
    """The lasting counters; the outcomes of the last `window`; and what has run for longer than `long`."""

    def read(reply: bytes) -> records.Overview:
        seen = orjson.loads(reply)
        return records.Overview(
            now_ms=int(seen["now_ms"]),
            counters=seen["counters"] or {},
            recent_completed=seen["recent"]["completed"],
            recent_failed=seen["recent"]["failed"],
            running=seen["running"],
            long_running=tuple((row["id"], int(row["run_ms"])) for row in seen.get("long", ())),
        )

    minutes = round(window.total_seconds() / 60)
    return Call(script("overview"), (milliseconds(long), minutes, *queues), read)


def total_tasks() -> Call[int]:
    """How many were ever accepted, by what Redis still knows."""
    return Call("HGET", (key("counters"), "total_tasks"), lambda reply: int(reply or 0))


def drain(worker: str) -> Call[bool]:
    """Tells a worker to take nothing new."""
    return Call("SADD", (key("draining"), worker), bool)


def resume(worker: str) -> Call[bool]:
    """Takes that back."""
    return Call("SREM", (key("draining"), worker), bool)


def depart(worker: str, queue: str) -> Call[bool]:
    """A worker says goodbye."""
    return Call(script("depart"), (worker, queue), bool)


def report(queue: str, status: bytes) -> Call[bool]:
    """Keeps the last decision on a queue's fleet, for people to see; for a while, so that it is never an old one."""
    return Call("SET", (key("fleet", queue), status, "PX", milliseconds(FLEET_KEPT)), bool)


def forget(queues: Sequence[str]) -> Call[int]:
    """Removes the last decisions on these queues' fleets."""
    return Call("DEL", tuple(key("fleet", queue) for queue in queues), int)
