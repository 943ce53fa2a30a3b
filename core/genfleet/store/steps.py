"""The steps of a task's life, each one call and one round trip. Other subjects have modules of their own beside this one.

A step is a value. `SyncStore.run` and `AsyncStore.run` carry it out; nothing here touches a network. Every step may be
carried out again when its reply was lost: submit is idempotent by id, claim by delivery, settle and the like by token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from genfleet.contract.keys import key
from genfleet.contract.limits import NO_LIMITS, Limits, Rate, Refused
from genfleet.contract.measures import Cause
from genfleet.contract.states import State
from genfleet.store import records
from genfleet.store.calls import Argument, Call, left, milliseconds, pairs, refused
from genfleet.store.scripts import script

LEASE = timedelta(seconds=8)
"""How long a task stays a worker's without a beat. A lost worker's task is back in line this much later."""
SILENCE = timedelta(seconds=20)
"""How long a silent worker is still counted."""
EVENTS_READ = 200
"""Events of one task read at a time, so that no look at a long history holds up Redis."""


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
        task.trace,
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
        _, held, project, kind, data, retries, *trace = reply
        traced = records.Traced(trace[0].decode(), *trace[1:]) if trace else None
        lease = records.Lease(task_id, held, project.decode(), kind.decode(), data, retries, traced)
        return records.Claim(verdict, lease)

    return Call(script("claim"), (task_id, token, worker, nonce, milliseconds(LEASE), gpus), read)


def renew(worker: str, queue: str, about: bytes, leases: Iterable[tuple[str, int]]) -> Call[records.Beat]:
    """A worker's beat: keeps its leases, tells what it does, and hears what it is to stop."""
    args: list[Argument] = [worker, queue, about, milliseconds(LEASE), milliseconds(SILENCE)]
    for task_id, token in leases:
        args += (task_id, token)

    def read(reply: list[Any]) -> records.Beat:
        drain, waiting, *verdicts = reply
        return records.Beat(bool(drain), waiting, tuple(verdict.decode() for verdict in verdicts))

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
    return Call(script("settle"), (task_id, token, State.COMPLETED.value, result, "", "", ""), bool)


def fail(task_id: str, token: int, error: str, traceback: str = "", *, cause: Cause = Cause.ENGINE) -> Call[bool]:
    """Settles a task that failed for good. False: refused, it is no longer the caller's."""
    return Call(script("settle"), (task_id, token, State.FAILED.value, "", error, traceback, cause.value), bool)


def retry_later(
    task_id: str, token: int, delay: timedelta, error: str, traceback: str = "", *, cause: Cause = Cause.ENGINE
) -> Call[bool]:
    """Puts a failed attempt's task aside until its next one. False: refused, it is no longer the caller's."""
    return Call(script("retry_later"), (task_id, token, milliseconds(delay), error, traceback, cause.value), bool)


def lose(task_id: str, token: int, why: str) -> Call[bool]:
    """Gives up a task whose process died, in words for people. It starts again, unless it has taken too many with it."""
    return Call(script("release"), (task_id, token, "lost", why), bool)


def hand_back(task_id: str, token: int, why: str) -> Call[bool]:
    """Gives up a task because the worker has to stop. It is next in line, and nothing is counted against it."""
    return Call(script("release"), (task_id, token, "handed_back", why), bool)


def cancel(task_id: str) -> Call[records.Cancelled | None]:
    """Cancels a task that has not ended. None: there is no such task."""

    def read(reply: list[Any]) -> records.Cancelled | None:
        if not reply:
            return None
        state, project, *at_ms = reply
        return records.Cancelled(State(state.decode()), project.decode(), at_ms[0] if at_ms else None)

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
