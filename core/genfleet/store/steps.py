"""The steps: what can be done to tasks and queues, each one call and one round trip.

A step is a value. `SyncStore.run` and `AsyncStore.run` carry it out; nothing here touches a network. Every step may be
carried out again when its reply was lost: submit is idempotent by id, claim by delivery, settle and the like by token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from genfleet.contract.keys import key
from genfleet.contract.limits import NO_LIMITS, Limits, Rate, Refused
from genfleet.contract.states import State
from genfleet.store import records
from genfleet.store.calls import Argument, Call, left, milliseconds, pairs, refused
from genfleet.store.scripts import script

LEASE = timedelta(seconds=8)
"""How long a task stays a worker's without a beat. A lost worker's task is back in line this much later."""
REAP_GAP = timedelta(seconds=3)
"""A longer gap between two looks at the leases means that Redis was away, or everyone was. It has to be less than a
lease without two beats: a lease may have been two seconds old when Redis went, and its next beat comes late."""
SILENCE = timedelta(seconds=20)
"""How long a silent worker is still counted."""
MESSAGE_GRACE = timedelta(seconds=5)
"""How long a message may be between its list and a claim before it is taken for lost."""
FLEET_KEPT = timedelta(seconds=30)
"""How long a decision is shown if its controller says nothing more."""
EVENTS_READ = 200
"""Events of one task read at a time, so that no look at a long history holds up Redis."""
DUE_SOON = timedelta(seconds=5)
"""A retry counts as demand this long before its time, so that a worker is up when it comes."""


# -- the life of a task --------------------------------------------------------------------------------------------------


def submit(task: records.NewTask) -> Call[records.Submitted]:
    """Records a task and puts its message in the queue. Measured against no limit: the task exists, somewhere."""
    call = submit_within(NO_LIMITS, task)

    def read(reply: list[Any]) -> records.Submitted:
        answer = call.read(reply)
        assert isinstance(answer, records.Submitted), answer
        return answer

    return Call(call.what, call.args, read)


def submit_within(
    limits: Limits, task: records.NewTask, once: records.Once | None = None
) -> Call[records.Submitted | Refused]:
    """The same, if the limits of its key, project and queue let it in. Refused: nothing is there, nothing is counted.

    With `once`, a request that came before is answered as it was then, and no limit counts it.
    """
    args = (
        task.id,
        task.project,
        task.type,
        task.queue,
        task.priority,
        task.data,
        task.callback_url,
        task.metadata,
        task.retry_of,
        task.retry_of if task.copies else "",
        task.key_id,
        _moment(task.run_at),
        _moment(task.deadline),
        limits.submissions.per_minute,
        limits.submissions.saved_s * 1000,
        limits.project_tasks,
        limits.queue_length,
        once.name if once else "",
        once.fingerprint if once else "",
    )
    return Call(script("submit"), args, _submitted)


def _moment(moment: records.Moment | None) -> str:
    """As `lua/submit.lua` reads it: a length of time is counted from its own `now`."""
    match moment:
        case None:
            return ""
        case timedelta():
            return f"+{milliseconds(moment)}"
        case datetime():
            return str(round(moment.timestamp() * 1000))


_NEW, _REPLAYED = 0, 1


def _submitted(reply: list[Any]) -> records.Submitted | Refused:
    if reply[0] == b"refused":
        return refused(reply)
    _, task_id, created, position, state, replayed, now_left, mean_ms = reply
    return records.Submitted(
        id=task_id.decode(),
        created_ms=created,
        position=position,
        state=State(state.decode()),
        replayed=replayed == _REPLAYED,
        known=replayed != _NEW,
        mean_run_ms=mean_ms if mean_ms >= 0 else None,
        left=left(now_left),
    )


def claim(task_id: str, token: str, worker: str, nonce: str, gpus: float = 0) -> Call[records.Claim]:
    """Asks for the right to run a task. `token` is the message's, empty for another producer's message.

    `nonce` tells a claim that is made again, because its reply was lost, from another claim of the same worker. `gpus`:
    those of the worker, for the usage of the task's project.
    """

    def read(reply: list[Any]) -> records.Claim:
        verdict = reply[0].decode()
        if verdict != "run":
            return records.Claim(verdict)
        _, held, project, kind, data, retries = reply
        return records.Claim(verdict, records.Lease(task_id, held, project.decode(), kind.decode(), data, retries))

    return Call(script("claim"), (task_id, token, worker, nonce, milliseconds(LEASE), gpus), read)


def renew(worker: str, queue: str, about: bytes, leases: Iterable[tuple[str, int]]) -> Call[records.Beat]:
    """A worker's beat: keeps its leases, tells what it does, and hears what it is to stop."""
    args: list[Argument] = [worker, queue, about, milliseconds(LEASE), milliseconds(SILENCE)]
    for task_id, token in leases:
        args += (task_id, token)

    def read(reply: list[Any]) -> records.Beat:
        drain, *verdicts = reply
        return records.Beat(bool(drain), tuple(verdict.decode() for verdict in verdicts))

    return Call(script("renew"), args, read)


