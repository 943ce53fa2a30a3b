"""What may be said to the chart: typing errors are refused with the place of the mistake, and so is what contradicts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from tests.support.helm import CHART, ENVIRONMENTS, HOST
from tests.support.rendered import chart, manifests, merged, render
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
    ("a name that no resource has", {"queues": {"Gpu_X": {"queue": "default"}}}, "'Gpu_X' does not match pattern"),
    (
        "a typing error in a variable",
        {"operator": {"env": [{"nam": "A", "value": "b"}]}},
        "at '/operator/env/0': missing property 'name'",
    ),
    ("a variable that is a number", {"api": {"env": [{"name": "A", "value": 1}]}}, "got number, want string"),
    (
        "a typing error in what a pod asks for",
        {"api": {"resources": {"request": {"cpu": 1}}}},
        "at '/api/resources': additional properties 'request' not allowed",
    ),
    (
        "a typing error in a pool",
        {"queues": {"a": {"queue": "a", "pools": [{"name": "p", "gpu": 1}]}}},
        "at '/queues/a/pools/0': additional properties 'gpu' not allowed",
    ),
    ("an image with a version", {"operator": {"allowedImages": ["a/b:1"]}}, "at '/operator/allowedImages/0'"),
    ("half a repository", {"operator": {"allowedImages": ["example.com*"]}}, "at '/operator/allowedImages/0'"),
    ("a media address with a slash", {"media": {"url": "https://a.example.com/"}}, "at '/media/url'"),
    ("two kinds of Redis", {"redis": {"existingSecret": "a"}}, "set redis.bundled.enabled to false as well"),
    ("no Redis", {"redis": {"bundled": {"enabled": False}}}, "name a Secret with the address of your Redis"),
    ("Sentinels of our own Redis", {"redis": {"sentinel": {"master": "m"}}}, "are for a Redis of your own"),
    (
        "a certificate from nowhere",
        {"redis": {"tls": {"clientCertificate": True}}},
        "name it in redis.tls.existingSecret",
    ),
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
    given = merged(helm_python.values_from_yaml(environment.read_text()), HOST) if environment else {}

    report = helm_python.lint(CHART, given, strict=True, kube_version="v1.29.0")

    assert report["errors"] == []


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_a_host_is_nobody_s_but_yours(environment: Path) -> None:
    """Who serves clients from outside is asked for the name: none is made up."""
    given = helm_python.values_from_yaml(environment.read_text())
    if environment.stem == "values-dev":
        assert render(given)
    else:
        with pytest.raises(helm_python.HelmError, match=r"in api\.ingress\.host"):
            render(given)


def test_a_queue_of_an_environment_can_be_left_out() -> None:
    """`--set queues.default=null`, as for a queue of your own in its place."""
    given = merged(yaml.safe_load((CHART / "values-dev.yaml").read_text()), {"queues": {"default": None}})
    found = {each["metadata"]["name"] for each in manifests(given) if each["kind"] == "GenerationQueue"}
    assert found == {"gpu-heavy", "gpu-medium", "cpu-intensive"}


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
