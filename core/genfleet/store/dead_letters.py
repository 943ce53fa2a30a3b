"""Messages and records that could not be judged, set aside with their reason, for people to look at."""

from __future__ import annotations

from genfleet.store.calls import Argument, Call
from genfleet.store.scripts import script


def set_aside(reason: str, **known: str | bytes) -> Call[int]:
    """Keeps one: why, and what else is known of it, such as its `task_id`, `queue`, `worker` and what it was (`raw`)."""
    args: list[Argument] = [reason]
    for name, value in known.items():
        args += (name, value)
    return Call(script("set_aside"), args, int)