def progress(task_id: str, token: int, fraction: float, step: str) -> Call[bool]:
    """Tells how far an attempt is. False: it is no longer the caller's."""
    return Call(script("progress"), (task_id, token, f"{fraction:.4f}", step), bool)


def log(task_id: str, token: int, first: int, lines: Iterable[tuple[str, str]]) -> Call[bool]:
    """Keeps what an attempt says of its work: level and text of each line. False: it is no longer the caller's.

    `first` is the number of the first line within the attempt, from 1: so a line that is sent again is kept once.
    """
    args: list[Argument] = [task_id, token, first]
    for line in lines:
        args += line
    return Call(script("log"), args, bool)


def complete(task_id: str, token: int, result: bytes) -> Call[bool]:
    """Settles a task that succeeded. False: refused, it is no longer the caller's."""
    return Call(script("settle"), (task_id, token, State.COMPLETED.value, result, "", ""), bool)


def fail(task_id: str, token: int, error: str, traceback: str = "") -> Call[bool]:
    """Settles a task that failed for good. False: refused, it is no longer the caller's."""
    return Call(script("settle"), (task_id, token, State.FAILED.value, "", error, traceback), bool)


def retry_later(task_id: str, token: int, delay: timedelta, error: str, traceback: str = "") -> Call[bool]:
    """Puts a failed attempt's task aside until its next one. False: refused, it is no longer the caller's."""
    return Call(script("retry_later"), (task_id, token, milliseconds(delay), error, traceback), bool)


def lose(task_id: str, token: int, why: str) -> Call[bool]:
    """Gives up a task whose process died. It starts again, unless it has taken too many processes with it."""
    return Call(script("release"), (task_id, token, "lost", why), bool)


def hand_back(task_id: str, token: int) -> Call[bool]:
    """Gives up a task because the worker has to stop. It is next in line, and nothing is counted against it."""
    return Call(script("release"), (task_id, token, "handed_back", ""), bool)


def cancel(task_id: str) -> Call[records.Cancelled | None]:
    """Cancels a task that has not ended. None: there is no such task."""

    def read(reply: list[Any]) -> records.Cancelled | None:
        if not reply:
            return None
        return records.Cancelled(State(reply[0].decode()), reply[1] if len(reply) > 1 else None)

    return Call(script("cancel"), (task_id,), read)


def look(
    task_id: str, key_id: str, rate: Rate, fields: Sequence[str] = records.TaskRecord.STATUS
) -> Call[records.Looked | Refused]:
    """Reads one task for a client, if its key's rate lets it. Without `fields`, all of it; the default is a status."""

    def read(reply: list[Any]) -> records.Looked | Refused:
        if reply[0] == b"refused":
            return refused(reply)
        _, found, now_left = reply
        values = pairs(found) if not fields else dict(zip(names, found, strict=True))
        return records.Looked(records.TaskRecord.read(task_id, values), left(now_left))

    names = [name.encode() for name in fields]
    return Call(script("look"), (task_id, key_id, rate.per_minute, rate.saved_s * 1000, *fields), read)


def task(task_id: str) -> Call[records.TaskRecord | None]:
    """Reads one task. None: there is no such task."""
    return Call("HGETALL", (key("task", task_id),), lambda reply: records.TaskRecord.read(task_id, pairs(reply)))


def events(asked: Iterable[tuple[str, int]]) -> Call[list[records.Told]]:
    """What happened to tasks: for each id the oldest events after the number that the caller knows."""
    args: list[Argument] = [EVENTS_READ]
    for pair in asked:
        args += pair

    def read(reply: list[Any]) -> list[records.Told]:
        return [records.Told(None if total < 0 else total, tuple(map(_event, rows))) for total, rows in reply]

    return Call(script("events"), args, read)


def _event(row: tuple[bytes, list[bytes]]) -> records.Event:
    number, flat = row
    fields = {name.decode(): value.decode(errors="replace") for name, value in pairs(flat).items()}
    return records.Event(int(number.partition(b"-")[0]), int(fields.pop("at")), fields)


def project_tasks(
    project: str,
    *,
    state: State | None = None,
    task_type: str | None = None,
    since_ms: int | None = None,
    before_ms: int | None = None,
    offset: int = 0,
    limit: int = 20,
    documents: Collection[str] = ("data", "result"),
) -> Call[records.Page]:
    """One page of a project's tasks, newest first. `since_ms`: only those created later; `before_ms`: earlier.

    `documents`: which of `data` and `result` are wanted.
    """
    since = f"({since_ms}" if since_ms is not None else "-inf"
    before = before_ms if before_ms is not None else "+inf"
    wanted = (int(name in documents) for name in ("data", "result"))
    args = (project, state or "*", task_type or "*", since, before, offset, limit, *wanted)

    def read(reply: list[Any]) -> records.Page:
        total, rows = reply
        return records.Page(total, tuple(filter(None, (records.Listed.read(project, row) for row in rows))))

    return Call(script("list"), args, read)


