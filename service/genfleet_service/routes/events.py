"""What happens to a task, followed: its events, and what its engines say of their work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from genfleet.contract.states import is_final
from genfleet.errors import StoreUnavailable
from genfleet.store import steps
from genfleet.store.records import Event, TaskRecord
from genfleet_service import events, openapi
from genfleet_service.access import Caller
from genfleet_service.context import CallerDep, Service, ServiceDep
from genfleet_service.feed import AGAIN_S, Gap
from genfleet_service.lookup import OFTEN, look_at
from genfleet_service.replies import json_reply
from genfleet_service.routes.tasks import TaskId

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])

LastEventId = Annotated[
    str | None, Query(description="Go on after this event; for browsers, which cannot set the header at first")
]
LastEventIdHeader = Annotated[str | None, Header(alias="Last-Event-ID", description="Go on after this event")]


class EventStream(StreamingResponse):
    """Server-sent events, until their source ends or the client goes. `place` is held for as long as that takes."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes], place: AbstractContextManager[None]) -> None:
        super().__init__(frames, headers=events.HEADERS)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them; whatever happens, nothing goes on listening afterwards. Raises Refusal before that."""
        async with aclosing(self.body_iterator):  # type: ignore[type-var]  # it is the generator that was given
            with self._place:
                await super().__call__(scope, receive, send)


@router.get(
    "/{task_id}/events", name="events", responses=openapi.event_stream(events.EventsBody, events.WRONG_ID, OFTEN)
)
async def task_events(
    task_id: TaskId,
    request: Request,
    service: ServiceDep,
    caller: CallerDep,
    last_event_id: LastEventId = None,
    header: LastEventIdHeader = None,
) -> Response:
    """What happens to a task, from its submission to its end, as server-sent events.

    `Accept: application/json` gets those so far. 204: the task has ended, and its last event was had before.
    """
    after = events.asked_after(header, last_event_id)
    task, _ = await look_at(service, caller, task_id)
    if _wants_json(request):
        told = await _so_far(service, task, after)
        kept: events.EventsBody = {"task_id": task_id, "events": told, "complete": not any(map(_is_gap, told))}
        return json_reply(kept)
    return _stream(service, caller, task, after, only_logs=False)


@router.get("/{task_id}/logs", name="logs", responses=openapi.event_stream(events.LogsBody, events.WRONG_ID, OFTEN))
async def task_logs(
    task_id: TaskId,
    service: ServiceDep,
    caller: CallerDep,
    follow: Annotated[bool, Query(description="Go on to the end of the task, as server-sent events")] = False,
    last_event_id: LastEventId = None,
    header: LastEventIdHeader = None,
) -> Response:
    """What the engines said of their work on a task so far, or as they say it."""
    after = events.asked_after(header, last_event_id)
    task, _ = await look_at(service, caller, task_id)
    if follow:
        return _stream(service, caller, task, after or 0, only_logs=True)
    told = await _so_far(service, task, after or 0)
    lines = [events.line(event) for event in told if event["event"] == "log"]
    kept: events.LogsBody = {"task_id": task_id, "logs": lines, "complete": not any(map(_is_gap, told))}
    return json_reply(kept)


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/event-stream" not in accepted


def _is_gap(told: events.EventBody) -> bool:
    return told["event"] == "gap"


def _stream(service: Service, caller: Caller, task: TaskRecord, after: int | None, *, only_logs: bool) -> Response:
    if is_final(task.state) and after == task.events and after:
        return Response(status_code=204)  # a browser stops connecting again
    told = _past(service, task, after) if is_final(task.state) else _live(service, caller, task, after)
    return EventStream(_frames(told, only_logs=only_logs), service.listeners.place(caller.key_id))


async def _frames(told: AsyncGenerator[events.EventBody | None], *, only_logs: bool) -> AsyncGenerator[bytes]:
    """The bytes of a stream. Of its events all, or the lines of the log with what has to be known of the rest."""
    yield events.GREETING
    async with aclosing(told):
        async for each in told:
            if each is None:
                yield events.HEARTBEAT
            elif not only_logs or each["event"] in ("log", "gap") or "task" in each["data"]:
                yield events.frame(each)


async def _past(service: Service, task: TaskRecord, after: int | None) -> AsyncGenerator[events.EventBody | None]:
    """Of a task that has ended."""
    for each in await _so_far(service, task, after):
        yield each


async def _live(
    service: Service, caller: Caller, task: TaskRecord, after: int | None
) -> AsyncGenerator[events.EventBody | None]:
    """Of a task that goes on, for as long as the key is good."""
    if after is None:
        yield events.first(task)
    heartbeat = service.settings.heartbeat_seconds
    async with aclosing(service.feed.follow(task.id, task.events, after or 0, heartbeat)) as source:
        async for event in source:
            if not service.keys.still_has(caller.key_id):
                return
            ended = None
            while event and event.ends and ended is None:
                try:
                    ended = await service.store.run(steps.task(task.id)) or task
                except StoreUnavailable:
                    yield None
                    await asyncio.sleep(AGAIN_S)
            yield events.body(task.id, event, ended) if event else None


async def _so_far(service: Service, task: TaskRecord, after: int | None) -> list[events.EventBody]:
    """What is kept of a task's events. Of one that ended so long ago that nothing is, its end, by its record."""
    known, kept = after or 0, list[Event]()
    while True:
        (more,) = await service.store.run(steps.events([(task.id, kept[-1].number if kept else known)]))
        kept += more.events
        if len(more.events) < steps.EVENTS_READ:
            break
    if kept and kept[-1].ends and not is_final(task.state):
        again = await service.store.run(steps.task(task.id))
        task = again if again is not None else task  # it ended just now
    if is_final(task.state) and not (kept and kept[-1].ends):
        return [events.last(task)]
    told = [events.first(task)] if after is None else []
    if kept and kept[0].number > known + 1:
        told.append(events.body(task.id, Gap(known, kept[0].number)))
    return told + [events.body(task.id, event, task) for event in kept]
