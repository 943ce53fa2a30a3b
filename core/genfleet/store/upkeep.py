"""The chores that keep the promises: late retries, lost workers, lost messages, old records. Any program that is up does them.

Every program tries once a period; Redis lets one of them do it. So it matters little which programs are up, and a
thousand workers cost what one costs.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from genfleet.contract.task_types import QUEUES
from genfleet.errors import StoreUnavailable
from genfleet.store import steps
from genfleet.store.client import AsyncStore, SyncStore

log = structlog.get_logger(__name__)

PERIOD = timedelta(seconds=1)
CHORES = {
    "promoted": steps.promote(QUEUES),
    "reaped": steps.reap(QUEUES),
    "recovered": steps.recover(QUEUES),
    "expired": steps.expire(),
}


def do_chores(store: SyncStore, who: str) -> None:
    """Does the chores of this period if nobody has. Raises StoreUnavailable."""
    if store.run(steps.take_upkeep(who, PERIOD)):
        _tell({name: store.run(call) for name, call in CHORES.items()})


async def keep_up(store: AsyncStore, who: str) -> None:
    """Does the chores for as long as the program runs; waits out an unreachable Redis."""
    while True:
        try:
            if await store.run(steps.take_upkeep(who, PERIOD)):
                _tell(dict(zip(CHORES, await store.run_all(list(CHORES.values())), strict=True)))
        except StoreUnavailable as error:
            log.warning("chores_wait", reason=str(error))
        except Exception:
            log.exception("chores_failed")  # the next round may do better; without chores, what is lost stays lost
        await asyncio.sleep(PERIOD.total_seconds())


def _tell(done: dict[str, int]) -> None:
    if any(done.values()):
        log.info("chores", **done)
