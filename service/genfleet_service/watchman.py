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
from genfleet.store import alerts, capacity
from genfleet.store.client import AsyncStore
from genfleet_service import fleet_health
from genfleet_service.fleet_health import Alert

log = structlog.get_logger(__name__)


async def watch(store: AsyncStore, period: timedelta) -> None:
    """Look for as long as the program runs; waits out an unreachable Redis."""
    while True:
        try:
            if await store.run(alerts.take_turn("api", period)):
                await _look(store)
        except StoreUnavailable as error:
            log.warning("alerts_wait", reason=str(error))
        except Exception:
            log.exception("alerts_failed")  # the next look may do better
        await asyncio.sleep(period.total_seconds())


async def _look(store: AsyncStore) -> None:
    overview = capacity.overview(QUEUES, long=fleet_health.LONG_RUN, window=fleet_health.RECENT)
    seen, survey = await store.run_all([overview, capacity.observe(QUEUES)])
    found = _by_name(fleet_health.alerts(seen, survey.queues))
    for change in await store.run(alerts.note({name: alert["severity"] for name, alert in found.items()})):
        if not change.raised:
            log.info("alert_cleared", alert=change.name, severity=change.severity)
            continue
        tell = log.error if change.severity == "critical" else log.warning
        tell("alert_raised", alert=change.name, **found[change.name])


def _by_name(found: Iterable[Alert]) -> dict[str, Alert]:
    return {fleet_health.name_of(alert): alert for alert in found}
