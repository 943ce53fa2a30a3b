"""Dashboards and alerts: whole, legible, made from the contract, and true when Prometheus plays their stories."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genfleet.contract import measures
from genfleet.contract.measures import Kind
from tools.monitoring import alerts, grafana
from tools.monitoring.dashboards import DASHBOARDS
from tools.monitoring.grafana import Dashboard, Panel
from tools.monitoring.queries import Scope

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]
UNITS = {"s", "bytes", "percent", "percentunit", "short", "reqps", "suffix: /min"}
PARTS = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}
EXPORTED = {
    f"{measure.name}{part}": {*measure.labels, "le"}
    for measure in measures.EVERY
    for part in PARTS.get(measure.kind, ("",))
}
RECORDED = {rule.name for rule in alerts.RECORDED}

PROMTOOL = shutil.which("promtool") or ""
needs_promtool = pytest.mark.skipif(
    not PROMTOOL,
    reason="promtool is not there: make monitoring-test fetches it",
)


# -- dashboards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_each_row_asks_a_question_and_has_answers(dashboard: Dashboard) -> None:
    """A row's title is a question, and its panels fill the width of the grid, each wide enough to be read."""
    for row in dashboard.rows:
        assert row.question.endswith("?")
        widths = grafana.places(row)
        assert sum(widths) == grafana.WIDTH
        assert min(widths) >= 3


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=[f"{one.name}-{panel.title}" for one, panel in PANELS])
def test_a_panel_says_what_it_shows(dashboard: Dashboard, panel: Panel) -> None:
    """Title, description as a sentence, a unit that Grafana has, and a name for each series."""
    assert panel.title
    assert not panel.means[0].islower()
    assert panel.means.endswith(".")
    assert panel.unit in UNITS
    assert panel.queries
    assert all(query.legend for query in panel.queries)


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=[f"{one.name}-{panel.title}" for one, panel in PANELS])
def test_a_panel_asks_for_what_is_exported(dashboard: Dashboard, panel: Panel) -> None:
    """Each name is one of the contract, each label in a legend is one that the query keeps, each variable is there."""
    variables = {variable.name for variable in dashboard.variables} | {"__rate_interval", "__interval", "__range"}
    for query in panel.queries:
        assert set(re.findall(r"genfleet_\w+", query.expression)) <= set(EXPORTED)
        assert set(re.findall(r"\$(\w+)", query.expression)) <= variables
        kept = {name for group in re.findall(r"sum by \(([^)]*)\)", query.expression) for name in group.split(", ")}
        assert set(re.findall(r"{{(\w+)}}", query.legend)) <= kept


def test_every_measure_of_tasks_and_fleet_is_shown_somewhere() -> None:
    """A number that nobody sees need not be counted."""
    asked = " ".join(query.expression for _, panel in PANELS for query in panel.queries)
    asked += " ".join(alert.expression for alert in alerts.ALERTS)

    assert [one.name for one in measures.EVERY if one.name not in asked and one.name not in NOT_SHOWN] == []


NOT_SHOWN = {
    "genfleet_queue_waiting",  # as the operator saw it; the panels take what Redis says
    "genfleet_queue_running",
    "genfleet_queue_oldest_wait_seconds",
    "genfleet_redis_round_trips_total",  # of the operator: its errors are shown
}


@pytest.mark.parametrize(
    "measure", [one for one in measures.EVERY if one.source is measures.Source.FLEET], ids=lambda measure: measure.name
)
def test_several_processes_of_the_api_never_double_a_number(measure: measures.Measure) -> None:
    """What all of them export is taken once, in each panel, rule and alert that asks for it, whatever Prometheus adds."""
    name, own = measure.name, ", ".join(("namespace", *measure.labels))
    once = re.compile(rf"max by \({own}(?:, le)?\) \((?:rate\()?{name}")
    asked = [query.expression for _, panel in PANELS for query in panel.queries]
    asked += [recorded.expression for recorded in alerts.RECORDED] + [alert.expression for alert in alerts.ALERTS]

    for expression in asked:
        bare = re.sub(r"\w+:\w+:\w+", "", expression)  # what was recorded was taken once
        assert len(re.findall(rf"\b{name}(?:_bucket|_sum|_count)?\b", bare)) == len(once.findall(bare)), expression


