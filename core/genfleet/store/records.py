"""A task as it is stored, and what the steps answer, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

import orjson

from genfleet.contract.limits import Left
from genfleet.contract.states import State, is_final
from genfleet.traces import trace_id

Moment = datetime | timedelta
"""When: at a time, or so long from now by the clock of Redis."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a submission stores. Validated by the caller; `data` and `metadata` are kept as they were sent."""

    id: str
    project: str
    type: str
    queue: str
    priority: int
    data: bytes
    """JSON of `task_data`."""
    metadata: bytes = b"{}"
    callback_url: str = ""
    retry_of: str = ""
    """Id of the task that this one repeats."""
    copies: bool = False
    """Whether `data`, `metadata` and `callback_url` are those of that task, and not given here."""
    key_id: str = ""
    """The API key that submits it. Empty: a foreign producer's message."""
    run_at: Moment | None = None
    """It gets in line then, and not before. None, or a time that has passed: at once."""
    deadline: Moment | None = None
    """If it has not started by then, it has failed."""
    trace: str = ""
    """The span that submits it, as a `traceparent`. Empty: it is not traced."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a submission."""

    id: str
    """Not that of the task which was sent, where an earlier request was `replayed`."""
    created_ms: int
    position: int
    """Place in line; 1 is next. 0: it has left the line already."""
    state: State
    replayed: bool = False
    """The same request came before, under the same Idempotency-Key: this is what it was told (NS-005)."""
    known: bool = field(default=False, compare=False)
    """The task was there already: nothing was done."""
    mean_run_ms: int | None = field(default=None, compare=False)
    """How long recent tasks of its type took. None: too few have ended."""
    left: Left = field(default=Left(), compare=False)


@dataclass(frozen=True, slots=True)
class Once:
    """What makes two requests of one key the same: then they make one task (NS-005)."""

    name: str
    """The Idempotency-Key."""
    fingerprint: str
    """Of what is asked for. Another one under the same name is a mistake of the client, and refused."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The answer to a look at a task."""

    task: TaskRecord | None
    left: Left


