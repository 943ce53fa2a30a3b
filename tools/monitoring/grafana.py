"""Dashboards as Grafana reads them: rows that ask one question each, and panels that answer it.

Plain values and one function that turns them into JSON. The builder that Grafana's makers publish is versioned by epochs that
no range of versions can hold: whatever is newest by number writes for the oldest Grafana. What is used of the format is little,
and has not changed from Grafana 10 to 12.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Json = dict[str, Any]

WIDTH = 24
"""Columns of Grafana's grid."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

GREEN, YELLOW, RED, BLUE, GREY, ORANGE, PURPLE = "green", "yellow", "red", "blue", "#8e8e8e", "orange", "purple"
COLOURS = {
    "state": {
        "completed": GREEN,
        "failed": RED,
        "cancelled": GREY,
        "ready": GREEN,
        "starting": BLUE,
        "draining": ORANGE,
        "drained": GREY,
        "broken": RED,
    },
    "outcome": {
        "completed": GREEN,
        "delivered": GREEN,
        "failed": RED,
        "retried": YELLOW,
        "lost": PURPLE,
        "handed_back": BLUE,
    },
    "cause": {
        "engine": RED,
        "timeout": ORANGE,
        "connection": YELLOW,
        "http": "dark-yellow",
        "memory": PURPLE,
        "exhausted": "dark-purple",
        "input": GREY,
    },
    "reason": {"DemandRose": GREEN, "DemandFell": BLUE, "Steady": GREY, "AtMaximum": ORANGE, "AtMinimum": "light-blue"},
    "class": {"2xx": GREEN, "4xx": YELLOW, "5xx": RED},
}
"""By label and value: what means the same has the same colour on every dashboard."""


FIXED = {"running": GREEN, "waiting": ORANGE}
"""The same for series with a name of their own."""
MARKS = ("places", "wanted")
"""Lines over what is filled: how much there could be. White on dark, black on light."""


class Look(StrEnum):
    """How a panel shows its answer."""

    LINES = "lines"
    STACK = "stack"
    """Parts of a whole."""
    BARS = "bars"
    """Single events, counted: a bar has those of its time."""
    NUMBER = "number"
    """One number, coloured by how good it is."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus, and how its series are called; `{{label}}` is filled in."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One answer."""

    title: str
    means: str
    unit: str
    """Grafana's name of it: `s`, `bytes`, `percentunit`, `short`."""
    queries: Sequence[Query]
    look: Look = Look.LINES
    limits: Sequence[tuple[float, str]] = ()
    """From where on it has which colour. Lines are drawn there."""
    base: str = GREEN
    """Its colour below all of them."""
    width: int = 0
    """Columns; 0: what the others of its row leave."""
    most: float | None = None
    """Where its scale ends, if that is known."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question, and the panels that answer it."""

    question: str
    panels: Sequence[Panel]
    height: int = 8


@dataclass(frozen=True, slots=True)
class Variable:
    """What people may choose: values of a label."""

    name: str
    says: str
    metric: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All of it."""

    name: str
    """Of its file, and in its address."""
    title: str
    means: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()

    @property
    def panels(self) -> Iterator[Panel]:
        """In the order in which they are read."""
        for row in self.rows:
            yield from row.panels


def text(dashboard: Dashboard) -> str:
    """Its file."""
    return json.dumps(document(dashboard), indent=2) + "\n"


def document(dashboard: Dashboard) -> Json:
    """As Grafana reads it, by import, from a folder, or from the chart's ConfigMap."""
    return {
        "uid": f"genfleet-{dashboard.name}",
        "title": f"genfleet / {dashboard.title}",
        "description": dashboard.means,
        "tags": ["genfleet"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "title": "genfleet",
                "tags": ["genfleet"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_datasource(), *map(_variable, dashboard.variables)]},
        "annotations": {"list": []},
        "panels": list(_panels(dashboard)),
    }


def places(row: Row) -> list[int]:
    """How wide each panel of a row is: together the whole width."""
    free = [panel for panel in row.panels if not panel.width]
    left = WIDTH - sum(panel.width for panel in row.panels)
    widths = [panel.width or left // len(free) for panel in row.panels]
    widths[-1] += WIDTH - sum(widths)
    return widths


def _panels(dashboard: Dashboard) -> Iterator[Json]:
    number, y = 1, 0
    for row in dashboard.rows:
        yield {
            "id": number,
            "type": "row",
            "title": row.question,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
        }
        number, y, x = number + 1, y + 1, 0
        for panel, width in zip(row.panels, places(row), strict=True):
            yield {"id": number, **_panel(panel), "gridPos": {"x": x, "y": y, "w": width, "h": row.height}}
            number, x = number + 1, x + width
        y += row.height


def _panel(panel: Panel) -> Json:
    number = panel.look is Look.NUMBER
    return {
        "type": "stat" if number else "timeseries",
        "title": panel.title,
        "description": panel.means,
        "datasource": SOURCE,
        # A bar has the events of one interval, and none is counted twice: no shorter than the time between two scrapes.
        **({"interval": "1m"} if panel.look is Look.BARS else {}),
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "editorMode": "code",
                "expr": query.expression,
                "legendFormat": query.legend,
                "instant": number,
                "range": not number,
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": list(_colours(panel))},
        "options": _number_options(panel) if number else _line_options(),
    }


def _defaults(panel: Panel) -> Json:
    steps: list[Json] = [{"color": panel.base, "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in panel.limits]
    shared: Json = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.most is not None:
        shared["max"] = panel.most
    if panel.look is Look.NUMBER:
        return {**shared, "color": {"mode": "thresholds"}, "noValue": "-"}
    stacked = panel.look in {Look.STACK, Look.BARS}
    return {
        **shared,
        "color": {"mode": "palette-classic"},
        "custom": {
            "drawStyle": "bars" if panel.look is Look.BARS else "line",
            "lineWidth": 1 if stacked else 2,
            "fillOpacity": {Look.BARS: 80, Look.STACK: 50}.get(panel.look, 8),
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.limits else "off"},
            **({"axisSoftMax": 1} if panel.unit == "short" else {}),  # where there is nothing, no scale of hundredths
        },
    }


def _colours(panel: Panel) -> Iterator[Json]:
    legends = [query.legend for query in panel.queries]
    for label in sorted(label for label in COLOURS if f"{{{{{label}}}}}" in legends):
        yield from (_override(value, _fixed(colour)) for value, colour in COLOURS[label].items())
    yield from (_override(legend, _fixed(FIXED[legend])) for legend in legends if legend in FIXED)
    for legend in legends:
        if legend in MARKS:
            line = {"custom.stacking": {"mode": "none"}, "custom.fillOpacity": 0, "custom.lineWidth": 2}
            yield _override(legend, _fixed("text") | line)


def _fixed(colour: str) -> Json:
    return {"color": {"mode": "fixed", "fixedColor": colour}}


def _override(name: str, properties: Json) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": id_, "value": value} for id_, value in properties.items()],
    }


def _number_options(panel: Panel) -> Json:
    return {
        "colorMode": "background" if panel.limits else "none",  # what is neither good nor bad has no colour
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }


def _line_options() -> Json:
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _datasource() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "regex": "",
    }


def _variable(variable: Variable) -> Json:
    asked = f"label_values({variable.metric}, {variable.name})"
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.says,
        "datasource": SOURCE,
        "query": {"query": asked, "refId": "Variable"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "regex": "",
    }
