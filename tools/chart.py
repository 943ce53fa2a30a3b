"""What of the Helm chart is made from something else: values schema, README, and copies of what Helm would not pack.

`values.yaml` says everything once. Two dashes describe a value, and `@schema` narrows what its default's type leaves
open. A map with entries takes no other key, so a typing error is refused and not overlooked.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from genfleet.contract.queue import Spec
from tools import crd

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy" / "helm" / "genfleet"
GENERATED = "make generate"
Made = Callable[[], str]
"""What writes a generated file."""

VARIABLE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "value": {"type": "string"}, "valueFrom": {"type": "object"}},
}
"""A variable of a container, as in a pod."""
AMOUNTS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"requests": {"type": "object"}, "limits": {"type": "object"}, "claims": {"type": "array"}},
}
"""The `resources` of a container, as in a pod."""


@dataclass(frozen=True, slots=True)
class Value:
    """One entry of `values.yaml` with what is said about it."""

    path: tuple[str, ...]
    default: Any
    text: str
    """What it is for. Empty for a map that only holds other entries."""
    narrowed: dict[str, Any]

    @property
    def is_group(self) -> bool:
        """Whether its entries are values of their own."""
        return not self.text


def definition() -> str:
    """The CRD as the chart carries it, marked so that an upgrade sees whether another one is there, and which is newer."""
    source = crd.text()
    marked = yaml.safe_load(source)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    marks = {
        "genfleet.dev/schema": hashlib.sha256(source.encode()).hexdigest()[:12],
        "genfleet.dev/version": project["version"],
    }
    marked["metadata"]["annotations"] = marks
    text = yaml.safe_dump(marked, sort_keys=False, width=120, allow_unicode=True)
    return f"# Made from crds/ by `{GENERATED}`.\n{text}"


def values_schema() -> str:
    """The JSON schema of the values. Queues follow the resource's own, so their typing errors are refused as well."""
    queue = _without_marks(Spec.model_json_schema(by_alias=True))
    parts = queue.pop("$defs")
    queue["type"] = ["object", "null"]  # Helm takes null for "without this one"
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Made from values.yaml and the queue resource by `{GENERATED}`.",
        "type": "object",
        "additionalProperties": False,
        # Helm puts this into the values of every chart that is part of another one.
        "properties": {"global": {"type": "object"}},
        "$defs": {"Spec": queue, **parts, "Variable": VARIABLE, "Amounts": AMOUNTS},
    }
    for value in values():
        parent = schema
        for name in value.path[:-1]:
            parent = parent["properties"][name]
        parent["properties"][value.path[-1]] = _schema_of(value)
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def watched(made: Mapping[str, Made]) -> dict[str, Made]:
    """Of all that is made, rules and dashboards, by the place of the chart's copies below its `files`."""
    ours = re.compile(r"deploy/(monitoring/(?:rules\.yaml|dashboards/[^/]+\.json))")
    return {found[1]: build for name, build in made.items() if (found := ours.fullmatch(name))}


def readme() -> str:
    """The chart's README: the prose of `README.md.in`, and a table of all values."""
    rows = [
        f"| `{'.'.join(value.path)}` | {_shown(value.default)} | {value.text} |" for value in values() if value.text
    ]
    table = "\n".join(("| value | default | what it is |", "|---|---|---|", *rows))
    prose = (CHART / "README.md.in").read_text().replace("@values@", table)
    return f"<!-- Made from README.md.in and values.yaml by `{GENERATED}`. -->\n\n{prose}"


def values() -> Iterator[Value]:
    """Each entry of `values.yaml`, from top to bottom; inside of a value that is described there are no further ones."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    path: list[str] = []
    comments: list[str] = []
    described_at: int | None = None
    for line in (CHART / "values.yaml").read_text().splitlines():
        comment = re.match(r"^ *# ?(.*)$", line)
        entry = re.match(r"^( *)([A-Za-z][\w-]*):", line)
        if comment:
            comments.append(comment[1])
        elif entry:
            depth = len(entry[1]) // 2
            if described_at is None or depth <= described_at:
                path[depth:] = [entry[2]]
                value = _value(tuple(path), defaults, comments)
                described_at = None if value.is_group else depth
                yield value
            comments = []
        else:
            comments = []


def _value(path: tuple[str, ...], defaults: Any, comments: list[str]) -> Value:
    default = defaults
    for name in path:
        default = default[name]
    text: list[str] = []
    narrowed: dict[str, Any] = {}
    for comment in comments:
        if comment.startswith("@schema "):
            narrowed = json.loads(comment.removeprefix("@schema "))
        elif comment.startswith("-- ") or text:
            text.append(comment.removeprefix("-- "))
    value = Value(path, default, " ".join(text), narrowed)
    if value.is_group and not (isinstance(default, dict) and default):
        raise ValueError(f"values.yaml: {'.'.join(path)} has no description: put `# -- …` above it")
    return value


def _schema_of(value: Value) -> dict[str, Any]:
    if value.is_group:
        return {"type": "object", "additionalProperties": False, "properties": {}}
    types = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    return {"description": value.text, "type": types[type(value.default)], **value.narrowed}


def _without_marks(schema: Any) -> Any:
    """A schema without what only Kubernetes reads, and without titles, which only repeat the names."""
    if isinstance(schema, dict):
        return {
            key: {name: _without_marks(each) for name, each in part.items()}
            if key in {"properties", "$defs"}
            else _without_marks(part)
            for key, part in schema.items()
            if not key.startswith("x-kubernetes-") and key != "title" and (key, part) != ("default", None)
        }
    return [_without_marks(part) for part in schema] if isinstance(schema, list) else schema


def _shown(default: Any) -> str:
    """A default in a cell of a table."""
    return "" if default in ("", {}, []) else f"`{json.dumps(default, ensure_ascii=False)}`"
