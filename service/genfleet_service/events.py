"""What happened to a task, as clients are told: names, data, and how it goes over the wire. Documented in `docs/events.md`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.store.records import Event, TaskRecord
from genfleet_service import replies, views
from genfleet_service.feed import Gap

RECONNECT_MS = 2000
"""How long a browser waits before it connects again."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nothing on the way may keep or gather what is sent."""
GREETING = f"retry: {RECONNECT_MS}\n\n".encode()
HEARTBEAT = b": still here\n\n"

WRONG_ID = replies.invalid(
    {"last_event_id": "Must be the id of an event of this task, such as 17; leave it out to begin at the start"},
    "Invalid Last-Event-ID",
)

_NUMBER = re.compile(r"\d{1,15}")


class EventBody(TypedDict):
    """One event."""

    id: int
    event: str
    data: dict[str, Any]


class EventsBody(TypedDict):
    """The events of a task so far. `complete`: whether none of them is gone."""

    task_id: str
    events: list[EventBody]
    complete: bool


class LogLine(TypedDict):
    """One line that an engine said of its work."""

    id: int
    at: str
    level: str
    message: str


class LogsBody(TypedDict):
    """What the engines said of a task so far. `complete`: whether nothing of it is gone."""

    task_id: str
    logs: list[LogLine]
    complete: bool


def asked_after(header: str | None, parameter: str | None) -> int | None:
    """The event after which a client wants to go on; None: from the beginning. Raises Refusal.

    The header counts first: a browser that connects again sends it, and the parameter of its first call besides.
    """
    given = header or parameter
    if not given:
        return None
    if not _NUMBER.fullmatch(given):
        raise WRONG_ID
    return int(given)


def first(task: TaskRecord) -> EventBody:
    """That it was submitted. The stream of a task begins with its first move, and the record says what was before."""
    return _body(0, "state", task.id, task.created_ms, {"status": "queued"})


def last(task: TaskRecord) -> EventBody:
    """How it ended, by its record: for when its events are no longer kept."""
    return _final(task, task.events, task.finished_ms or task.updated_ms, task.state.value)


def body(task_id: str, event: Event | Gap, ended: TaskRecord | None = None) -> EventBody:
    """An event. `ended`: the task as it is, for its last one."""
    if isinstance(event, Gap):
        return {"id": event.number, "event": "gap", "data": _gap(task_id, event)}
    fields = event.fields
    if ended and event.ends:
        return _final(ended, event.number, event.at_ms, fields["state"])
    return _body(event.number, _name(fields), task_id, event.at_ms, _data(fields))


def line(told: EventBody) -> LogLine:
    """An event that is a line of the log."""
    data = told["data"]
    return {"id": told["id"], "at": data["at"], "level": data["level"], "message": data["message"]}


def frame(told: EventBody) -> bytes:
    """As it goes over the wire."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (told["id"], told["event"].encode(), orjson.dumps(told["data"]))


def _body(number: int, name: str, task_id: str, at_ms: int, data: Mapping[str, Any]) -> EventBody:
    return {"id": number, "event": name, "data": {"task_id": task_id, "at": views.moment(at_ms), **data}}


def _final(task: TaskRecord, number: int, at_ms: int, state: str) -> EventBody:
    return _body(number, "state", task.id, at_ms, {"status": state, "task": views.status(task)})


def _gap(task_id: str, gap: Gap) -> dict[str, Any]:
    missed = None if gap.next is None else max(gap.next - gap.after - 1, 0)
    return {"task_id": task_id, "after": gap.after, "next": gap.next, "missed": missed}


def _name(fields: Mapping[str, str]) -> str:
    return next(
        (name for name in ("state", "progress", "retry", "lost", "handed_back", "log") if name in fields), "other"
    )


def _data(fields: Mapping[str, str]) -> dict[str, Any]:
    match fields:
        case {"state": state}:
            return {"status": state} | ({"attempt": int(fields["attempt"])} if "attempt" in fields else {})
        case {"progress": fraction, "step": step}:
            return {"progress": float(fraction), "current_step": step}
        case {"retry": due, "error": error}:
            return {"next_attempt_at": views.timestamp(int(due)), "error": error}
        case {"lost": why} | {"handed_back": why}:
            return {"reason": why, "worker": fields.get("worker") or None}
        case {"log": message, "level": level}:
            return {"level": level, "message": message}
        case _:
            return dict(fields)
