"""How the fleet controllers look at their queues: a record that nobody can read blinds them for its own queue only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from genfleet.errors import StoreUnavailable
from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from genfleet.store.records import QueueSeen, Survey

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of some queues."""

    queues: Sequence[QueueSeen | None]
    """None: what is kept of this queue cannot be read."""
    whole: Survey | None
    """The answer, if there was one to all of them."""
    now: float
    """By Redis' clock. 0: nothing could be read."""


async def survey(store: AsyncStore, queues: Sequence[str]) -> Look:
    """Look at these queues. Raises StoreUnavailable."""
    try:
        seen = await store.run(capacity.observe(queues))
    except StoreUnavailable:
        raise
    except Exception as error:  # noqa: BLE001  of whatever kind: it must not keep the other queues from being seen
        if len(queues) <= 1:
            log.warning("not_readable", queue=list(queues), reason=repr(error))
            return Look([None] * len(queues), None, 0.0)
        middle = len(queues) // 2
        first, second = await asyncio.gather(survey(store, queues[:middle]), survey(store, queues[middle:]))
        return Look([*first.queues, *second.queues], None, max(first.now, second.now))
    return Look(seen.queues, seen, seen.now_ms / 1000)
