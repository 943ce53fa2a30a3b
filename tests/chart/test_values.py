"""What may be said to the chart: typing errors are refused with the place of the mistake, and so is what contradicts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import helm_python
import pytest

from tests.support.helm import CHART, ENVIRONMENTS
from tests.support.rendered import chart, render
from tools.chart import definition, readme, values, values_schema

CRD = "generationqueues.genfleet.dev.yaml"

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("a key that is not there", {"replicas": 3}, "additional properties 'replicas' not allowed"),
    ("a typing error", {"api": {"replica": 3}}, "at '/api': additional properties 'replica' not allowed"),
    ("a wrong type", {"api": {"replicas": "3"}}, "at '/api/replicas': got string, want integer"),
    ("a number out of range", {"api": {"service": {"port": 0}}}, "at '/api/service/port': minimum: got 0, want 1"),
    (
        "not one of those",
        {"logLevel": "loud"},
        "at '/logLevel': value must be one of 'debug', 'info', 'warning', 'error'",
    ),
    ("what is yet to come", {"scheduler": {"enabled": True}}, "at '/scheduler/enabled': value must be false"),
    (
        "a typing error in a queue",
        {"queues": {"a": {"queue": "a", "scalin": {}}}},
        "at '/queues/a': additional properties 'scalin'",
    ),
    ("a queue without its name", {"queues": {"a": {}}}, "at '/queues/a': missing property 'queue'"),
    (
        "a typing error in a pool",
        {"queues": {"a": {"queue": "a", "pools": [{"name": "p", "gpu": 1}]}}},
        "at '/queues/a/pools/0': additional properties 'gpu' not allowed",
    ),
    ("a media address with a slash", {"media": {"url": "https://a.example.com/"}}, "at '/media/url'"),
    ("two kinds of Redis", {"redis": {"existingSecret": "a"}}, "set redis.bundled.enabled to false as well"),
    ("no Redis", {"redis": {"bundled": {"enabled": False}}}, "name a Secret with the address of your Redis"),
    ("no place for files", {"media": {"persistence": {"enabled": False}}}, "name a volume in media.volume"),
    ("half a model", {"workers": {"llm": {"url": "http://models/v1"}}}, "workers.llm needs both url and name"),
    ("a key for no model", {"workers": {"llm": {"existingSecret": "k"}}}, "workers.llm needs both url and name"),
    ("an Ingress for nobody", {"api": {"ingress": {"enabled": True}}}, "in api.ingress.host"),
    (
        "all namespaces and some",
        {"operator": {"clusterWide": True, "namespaces": ["a"]}},
        "remove operator.namespaces, or set operator.clusterWide to false",
    ),
    (
        "queues that nobody serves",
        {"operator": {"namespaces": ["there"]}, "queues": {"a": {"queue": "default"}}},
        "which operator.namespaces leaves out: add here to it",
    ),
]


@pytest.mark.parametrize(("given", "says"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_wrong_values_are_refused(given: dict[str, Any], says: str) -> None:
    """Nothing is rendered, and the message names the place and what is wrong there."""
    with pytest.raises(helm_python.HelmError) as refused:
        render(given)

    assert says in str(refused.value)


@pytest.mark.parametrize("environment", [None, *ENVIRONMENTS], ids=lambda path: path.stem if path else "defaults")
def test_helm_has_nothing_to_say_against_the_chart(environment: Path | None) -> None:
    """`helm lint` finds no error, whichever values it is given."""
    given = helm_python.values_from_yaml(environment.read_text()) if environment else {}

    report = helm_python.lint(CHART, given, strict=True, kube_version="v1.29.0")

    assert report["errors"] == []


def test_the_schema_is_closed() -> None:
    """No map of settings takes a key that is not there; free are those that the table describes as a whole."""
    schema = chart().schema
    assert schema is not None

    assert _open(schema["properties"], ()) == {
        value.path for value in values() if isinstance(value.default, dict) and value.text
    }


def _open(properties: dict[str, Any], path: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The maps that take any key."""
    found: set[tuple[str, ...]] = set()
    for name, part in properties.items():
        if part.get("type") == "object" and name != "global":
            closed = part.get("additionalProperties") is False
            found |= _open(part["properties"], (*path, name)) if closed else {(*path, name)}
    return found


def test_the_version_is_that_of_the_programs() -> None:
    """Chart, images and distribution carry one version: the chart's default images are those made with it."""
    project = tomllib.loads((CHART.parents[2] / "pyproject.toml").read_text())["project"]

    assert chart().version == project["version"]
    assert chart().metadata["appVersion"] == project["version"]


def test_generated_files_are_fresh() -> None:
    """Schema, README and the copy of the resource definition are what `make generate` writes."""
    made = {"values.schema.json": values_schema, "README.md": readme, f"crds/{CRD}": definition}

    assert [name for name, build in made.items() if (CHART / name).read_text() != build()] == [], "run `make generate`"
