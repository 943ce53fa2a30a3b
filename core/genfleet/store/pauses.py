"""Steps that pause a queue and let it go on. Called by the API; what a pause means is in `lua/claim.lua` and `lua/renew.lua`.

A paused queue takes submissions, and what runs is finished. Nothing starts: a claim is turned away, whoever makes it and
whatever message it came with, and workers stop taking messages at their next beat. The task keeps its place all the
while; what is lost is at most its message, and `recover` makes another when the pause ends.
"""

from __future__ import annotations

from datetime import timedelta

from genfleet.store import chores, records
from genfleet.store.calls import Call
from genfleet.store.scripts import script

AT_ONCE = timedelta(0)


def pause(queue: str, reason: str) -> Call[records.Pause]:
    """Nothing of this queue starts from now on. Again: changes the reason."""
    return Call(script("pause"), (queue, reason), records.Pause.read)


def unpause(queue: str) -> Call[records.Pause | None]:
    """What waits may start again, see `remake`. The pause that ended. None: there was none."""
    return Call(script("unpause"), (queue,), lambda reply: records.Pause.read(reply) if reply else None)


def remake(queue: str) -> Call[int]:
    """Makes the messages anew that were dropped during a pause, some at a time. How many; the chores do the rest."""
    return chores.recover((queue,), grace=AT_ONCE)