@dataclass(frozen=True, slots=True)
class Chapter:
    """Something in the story of a task: an attempt that did not complete it, or what people did about it."""

    at_ms: int
    how: str
    """`lost`, `handed_back`, `failed`; or `retried`, `released`."""
    why: str | None = None
    attempt: int | None = None
    began_ms: int | None = None
    worker: str | None = None
    """Which one ran the attempt."""
    new_id: str | None = None
    """As what it was submitted again."""
    by: str | None = None
    """Id of the API key by which somebody acted."""

    @classmethod
    def read_all(cls, story: bytes | None) -> tuple[Chapter, ...]:
        """Those that `remember` in the prelude wrote, the oldest first."""
        # Not `splitlines`: what an engine said may hold what that takes for the end of a line, and JSON does not.
        lines = (story or b"").decode(errors="replace").split("\n")
        return tuple(cls._read(orjson.loads(line)) for line in lines if line)

    @classmethod
    def _read(cls, fields: Mapping[str, Any]) -> Chapter:
        return cls(
            at_ms=int(fields["at"]),
            how=fields["how"],
            why=fields.get("why"),
            attempt=int(fields["attempt"]) if "attempt" in fields else None,
            began_ms=int(fields["began"]) if "began" in fields else None,
            worker=fields.get("worker"),
            new_id=fields.get("as"),
            by=fields.get("by"),
        )


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task. Times are milliseconds since the epoch, by the clock of Redis."""

    id: str
    project: str
    type: str
    queue: str
    priority: int
    state: State
    data: dict[str, Any]
    metadata: dict[str, Any]
    callback_url: str | None
    created_ms: int
    updated_ms: int
    started_ms: int | None
    """When the present or last attempt began."""
    finished_ms: int | None
    retries: int
    """Automatic retries made so far."""
    due_ms: int | None
    """When it gets in line, while it waits for its time or for its next attempt."""
    deadline_ms: int | None
    """By when it has to have started, or it has failed."""
    progress: float | None
    step: str | None
    result: dict[str, Any] | None
    error: str | None
    traceback: str | None
    last_error: str | None
    """Why the attempt before this one failed, or how its worker was lost."""
    worker: str | None
    retry_of: str | None
    key_id: str | None
    """The API key that submitted it."""
    events: int
    """How many events there were so far; the newest has this number."""
    story: tuple[Chapter, ...]
    """What became of earlier attempts, and what people did about them; the oldest first."""
    quarantined_ms: int | None
    """Since when it is in quarantine."""

    STATUS: ClassVar[tuple[str, ...]] = (
        *("state", "project", "type", "created", "started", "finished", "retries", "due"),
        *("progress", "step", "result", "error", "last_error", "events"),
    )
    """The fields of a status: a record that is read with these alone has nothing in the others, which may be large."""

    @property
    def attempt(self) -> int:
        """Number of the present attempt, or of the next one; the first is 1."""
        return self.retries + 1

    @classmethod
    def read(cls, task_id: str, fields: Mapping[bytes, bytes | None]) -> TaskRecord | None:
        """From the hash in Redis; None if there is none."""
        if not fields.get(b"state"):
            return None

        def text(name: str) -> str | None:
            value = fields.get(name.encode())
            return value.decode() if value else None

        def number(name: str) -> int | None:
            value = fields.get(name.encode())
            return int(value) if value else None

        def document(name: str) -> dict[str, Any] | None:
            value = fields.get(name.encode())
            return orjson.loads(value) if value else None

        progress = text("progress")
        return cls(
            id=task_id,
            project=text("project") or "",
            type=text("type") or "",
            queue=text("queue") or "",
            priority=number("priority") or 0,
            state=State(text("state") or ""),
            data=document("data") or {},
            metadata=document("metadata") or {},
            callback_url=text("callback"),
            created_ms=number("created") or 0,
            updated_ms=number("updated") or 0,
            started_ms=number("started"),
            finished_ms=number("finished"),
            retries=number("retries") or 0,
            due_ms=number("due"),
            deadline_ms=number("deadline"),
            progress=float(progress) if progress is not None else None,
            step=text("step"),
            result=document("result"),
            error=text("error"),
            traceback=text("trace"),
            last_error=text("last_error"),
            worker=text("worker"),
            retry_of=text("retry_of"),
            key_id=text("key"),
            events=number("events") or 0,
            story=Chapter.read_all(fields.get(b"story")),
            quarantined_ms=number("quarantined"),
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a worker that asks for a task. Only with a `lease` may it run."""

    verdict: str
    """`run`, `busy` (another worker holds it), `drop` (it ended, or this message is old) or `unknown` (no record)."""
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class Traced:
    """What a worker tells of a task that is traced. Times as in a record."""

    context: str
    """The span that others join, as a `traceparent`."""
    due_ms: int
    """Since when the task waited for a worker."""
    claimed_ms: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one attempt of a task, and what is needed to do so."""

    task_id: str
    token: int
    project: str
    type: str
    data: bytes
    retries: int
    trace: Traced | None = None

    @property
    def names(self) -> dict[str, Any]:
        """Whose task it is, and which attempt: on every log line about it (TS-185)."""
        return {
            "task_id": self.task_id,
            "project_id": self.project,
            "task_type": self.type,
            "attempt": self.retries + 1,
            **({"trace_id": trace_id(self.trace.context)} if self.trace else {}),
        }


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a worker's beat."""

    drain: bool
    """Whether it is to take nothing new."""
    waiting: int
    """Messages that wait in its queue."""
    verdicts: tuple[str, ...]
    """`held`, `done`, `stop` or `lost`, for each lease in the order given."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The answer to a cancellation."""

    was: State
    project: str
    at_ms: int | None
    """When it was cancelled; None if it had ended otherwise, and nothing was done."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A task as a list shows it."""

    id: str
    project: str
    type: str
    state: State
    created_ms: int
    updated_ms: int
    finished_ms: int | None
    data: dict[str, Any] | None
    result: dict[str, Any] | None
    omitted: Mapping[str, int]
    """Documents that are too large for a list, with their sizes in bytes."""

    @classmethod
    def read(cls, project: str, row: Sequence[Any]) -> Listed | None:
        """From a row of `lua/list.lua`. None: its record is gone."""
        task_id, (state, kind, created, updated, finished), data, data_size, result, result_size = row
        if state is None:
            return None
        sizes = {"data": data_size if data is None else 0, "result": result_size if result is None else 0}
        return cls(
            id=task_id.decode(),
            project=project,
            type=kind.decode(),
            state=State(state.decode()),
            created_ms=int(created),
            updated_ms=int(updated),
            finished_ms=int(finished) if finished else None,
            data=orjson.loads(data) if data else None,
            result=orjson.loads(result) if result else None,
            omitted={name: size for name, size in sizes.items() if size},
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task."""

    number: int
    """1 for the first one, then without a gap."""
    at_ms: int
    fields: Mapping[str, str]
    """One of `state`, `progress`, `retry`, `lost`, `handed_back` and `log`, with what goes with it; see `docs/events.md`."""

    @property
    def ends(self) -> bool:
        """Whether it is the last one: the task has ended."""
        return "state" in self.fields and is_final(State(self.fields["state"]))


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a look at a task's events."""

    total: int | None
    """How many there were so far; None: there is no such task, or no longer."""
    events: tuple[Event, ...]
    """Those that are still kept, of those that were asked for; oldest first, `steps.EVENTS_READ` at the most."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a project's tasks."""

    total: int
    tasks: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker, by its last beat."""

    id: str
    about: dict[str, Any]
    """What it says of itself: host, pid, phase, running, memory_bytes, …  Written by `genfleet_workers.beat`."""
    held: int
    """Tasks it holds, by their leases: true at this moment, which `about` need not be any more."""
    silent_ms: int
    draining: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing of a queue starts, because somebody said so by the API."""

    since_ms: int
    reason: str
    """In their words; may be empty."""

    @classmethod
    def read(cls, document: bytes | str) -> Pause:
        """From what `lua/pause.lua` wrote."""
        fields = orjson.loads(document)
        return cls(int(fields["since_ms"]), fields["reason"])


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """One queue, as it was at one moment."""

    queue: str
    waiting: int
    running: int
    scheduled: int
    """Tasks that wait for their next attempt, however far away."""
    due: int
    """Those whose next attempt is near."""
    oldest_wait_ms: int | None
    service_ms: float | None
    """Mean run time of the queue's recent tasks; None before the first."""
    workers: tuple[WorkerSeen, ...]
    fleet: dict[str, Any] | None
    """The last report of whoever sizes this queue's fleet."""
    paused: Pause | None = None
    by_priority: tuple[int, ...] = ()
    """Of those that wait, how many have priority 1, 2 and 3."""


@dataclass(frozen=True, slots=True)
class KeysSeen:
    """Every API key, at one moment."""

    now_ms: int
    entries: Mapping[str, bytes]
    """By id."""
    used_ms: Mapping[str, int]
    """When each was last used, by id; those of the settings as well."""


@dataclass(frozen=True, slots=True)
class Survey:
    """All queues at one moment."""

    now_ms: int
    queues: tuple[QueueSeen, ...]
    quarantined: int = 0
    """Tasks in quarantine."""
    dead_letters: int = 0
    """Messages and records that were set aside, and wait for somebody to look at them."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The numbers behind metrics and queue health."""

    now_ms: int
    counters: Mapping[str, int]
    recent_completed: int
    recent_failed: int
    running: int
    long_running: tuple[tuple[str, int], ...]
    """Id and run time in ms of what has run for longer than was asked for."""
