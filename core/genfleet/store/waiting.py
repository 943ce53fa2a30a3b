"""The step that looks at what a queued task waits for. What comes of it is told by `genfleet.contract.waits`."""

from __future__ import annotations

from typing import Any

import orjson

from genfleet.contract.durations import Durations
from genfleet.contract.waits import FleetSaid, Line
from genfleet.store import records
from genfleet.store.calls import Call
from genfleet.store.scripts import script


def wait(task_id: str) -> Call[Line | None]:
    """What surrounds a queued task. None: it does not wait, or there is no such task."""
    return Call(script("wait"), (task_id,), lambda reply: _line(orjson.loads(reply)) if reply else None)


def _line(seen: dict[str, Any]) -> Line:
    fleet, paused, due = seen.get("fleet"), seen.get("paused"), seen.get("due_ms")
    return Line(
        now_ms=int(seen["now_ms"]),
        queue=seen["queue"],
        position=seen["position"],
        waiting=seen["waiting"],
        running=seen["running"],
        places=int(seen["places"]),
        due_ms=int(due) if due is not None else None,
        attempt=int(seen["attempt"]),
        paused=records.Pause.read(paused).reason if paused else None,
        fleet=_fleet(orjson.loads(fleet)) if fleet else None,
        of_type=_durations(seen.get("of_type")),
        of_queue=_durations(seen.get("of_queue")),
    )


def _fleet(said: dict[str, Any]) -> FleetSaid:
    """A report of an earlier version may lack what a later one tells."""
    return FleetSaid(
        wanted=said.get("wanted", 0),
        ready=said.get("ready", 0),
        maximum=said.get("maximum", 0),
        reason=said.get("reason", ""),
        trouble=said.get("trouble") or "",
        explanation=said.get("explanation", ""),
    )


def _durations(buckets: list[list[int]] | None) -> Durations:
    return Durations({int(bucket): int(runs) for bucket, runs in buckets or ()})
