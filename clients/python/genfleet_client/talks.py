"""What a client and the service say to each other, in which order: tries, waiting, pages and streams.

Written once for both clients. A talk is a generator that does no I/O: it yields a step (`Send`, `Open`, `Line`, `Pause`),
is told what came of it, and returns the answer; what it wants the caller to have on the way it yields as `Found`.
`Client` and `AsyncClient` (api.py) do the steps, each in its own way.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

import httpx
import orjson

from genfleet_client import calls
from genfleet_client.bodies import ListedTask, StatusBody
from genfleet_client.calls import Call
from genfleet_client.errors import TaskTimeout, Unreachable, refusal
from genfleet_client.retries import Answer, Lost, Retries
from genfleet_client.sse import FINAL, Event, Parser

T = TypeVar("T")

IDLE_S = 30.0
"""A stream that says nothing for so long, not even that it is there, is given up. The service says so every 15 s."""
FIRST_LOOK_S, LONGEST_LOOK_S = 0.25, 2.0
"""Between two looks at a task where there is no stream: short at first, then longer (TS-153)."""
LOOK_GROWTH = 1.3
STREAMS = 5
"""Streams that end without a word, one after the other, before a task is followed by looking alone."""


Because: TypeAlias = Literal["limit", "outage"]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request. Told: its Answer, or Lost."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request whose answer is a stream. Told: Opened, or an Answer that is none, or Lost."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that has begun; `lines` is for whoever does the steps."""

    lines: Any


