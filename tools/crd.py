"""Makes the custom resource definition of GenerationQueue from the models that read it (`make generate` calls this).

The API server takes structural schemas only: every value has one type, nothing is referred to, nothing is null. What
pydantic writes is brought into that form here; bounds, descriptions and rules stay where the models have them.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import yaml

from genfleet.contract.queue import API_VERSION, KIND, GenerationQueue
from genfleet.contract.rules import Rule
from genfleet.contract.status import QueueStatus

GROUP, VERSION = API_VERSION.split("/")
PLURAL = "generationqueues"
HEADING = """\
# Made by `make generate` (tools/crd.py) from the models in core/genfleet/contract: change those, not this.
"""

Node = dict[str, Any]
"""A part of a schema."""


def text() -> str:
    """The definition as a YAML file."""
    return HEADING + yaml.safe_dump(definition(), sort_keys=False, allow_unicode=True, width=120)


def definition() -> Node:
    """The definition as Kubernetes reads it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["gq"],
                "categories": ["all", "genfleet"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema()},
                    "subresources": {
                        "status": {},
                        # `kubectl scale gq x --replicas=3` keeps three workers warm; more come with the work.
                        "scale": {
                            "specReplicasPath": ".spec.scaling.minReplicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [
                        _column("Queue", ".spec.queue"),
                        _column("Waiting", ".status.waiting", "integer"),
                        _column("Running", ".status.running", "integer"),
                        _column("Workers", ".status.workers"),
                        _column("Oldest s", ".status.oldestWaitSeconds", "integer"),
                        _column("Reason", ".status.lastDecision.reason"),
                        _column("Degraded", ".status.degraded"),
                        _column("Age", ".metadata.creationTimestamp", "date"),
                        _column("Desired", ".status.desired", "integer", wide=True),
                        _column("Min", ".spec.scaling.minReplicas", "integer", wide=True),
                        _column("Max", ".spec.scaling.maxReplicas", "integer", wide=True),
                        _column("Paused", ".spec.paused", "boolean", wide=True),
                        _column("Message", ".status.message", wide=True),
                    ],
                }
            ],
        },
    }


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Node:
    """A column of `kubectl get gq`; a wide one is shown with `-o wide`."""
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if wide else {})


def schema() -> Node:
    """The structural schema of the whole resource."""
    queue = GenerationQueue.model_json_schema(by_alias=True)
    status = QueueStatus.model_json_schema(by_alias=True, mode="serialization")
    spec = _in_order(_with_defaults_told(_with_sentences(_structural(queue["properties"]["spec"], queue["$defs"]))))
    return {
        "description": queue["description"],
        "type": "object",
        "required": ["spec"],
        "x-kubernetes-validations": queue["x-kubernetes-validations"],
        "properties": {
            "apiVersion": {"description": queue["properties"]["apiVersion"]["description"], "type": "string"},
            "kind": {"description": queue["properties"]["kind"]["description"], "type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": _in_order(_without_defaults(_structural(status, status["$defs"]))),
        },
    }


def _structural(node: Node, definitions: Node) -> Node:
    """The same schema without references, nulls and words that Kubernetes does not take."""
    if "$ref" in node:
        named = definitions[node["$ref"].rpartition("/")[2]]
        return _structural(named | {key: value for key, value in node.items() if key != "$ref"}, definitions)
    made = {key: value for key, value in node.items() if key not in {"$defs", "title"}}
    if "description" in made:
        made["description"] = _lines(made["description"])
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _structural(made[key], definitions)
    if "properties" in made:
        made["properties"] = {name: _structural(part, definitions) for name, part in made["properties"].items()}
        if "default" in made:  # nothing of its own: what is left out has the defaults of the fields in it
            fields = made["properties"]
            made["default"] = {name: part["default"] for name, part in fields.items() if "default" in part}
    if made.get("additionalProperties") is False or made.get("x-kubernetes-preserve-unknown-fields"):
        made.pop("additionalProperties", None)  # unknown fields are the API server's own business
    if made.get("default", ...) in (None, {}, []):
        del made["default"]
    return made


def _lines(description: str) -> str:
    """One line for each paragraph: `kubectl explain` breaks lines by itself."""
    return "\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(description).split("\n\n"))


def _with_sentences(node: Node) -> Node:
    """The same, and for each pattern a rule with a sentence in its place, as people do not read regular expressions."""
    made = _everywhere(_with_sentences, node)
    if "pattern" in made and "description" in made:
        sentence = f"'{{value}}' does not fit. {made['description']}"
        fits = Rule(f"self.matches({json.dumps(made.pop('pattern'))})", sentence, {"value": "self"}).schema
        made["x-kubernetes-validations"] = [fits, *made.get("x-kubernetes-validations", [])]
    return made


def _with_defaults_told(node: Node) -> Node:
    """The same with each default in its description, as `kubectl explain` does not show it otherwise."""
    made = _everywhere(_with_defaults_told, node)
    if "default" in made and made["type"] != "object":
        # A scalar is followed by the mark of a document's end.
        default = yaml.safe_dump(made["default"], default_flow_style=True).removesuffix("...\n").strip()
        made["description"] = f"{made['description']} Default: {default}."
    return made


def _without_defaults(node: Node) -> Node:
    """The same without defaults: what the controller did not see is not there."""
    return {key: value for key, value in _everywhere(_without_defaults, node).items() if key != "default"}


ORDER = ("description", "type", "default", "x-kubernetes-validations", "required", "properties", "items")


def _in_order(node: Node) -> Node:
    """The same for a reader: what it means first, what is in it last."""
    made = _everywhere(_in_order, node)
    first, last = ORDER[:3], ORDER[3:]
    keys = [key for key in first if key in made]
    keys += [key for key in made if key not in ORDER]
    return {key: made[key] for key in (*keys, *(key for key in last if key in made))}


def _everywhere(change: Any, node: Node) -> Node:
    """The node with each schema in it changed."""
    made = dict(node)
    for key in ("items", "additionalProperties"):
        if key in made:
            made[key] = change(made[key])
    if "properties" in made:
        made["properties"] = {name: change(part) for name, part in made["properties"].items()}
    return made
