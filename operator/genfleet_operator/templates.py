"""What the API server says of a pod template that it cannot read, told to the person who wrote that part of it. Pure.

A field that it does not know is a failure of its own machinery to it (status 500, "failed to create typed patch object").
To us it is a slip of the pen in one of the layers that a template is made of, and the layer is what a person has to find.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from genfleet_operator.kube import UNREADABLE, ClusterRefused

_FAULT = re.compile(r"\.spec\.template(?P<path>\.[^:\n]+): (?P<what>[^\n]+)")
_STEP = re.compile(r'\.(?P<name>[^.\[\]]+)|\[(?P<key>\w+)="?(?P<value>[^"\]]*)"?\]|\[(?P<index>\d+)\]')
_VALUE = re.compile(r"&?value\.valueUnstructured\{Value:(.*)\}")


class TemplateRefused(ClusterRefused):
    """A pod template has a field that there is not, or of the wrong kind. The message names the layer and the field."""


def explained(refused: ClusterRefused, layers: Mapping[str, Any]) -> ClusterRefused:
    """The same in words for the author of a layer, if it is about one. `layers`: by their names, the most special last."""
    found = [(one["path"], one["what"]) for one in _FAULT.finditer(str(refused))]
    if not found or UNREADABLE not in str(refused):
        return refused
    sentences = [f"{_layer(path, layers)}: {_sentence(path.lstrip('.'), what)}" for path, what in dict(found).items()]
    return TemplateRefused(refused.status, "; ".join(sentences), refused.causes)


def _sentence(path: str, what: str) -> str:
    if what.startswith("field not declared in schema"):
        return f"{path} is no field of a pod: correct or remove it"
    return f"{path}: " + _VALUE.sub(r"\1", what)


def _layer(path: str, layers: Mapping[str, Any]) -> str:
    return next(
        (name for name, layer in reversed(list(layers.items())) if _has(layer, path)), "the workers' pod template"
    )


def _has(layer: Any, path: str) -> bool:
    """Whether a layer says anything at a path such as `.spec.containers[name="worker"].imag`."""
    for step in _STEP.finditer(path):
        if step["name"] is not None:
            found = [layer[step["name"]]] if isinstance(layer, Mapping) and step["name"] in layer else []
        elif not isinstance(layer, list):
            return False
        elif step["key"] is not None:
            found = [one for one in layer if isinstance(one, Mapping) and str(one.get(step["key"])) == step["value"]]
        else:
            found = layer[int(step["index"]) :][:1]
        if not found:
            return False
        layer = found[0]
    return True
