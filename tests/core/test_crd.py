"""The custom resource definition: made from the models, in the form that Kubernetes takes, and saying what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types of its own

from genfleet.contract.fields import CRON
from genfleet.contract.queue import GenerationQueue
from genfleet.errors import ConfigurationError
from tests.support.bad_queues import BAD_QUEUES, BadQueue
from tools import crd

ROOT = Path(__file__).parents[2]
FILE = ROOT / "crds" / "generationqueues.genfleet.dev.yaml"
SCHEMA: dict[str, Any] = crd.schema()

# What structural schemas do not take, and what only pydantic has a use for.
FOREIGN = {
    "$ref",
    "$defs",
    "title",
    "const",
    "oneOf",
    "not",
    "dependencies",
    "propertyNames",
    "prefixItems",
    "examples",
}


def parts(node: dict[str, Any] = SCHEMA, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with the path to it."""
    yield path, node
    for name, part in node.get("properties", {}).items():
        yield from parts(part, f"{path}.{name}")
    for key, sign in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(node.get(key), dict):
            yield from parts(node[key], path + sign)


def rules(below: str = "") -> list[dict[str, str]]:
    """Every CEL rule at a path that begins so."""
    return [
        rule for path, node in parts() if path.startswith(below) for rule in node.get("x-kubernetes-validations", [])
    ]


def sentence(rule: dict[str, str]) -> re.Pattern[str]:
    """What a rule says, with any values in it."""
    if "message" in rule:
        return re.compile(re.escape(rule["message"]))
    text, _ = json.JSONDecoder().raw_decode(rule["messageExpression"])
    return re.compile(".+".join(re.escape(piece) for piece in text.split("%s")))


def said(bad: BadQueue) -> str:
    """What Python says of a bad queue, without the source."""
    with pytest.raises(ConfigurationError) as caught:
        GenerationQueue.parse(bad.document, source="queue.yaml")
    return str(caught.value).removeprefix("queue.yaml: ")


def test_the_file_is_what_the_models_make() -> None:
    """Whoever changes a model runs `make generate`."""
    assert FILE.read_text() == crd.text()


def test_every_value_has_one_type() -> None:
    """The schema is structural: a type everywhere, no reference, no null and no word that Kubernetes refuses."""
    for path, node in parts():
        typed = {"type", "x-kubernetes-int-or-string"} & set(node)
        assert len(typed) == 1, path
        assert not FOREIGN & set(node), path
        assert ("anyOf" in node) == ("x-kubernetes-int-or-string" in node), path
        assert node.get("additionalProperties", {}) is not False, path
        assert not ("additionalProperties" in node and "properties" in node), path
        assert node.get("default", 0) is not None, path


def test_every_list_text_and_map_is_bounded() -> None:
    """Without bounds the API server takes a rule for too expensive, and a slip of the pen is kept."""
    bound = {"array": "maxItems", "string": "maxLength"}
    for path, node in parts(SCHEMA["properties"]["spec"], "spec"):
        if "enum" not in node:
            assert bound.get(node.get("type", ""), "type") in node or "x-kubernetes-int-or-string" in node, path
        assert "maxProperties" in node or not isinstance(node.get("additionalProperties"), dict), path


def test_every_field_is_described() -> None:
    """`kubectl explain` has a sentence for each field, and a full one."""
    for path, node in parts():
        if not path.endswith("{}") and path != ".metadata":
            assert re.search(r"\w.*[.}]$", node.get("description", ""), re.DOTALL), path


def test_every_default_is_told() -> None:
    """`kubectl explain` does not show defaults by itself, so the descriptions do."""
    scaling = SCHEMA["properties"]["spec"]["properties"]["scaling"]["properties"]
    assert scaling["cooldownSeconds"]["description"].endswith(" Default: 120.")
    for path, node in parts(SCHEMA["properties"]["spec"], "spec"):
        assert "default" not in node or node["type"] == "object" or " Default: " in node["description"], path


def test_only_a_default_that_may_stay_is_written_into_the_resource() -> None:
    """A target that the API server wrote would stay beside another one that is applied later; the rest may be seen."""
    spec = SCHEMA["properties"]["spec"]["properties"]
    assert spec["scaling"]["default"] == {"minReplicas": 0, "maxReplicas": 10, "cooldownSeconds": 120}
    assert spec["pools"]["default"] == [{"name": "default"}]
    assert "default" not in spec["scaling"]["properties"]["target"]
    assert spec["scaling"]["properties"]["target"]["x-kubernetes-map-type"] == "atomic"
    assert not [path for path, node in parts() if path.startswith(".status") and "default" in node]


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").glob("local/*.yaml")), ids=lambda path: path.name)
def test_the_queues_of_a_laptop_are_valid_in_a_cluster(path: Path) -> None:
    """What `genfleet up` reads, `kubectl apply` takes."""
    Draft202012Validator(SCHEMA).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("bad", BAD_QUEUES, ids=lambda bad: bad.id)
def test_a_bad_queue_is_refused(bad: BadQueue) -> None:
    """Python tells each mistake by the path of the field, what is wrong, and what to do."""
    assert said(bad) == bad.line


def test_every_rule_says_what_python_says() -> None:
    """For each rule of the API server there is a bad queue here, of which Python says the same sentence.

    Not for rules about a change: Python sees one document at a time.
    """
    lines = [said(bad) for bad in BAD_QUEUES]
    for rule in (rule for rule in rules() if "oldSelf" not in rule["rule"]):
        assert any(sentence(rule).search(line) for line in lines), rule


@pytest.mark.parametrize(
    "expression",
    [
        "0 8 * * 1-5",
        "*/15 0-6,22-23 1,15 * *",
        "5/10 08 01 1-12/2 0,7",
        "0 0 L * *",
        "0 0 LW jan,JUL *",
        "30 9 * * Mon-fri",
        "0 9 * * MON#1",
        "0 9 * * 5L",
        "  0\t8 * *   1 ",
    ],
)
def test_the_api_server_takes_every_cron_expression_that_python_takes(expression: str) -> None:
    """The regular expression of the schema is no stricter than the parser."""
    GenerationQueue.parse(_scheduled(expression), source="queue.yaml")
    assert re.search(CRON, expression)


@pytest.mark.parametrize(
    "expression", ["60 * * * *", "* 24 * * *", "* * 32 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "a b c d e", ""]
)
def test_the_api_server_refuses_nonsense_as_python_does(expression: str) -> None:
    """What the parser refuses for a single field, the regular expression refuses as well."""
    with pytest.raises(ConfigurationError, match="is not a cron expression"):
        GenerationQueue.parse(_scheduled(expression), source="queue.yaml")
    assert not re.search(CRON, expression)


def _scheduled(expression: str) -> dict[str, Any]:
    scaling = {"schedule": [{"cron": expression, "duration": "1h", "minReplicas": 1}]}
    return BadQueue(id="", where="", says="", spec={"scaling": scaling}).document
