"""Raises alerts by itself (TS-079): looks at the queues as `GET /tasks/health` does, and logs what has changed.

Every API process takes part; one of them looks in each period, and each change is logged once: when an alert is raised, or
has another severity, and when it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import structlog

from genfleet.contract.task_types import QUEUES
from genfleet.errors import StoreUnavailable
from genfleet.store import alerts, capacity, redis_check
from genfleet.store.client import AsyncStore
from genfleet_service import fleet_health
from genfleet_service.fleet_health import Alert

log = structlog.get_logger(__name__)


async def watch(store: AsyncStore, period: timedelta) -> None:
    """Look for as long as the program runs; waits out an unreachable Redis."""
    total = 0
    while True:
        try:
            total = await _count(store, total)
            if await store.run(alerts.take_turn("api", period)):
                await _look(store)
        except StoreUnavailable as error:
            log.warning("alerts_wait", reason=str(error))
        except Exception:
            log.exception("alerts_failed")  # the next look may do better
        await asyncio.sleep(period.total_seconds())


async def _count(store: AsyncStore, before: int) -> int:
    """How many tasks there have ever been. Fewer than before: Redis came back without its data, or with old data."""
    total = await store.run(capacity.total_tasks())
    if total < before:
        remedy = "see how Redis keeps its data (genfleet doctor), and submit again what is missing"
        log.error("redis_lost_its_data", tasks_before=before, tasks_now=total, remedy=remedy)
    return total


async def _look(store: AsyncStore) -> None:
    overview = capacity.overview(QUEUES, long=fleet_health.LONG_RUN, window=fleet_health.RECENT)
    (seen, survey), redis = await asyncio.gather(
        store.run_all([overview, capacity.observe(QUEUES)]), redis_check.look_again(store, now=None)
    )
    found = _by_name(fleet_health.alerts(seen, survey.queues, redis))
    for change in await store.run(alerts.note({name: alert["severity"] for name, alert in found.items()})):
        if not change.raised:
            log.info("alert_cleared", alert=change.name, severity=change.severity)
            continue
        tell = log.error if change.severity == "critical" else log.warning
        tell("alert_raised", alert=change.name, **found[change.name])


def _by_name(found: Iterable[Alert]) -> dict[str, Alert]:
    return {fleet_health.name_of(alert): alert for alert in found}
