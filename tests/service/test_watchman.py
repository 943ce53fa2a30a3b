"""Alerts that are raised by themselves: in the log, once for each change, whoever of the API processes looks."""

from __future__ import annotations

import json
from collections import Counter

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from tests.service.acts import seconds_running, settled, started
from tests.support.servers import Site
from tests.support.waiting import wait_for

OFTEN = {"GENFLEET_ALERT_PERIOD_SECONDS": "0.1", "GENFLEET_LOG_FORMAT": "json"}


def told(site: Site) -> Counter[str]:
    """How often each alert was raised (`+`) or cleared (`-`), by the log of all API processes."""
    signs = {"alert_raised": "+", "alert_cleared": "-"}
    lines = (site.folder / "api.log").read_text().rpartition("\n")[0].splitlines()
    said = [json.loads(line) for line in lines if '"alert_' in line]
    return Counter(signs[line["event"]] + line["alert"] for line in said)


def test_an_alert_is_logged_once_when_it_is_raised_and_once_when_it_is_over(site: Site, store: SyncStore) -> None:
    """TS-079, TS-075, TS-076: two API processes look, and one of them tells; a task that runs long is named."""
    with site.api(**OFTEN) as api, site.api(**OFTEN):
        for _ in range(5):
            settled(api, store, State.FAILED)
        long = started(api, store)
        seconds_running(site.redis, long, 500)
        raised = {"+failure_rate", "+recent_failure_rate", f"+task_duration:{long}"}
        wait_for("all three are raised", lambda: raised <= told(site).keys())

        seconds_running(site.redis, long, 600)
        wait_for("it is critical now", lambda: told(site)[f"+task_duration:{long}"] == 2)
        site.redis.client.delete(key("counters"))
        wait_for("one is over", lambda: told(site)["-failure_rate"])
        seconds_running(site.redis, long, 1)
        wait_for("another one is over", lambda: told(site)[f"-task_duration:{long}"])
        assert told(site) == dict.fromkeys(raised, 1) | {
            f"+task_duration:{long}": 2,
            "-failure_rate": 1,
            f"-task_duration:{long}": 1,
        }
