"""Every panel is asked of a real Prometheus that watched the real product under a mixed load: none may be empty."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Redis, free_port
from tests.support.waiting import comes_true, wait_for
from tests.support.watched import PROMETHEUS, Prometheus, watched
from tools.monitoring import alerts
from tools.monitoring.dashboards import DASHBOARDS
from tools.monitoring.panels import filled_in

pytestmark = pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not there: make monitoring-test fetches it")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """With a limit, so that there is something to say of it."""
    server = Redis(tmp_path, free_port(), options=("--maxmemory", "200mb"))
    server.start()
    yield server
    server.stop()


def test_no_panel_is_empty(redis: Redis, tmp_path: Path) -> None:
    """Under retries, deaths, cancelled and late tasks, broken messages, webhooks, and workers that come and go.

    Each query of each panel has a number. And what two processes of the API export is one number, seen twice.
    """
    with watched(redis, tmp_path) as there:
        began = time.time()
        there.load(4)

        comes_true(lambda: not [*_empty(there.prometheus, began)], within=20)

        assert [*_empty(there.prometheus, began)] == []
        assert [rule.name for rule in alerts.RECORDED if not there.prometheus.at_once(rule.name)] == NEED_MORE_TIME
        wait_for("two processes export what is one number", lambda: _exported_twice(there.prometheus))


NEED_MORE_TIME = [rule.name for rule in alerts.RECORDED if "increase" in rule.name]
"""They compare with ten minutes ago and more; `promtool test rules` has that time."""


def _empty(prometheus: Prometheus, began: float) -> Iterator[str]:
    """Queries that never had a number for an answer."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                answers = prometheus.over_time(filled_in(query.expression), began, time.time(), 1)
                if not any(math.isfinite(float(value)) for one in answers for _, value in one["values"]):
                    yield f"{dashboard.name}: {panel.title}: {query.legend}"


def _exported_twice(prometheus: Prometheus) -> bool:
    """Whether the panel shows half of what all processes export together."""
    (exported,) = prometheus.at_once('sum(genfleet_tasks_submitted_total{type="generate_image"})')
    per_minute = filled_in(_query("task-type", "Tasks that come, by type")).replace("rate", "last_over_time")
    (shown,) = (one for one in prometheus.at_once(per_minute) if one["metric"]["type"] == "generate_image")
    return 60 * float(exported["value"][1]) == 2 * float(shown["value"][1])


def _query(name: str, title: str) -> str:
    """The one of a panel."""
    (found,) = (
        panel.queries[0].expression
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        if (dashboard.name, panel.title) == (name, title)
    )
    return found