@dataclass(frozen=True, slots=True)
class Line:
    """Read on. Told: the next line; None at the end of the stream; or Lost."""

    stream: Opened


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float
    because: Because | None = None
    """Why a request is to be sent again after it. None: it was answered; there is just nothing to ask for the moment."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """Something for the caller."""

    value: T


Step: TypeAlias = Send | Open | Line | Pause | Found[Any]
Talk: TypeAlias = Generator[Step, Any, T]


def found(talk: Talk[T]) -> Talk[None]:
    """A talk whose answer is what the caller wants."""
    yield Found((yield from talk))


@dataclass(frozen=True, slots=True)
class Talks:
    """Every talk with one service."""

    url: str
    retries: Retries
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def ask(self, call: Call[T]) -> Talk[T]:
        """Send a request until it is answered, or patience ends. Raises ApiError."""
        attempt, waited = 1, 0.0
        partly: Answer | None = None
        while True:
            reply: Answer | Lost = yield Send(call)
            pause = self.retries.pause(call, reply, attempt, waited, self.chance())
            done = reply if isinstance(reply, Answer) and reply.is_success else None
            if pause is None:  # which parts were accepted is worth more than why no more could be
                return call.read(self._body(call, done or partly or reply))
            partly = done or partly
            yield Pause(pause, _because(reply))
            attempt, waited = attempt + 1, waited + pause

    def pages(self, project_id: str, **filters: Any) -> Talk[None]:
        """Find each of a project's tasks, page by page; one that a new task has moved to the next page is found once."""
        page, seen = 1, set[str]()
        while True:
            answer = yield from self.ask(calls.project_tasks(project_id, page=page, limit=100, **filters))
            tasks: list[ListedTask] = answer["tasks"]
            for task in tasks:
                if task["task_id"] not in seen:
                    seen.add(task["task_id"])
                    yield Found(task)
            if page >= answer["pagination"]["total_pages"]:
                return
            page += 1

    def events(self, task_id: str, last_event_id: str | int | None = None) -> Talk[None]:
        """Find each event of a task to its end, over as many connections as it takes. Raises ApiError."""
        parser, attempt, waited = Parser(None if last_event_id is None else str(last_event_id)), 1, 0.0
        while True:
            before, call = parser.last_id, calls.events(task_id, parser.last_id)
            reply: Opened | Answer | Lost = yield Open(call)
            if isinstance(reply, Answer) and reply.status == 204:
                return
            while isinstance(reply, Opened):
                event = yield from self._next(reply, parser)
                if isinstance(event, Lost):
                    reply = event
                elif event is not None:
                    yield Found(event)
                    if event.is_final:
                        return
            if parser.last_id != before:
                attempt, waited = 1, 0.0
            pause = self.retries.pause(call, reply, attempt, waited, self.chance())
            if pause is None:
                self._body(call, reply)
                raise self._is_something_else(call, reply)
            yield Pause(pause, _because(reply))
            attempt, waited = attempt + 1, waited + pause

    def follow(self, task_id: str, timeout: float | None, longest_look: float = LONGEST_LOOK_S) -> Talk[None]:
        """Find the status of a task whenever it changes, until it has ended. Raises TaskTimeout, ApiError."""
        deadline = self.clock() + timeout if timeout is not None else math.inf
        parser, streams, look = Parser(), STREAMS, min(FIRST_LOOK_S, longest_look)
        status = yield from self.ask(calls.status(task_id))
        yield Found(status)
        while status["status"] not in FINAL:
            left = deadline - self.clock()
            if left <= 0:
                raise TaskTimeout(timeout or 0.0, status)
            # A read of a stream cannot be told to end sooner: the last seconds before a deadline are for looking.
            if streams and left > IDLE_S:
                known = parser.last_id
                status, streams = yield from self._watch(status, parser, deadline - IDLE_S, streams - 1)
                if parser.last_id != known:
                    look = min(FIRST_LOOK_S, longest_look)
                if status["status"] in FINAL:
                    break
            yield Pause(min(look, left))
            look = min(look * LOOK_GROWTH, longest_look)
            status = yield from self.ask(calls.status(task_id))
            yield Found(status)

    def _watch(self, status: StatusBody, parser: Parser, until: float, streams: int) -> Talk[tuple[StatusBody, int]]:
        """Follow a task by its events for as long as that goes well.

        Its status after that, and how many more streams are worth a try: after one that told something, all again.
        """
        stream: Opened | Answer | Lost = yield Open(calls.events(status["task_id"], parser.last_id))
        if not isinstance(stream, Opened):
            return status, 0
        while status["status"] not in FINAL and self.clock() < until:
            event = yield from self._next(stream, parser)
            if isinstance(event, Lost):
                return status, streams
            if event is None:
                continue
            streams = STREAMS
            changed = _moved(status, event)
            if changed is None:
                changed = yield from self.ask(calls.status(status["task_id"]))
            if changed != status:
                status = changed
                yield Found(status)
        return status, streams

    @staticmethod
    def _next(stream: Opened, parser: Parser) -> Talk[Event | Lost | None]:
        """What the next line makes: an event, or nothing yet. Lost: the stream is over before the task is."""
        line: str | Lost | None = yield Line(stream)
        if line is None:
            return Lost(httpx.RemoteProtocolError("the stream of events ended before the task did"))
        return line if isinstance(line, Lost) else parser.feed(line)

    def _body(self, call: Call[Any], reply: Answer | Lost) -> dict[str, Any]:
        """What was answered. Raises ApiError."""
        if isinstance(reply, Lost):
            message = f"{self.url} cannot be reached ({reply.error}); is the service up? `genfleet up` starts one here"
            raise Unreachable(0, {"error": "unreachable", "message": message}) from reply.error
        body = _object(reply.content)
        if body is None and reply.status in (502, 503, 504):
            body = {"error": "service_unavailable", "message": f"{self.url} is not available (HTTP {reply.status})"}
        if body is None:
            raise self._is_something_else(call, reply)
        if not reply.is_success:
            raise refusal(reply.status, body, reply.retry_after)
        return body

    def _is_something_else(self, call: Call[Any], reply: Answer | Lost | Opened) -> Unreachable:
        said = f"HTTP {reply.status}" if isinstance(reply, Answer) else "a stream"
        message = (
            f"{self.url} does not answer as genfleet does ({call.method} {call.path}: {said}, and not what was asked for); "
            "is GENFLEET_URL the address of the API?"
        )
        return Unreachable(0, {"error": "not_genfleet", "message": message})


def _because(reply: Answer | Lost | Opened) -> Because:
    is_limit = isinstance(reply, Answer) and (reply.is_success or reply.status == 429)  # a success: of a part of it
    return "limit" if is_limit else "outage"


def _object(content: bytes) -> dict[str, Any] | None:
    """The JSON object that was answered. None: it was something else."""
    try:
        body = orjson.loads(content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _moved(status: StatusBody, event: Event) -> StatusBody | None:
    """The status after an event; None where it has to be asked for. A stream begins in the past: what is old is passed over."""
    data = event.data
    match event.type:
        case "progress":
            ahead = data.get("progress", 0) >= (status["progress"] or 0) and status["status"] == "processing"
            moved = {"progress": data.get("progress"), "current_step": data.get("current_step")}
            return cast(StatusBody, {**status, **moved}) if ahead else status
        case "state" if "task" in data:
            return cast(StatusBody, data["task"])
        case "state" if data.get("status") == status["status"]:
            return status
        case "state" | "retry" | "lost" | "gap":
            return None
        case _:  # a line of the log, or a kind that is newer than we are
            return status
