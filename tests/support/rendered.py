"""The chart as Helm renders it, without a cluster, and whether Kubernetes could read the result."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Mapping
from typing import Any

import helm_python
import msgspec
import yaml

from tests.support.helm import CHART

Manifest = dict[str, Any]


@functools.cache
def chart() -> helm_python.Chart:
    """The chart, loaded once."""
    return helm_python.Chart.load(CHART)


def render(values: Mapping[str, Any], *, name: str = "trial", namespace: str = "here") -> dict[str, str]:
    """The text of each template's result."""
    return chart().render(dict(values), name=name, namespace=namespace)


def manifests(values: Mapping[str, Any], *, name: str = "trial", namespace: str = "here") -> list[Manifest]:
    """Everything that would be made."""
    texts = render(values, name=name, namespace=namespace)
    found = (yaml.safe_load_all(text) for path, text in texts.items() if not path.endswith("NOTES.txt"))
    return [document for documents in found for document in documents if document]


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others on top, as `helm --values A --values B`."""
    result = dict(base)
    for key, value in over.items():
        under = result.get(key)
        result[key] = merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return result


def faults(document: Manifest) -> list[str]:
    """What Kubernetes' own types do not know or do not take. Kinds that are not Kubernetes' own have none here."""
    group, _, version = document["apiVersion"].rpartition("/")
    if group and "." in group and not group.endswith(".k8s.io"):
        return []
    module = importlib.import_module(f"lightkube.models.{group.partition('.')[0] or 'core'}_{version}")
    try:
        read = msgspec.convert(document, getattr(module, document["kind"]))
    except msgspec.ValidationError as error:
        return [str(error)]
    return _lost(document, json.loads(msgspec.json.encode(read)), document["kind"])


def _lost(given: Any, read: Any, path: str) -> list[str]:
    """What was given and not read: unknown fields."""
    if isinstance(given, dict):
        unknown = [f"{path}.{key} is not known" for key in given if key not in read]
        return unknown + [
            fault for key in given if key in read for fault in _lost(given[key], read[key], f"{path}.{key}")
        ]
    if isinstance(given, list):
        pairs = enumerate(zip(given, read, strict=True))
        return [fault for at, (one, other) in pairs for fault in _lost(one, other, f"{path}[{at}]")]
    return []