def test_files_have_ids_and_places_of_their_own() -> None:
    """No panel lies on another, none has another's id, and no dashboard another's address."""
    files = sorted((MONITORING / "dashboards").glob("*.json"))
    documents: list[dict[str, Any]] = [json.loads(file.read_text()) for file in files]

    assert [file.stem for file in files] == sorted(dashboard.name for dashboard in DASHBOARDS)
    assert len({document["uid"] for document in documents}) == len(DASHBOARDS)
    for document in documents:
        assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
        cells = [cell for panel in document["panels"] for cell in _cells(panel["gridPos"])]
        assert len(cells) == len(set(cells))


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        assert x < grafana.WIDTH
        yield from ((x, y) for y in range(place["y"], place["y"] + place["h"]))


def test_a_label_or_bound_that_nobody_exports_is_refused() -> None:
    """A mistake is found while the files are made, and not as an empty panel."""
    ask = Scope()

    with pytest.raises(AssertionError, match="no label"):
        ask.now(measures.WAITING, type="generate_image")
    with pytest.raises(AssertionError, match="no such label"):
        ask.sum(measures.WAITING, "type")
    with pytest.raises(AssertionError, match="no bound"):
        ask.above(61, measures.WAIT)


# -- alerts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", alerts.ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_says_what_it_means_and_has_both_stories(alert: alerts.Alert) -> None:
    """Sentences, a severity, and stories in which it fires and in which it does not."""
    assert alert.name.startswith("Genfleet")
    assert alert.severity in {"critical", "warning"}
    assert alert.summary.endswith(".")
    assert alert.means.endswith(".")
    said = [[severity for severity, _, _ in story.says] for story in alert.stories]
    assert any(alert.severity in severities for severities in said)
    assert any(alert.severity not in severities for severities in said)


@pytest.mark.parametrize("alert", alerts.ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_asks_for_what_is_exported_or_recorded(alert: alerts.Alert) -> None:
    """Each name is one of the contract, or of a recording rule."""
    recorded = set(re.findall(r"\w+:\w+:\w+", alert.expression))
    names = set(re.findall(r"genfleet_\w+", re.sub(r"\w+:\w+:\w+", "", alert.expression)))

    assert recorded <= RECORDED
    assert names <= set(EXPORTED)


def test_every_recorded_number_is_used() -> None:
    """Nothing is worked out that nobody asks for."""
    asked = " ".join(alert.expression for alert in alerts.ALERTS)

    assert [name for name in RECORDED if name not in asked] == []


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    """Links are made from names, and lead to a page that says what it is, how to look, and when to leave it."""
    pages = {str(page.relative_to(ROOT)): page.read_text() for page in (ROOT / "docs" / "runbooks").glob("*.md")}

    assert set(pages) == {alert.runbook for alert in alerts.ALERTS}
    for path, page in pages.items():
        assert page.startswith(f"# {Path(path).stem}\n")
        assert re.findall("^## (.+)$", page, re.MULTILINE) == ["What people feel", "Look", "Mend", "Leave it"]


def test_the_page_tells_of_every_dashboard_and_alert() -> None:
    """`docs/monitoring.md` has each dashboard with its questions, and each alert with its severities."""
    page = (ROOT / "docs" / "monitoring.md").read_text()
    severities: dict[str, list[str]] = {}
    for alert in alerts.ALERTS:
        severities.setdefault(alert.name, []).append(alert.severity)

    assert re.findall(r"^\| \[(\w+)\]\(runbooks/\1\.md\) \| ([^|]+) \|", page, re.MULTILINE) == [
        (name, ", ".join(both)) for name, both in severities.items()
    ]
    for dashboard in DASHBOARDS:
        asked = " ".join(row.question for row in dashboard.rows)
        assert f"| {dashboard.title} (`{dashboard.name}.json`) | {asked} |" in page


@needs_promtool
def test_prometheus_understands_the_rules() -> None:
    """`promtool check rules`."""
    checked = _promtool("check", "rules", "rules.yaml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_each_alert_fires_when_it_should_and_only_then() -> None:
    """`promtool test rules`: every story of every alert, with all of the fleet's numbers seen twice."""
    played = _promtool("test", "rules", "rules_test.yaml")

    assert played.returncode == 0, played.stdout + played.stderr


def _promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROMTOOL, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
