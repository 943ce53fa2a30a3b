"""`Prefer: wait=N` (RFC 7240): a client that would rather have the end of its task as the answer, and waits for it.

A wait costs the service a timer and a place in the event feed: no worker, no connection, and no look at Redis.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from genfleet.contract.states import is_final
from genfleet.errors import StoreUnavailable
from genfleet.store import steps
from genfleet.store.records import TaskRecord
from genfleet_service.access import Caller
from genfleet_service.context import Service

_WAIT = re.compile(rb'(?:^|,)\s*wait\s*=\s*"?(\d{1,6})"?\s*(?=$|[,;])', re.IGNORECASE)


def granted(request: Request, service: Service, caller: Caller) -> int | None:
    """For how many seconds the client wants to wait, and may.

    None: it does not ask for it in a way that can be understood, or has too much open already. Nobody has to honour a
    preference, so the answer then is the usual one, at once.
    """
    if service.listeners.is_full(caller.key_id):
        return None
    for name, value in request.scope["headers"]:
        if name == b"prefer" and (found := _WAIT.search(value)):
            return min(int(found[1]), service.settings.longest_wait_seconds)
    return None


def applied(wait: int) -> dict[str, str]:
    """The header that says what was granted."""
    return {"Preference-Applied": f"wait={wait}"}


async def end_of(service: Service, caller: Caller, task_id: str, wait: int) -> TaskRecord | None:
    """The record of a task that has ended, or ends within `wait` seconds. None: it goes on, or Redis does not say.

    `wait` was granted just now.
    """
    with service.listeners.place(caller.key_id):
        try:
            task = await service.store.run(steps.task(task_id))
            if task and not is_final(task.state):
                ended = await service.feed.ended(task_id, task.events, wait)
                task = await service.store.run(steps.task(task_id)) if ended else None
        except StoreUnavailable:
            return None  # a submission was taken all the same, and that is the answer
        return task