def set_aside(entry: bytes) -> Call[int]:
    """Keeps a message that could not be judged, with its reason."""
    return Call(script("set_aside"), (entry,), int)


# -- chores, done by whoever is up ---------------------------------------------------------------------------------------


def take_upkeep(who: str, period: timedelta) -> Call[bool]:
    """Whether the chores of this period fall to the caller."""
    return Call(script("take_upkeep"), (who, milliseconds(period)), bool)


def promote(queues: Sequence[str]) -> Call[int]:
    """Puts delayed tasks and retries whose time has come in line. How many."""
    return Call(script("promote"), tuple(queues), int)


def end_overdue() -> Call[int]:
    """Ends tasks that have not started by their deadline. How many."""
    return Call(script("end_overdue"), (), int)


def reap(queues: Sequence[str]) -> Call[int]:
    """Puts the tasks of lost workers back in line. How many."""
    return Call(script("reap"), (milliseconds(LEASE), milliseconds(REAP_GAP), milliseconds(SILENCE), *queues), int)


def recover(queues: Sequence[str], grace: timedelta = MESSAGE_GRACE) -> Call[int]:
    """Makes new messages for tasks whose message was lost, and is older than `grace`. How many."""
    return Call(script("recover"), (milliseconds(grace), *queues), int)


def expire() -> Call[int]:
    """Removes records whose retention is over. How many."""
    return Call(script("expire"), (), int)


# -- the fleet -----------------------------------------------------------------------------------------------------------


def observe(queues: Sequence[str]) -> Call[records.Survey]:
    """All that is known of these queues and their workers, at one moment."""

    def read(reply: bytes) -> records.Survey:
        seen = orjson.loads(reply)
        return records.Survey(int(seen["now_ms"]), tuple(map(_queue_seen, seen["queues"])))

    return Call(script("observe"), (milliseconds(DUE_SOON), *queues), read)


def _queue_seen(row: dict[str, Any]) -> records.QueueSeen:
    oldest, service = row.get("oldest_wait_ms"), row.get("service_ms")
    fleet, paused = row.get("fleet"), row.get("paused")
    return records.QueueSeen(
        queue=row["queue"],
        waiting=row["waiting"],
        running=row["running"],
        scheduled=row["scheduled"],
        due=row["due"],
        oldest_wait_ms=int(oldest) if oldest is not None else None,
        service_ms=service,
        workers=tuple(map(_worker_seen, row.get("workers", ()))),
        fleet=orjson.loads(fleet) if fleet else None,
        paused=records.Pause.read(paused) if paused else None,
    )


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


def drain(worker: str) -> Call[bool]:
    """Tells a worker to take nothing new."""
    return Call("SADD", (key("draining"), worker), bool)


def resume(worker: str) -> Call[bool]:
    """Takes that back."""
    return Call("SREM", (key("draining"), worker), bool)


def depart(worker: str, queue: str) -> Call[bool]:
    """A worker says goodbye."""
    return Call(script("depart"), (worker, queue), bool)


def report_fleet(queue: str, status: bytes) -> Call[bool]:
    """Keeps the last decision on a queue's fleet, for people to see; for a while, so that it is never an old one."""
    return Call("SET", (key("fleet", queue), status, "PX", milliseconds(FLEET_KEPT)), bool)


def forget_fleets(queues: Sequence[str]) -> Call[int]:
    """Removes the last decisions on these queues' fleets."""
    return Call("DEL", tuple(key("fleet", queue) for queue in queues), int)


# -- access --------------------------------------------------------------------------------------------------------------


def api_keys() -> Call[records.KeysSeen]:
    """Every API key that was made, and when each was used."""

    def read(reply: list[Any]) -> records.KeysSeen:
        now_ms, entries, uses = reply
        return records.KeysSeen(
            now_ms,
            {key_id.decode(): entry for key_id, entry in pairs(entries).items()},
            {key_id.decode(): int(at) for key_id, at in pairs(uses).items()},
        )

    return Call(script("api_keys"), (), read)


def save_api_key(key_id: str, entry: bytes, instead_of: bytes = b"") -> Call[bool]:
    """Keeps an API key: its digest and what it may do, never the key itself. False: somebody else changed it."""
    return Call(script("save_api_key"), (key_id, entry, instead_of), bool)


def remove_api_key(key_id: str) -> Call[bool]:
    """Revokes an API key. False: there is none."""
    return Call(script("remove_api_key"), (key_id,), bool)


def note_key_uses(key_ids: Iterable[str]) -> Call[int]:
    """These keys were used just now."""
    return Call(script("note_key_uses"), tuple(key_ids), int)
