"""The chores that keep the promises: delays, late retries, deadlines, lost workers, lost messages, old records. Any program that is up does them.

Every program tries once a period; Redis lets one of them do it. So it matters little which programs are up, and a
thousand workers cost what one costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from genfleet.contract.task_types import QUEUES
from genfleet.errors import StoreUnavailable
from genfleet.store import chores
from genfleet.store.calls import Call
from genfleet.store.client import AsyncStore, SyncStore

log = structlog.get_logger(__name__)

PERIOD = timedelta(seconds=1)
CHORES = {
    "promoted": chores.promote(QUEUES),
    "overdue": chores.end_overdue(),
    "reaped": chores.reap(QUEUES),
    "recovered": chores.recover(QUEUES),
    "expired": chores.expire(),
}


def do_chores(store: SyncStore, who: str) -> None:
    """Does the chores of this period if nobody has. Raises StoreUnavailable."""
    if store.run(chores.take_upkeep(who, PERIOD)):
        _tell({name: _attempted(store, call) for name, call in CHORES.items()})


def _attempted(store: SyncStore, call: Call[int]) -> int | Exception:
    try:
        return store.run(call)
    except StoreUnavailable:
        raise
    except Exception as error:  # noqa: BLE001  one chore that fails must not keep the others from being done
        return error


async def keep_up(store: AsyncStore, who: str) -> None:
    """Does the chores for as long as the program runs; waits out an unreachable Redis."""
    while True:
        try:
            if await store.run(chores.take_upkeep(who, PERIOD)):
                done = await asyncio.gather(*map(store.run, CHORES.values()), return_exceptions=True)
                _tell(dict(zip(CHORES, done, strict=True)))
        except StoreUnavailable as error:
            log.warning("chores_wait", reason=str(error))
        except Exception:
            log.exception("chores_failed")  # the next round may do better; without chores, what is lost stays lost
        await asyncio.sleep(PERIOD.total_seconds())


def _tell(done: Mapping[str, int | BaseException]) -> None:
    for name, result in done.items():
        if isinstance(result, StoreUnavailable):
            raise result
        if isinstance(result, BaseException):
            log.error("chore_failed", chore=name, exc_info=result)
        elif result:
            log.info("chore", chore=name, tasks=result)
