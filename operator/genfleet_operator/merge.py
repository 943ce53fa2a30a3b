"""Lays one pod template over another, strategically: as `kubectl patch` does, lists of named things merge by name.

The API server merges so only for its own resources and never for parts of ours, and no Python library does it. The keys
are those of the pod's API (`x-kubernetes-patch-merge-key` in its OpenAPI document); all other lists are replaced.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Any
"""A value of a JSON document."""

MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""By which key the entries of a list are the same."""

DIRECTIVE = "$patch"
"""`$patch: replace` in a mapping: this instead of what was there. `$patch: delete` in an entry of a list: without it."""


ONE_SOURCE = ("env", "volumes")
"""Lists whose entries have one source each: a value or a reference, a claim or a folder. Another one replaces it."""


def merged(base: Json, over: Json, field: str = "") -> Json:
    """`base` with `over` on top. Null removes what was there. Neither argument is changed."""
    if isinstance(over, Mapping):
        under = base if isinstance(base, Mapping) and over.get(DIRECTIVE) != "replace" else {}
        return _mappings(under, over)
    if isinstance(base, list) and isinstance(over, list) and field in MERGE_KEYS:
        return _lists(base, over, field)
    return over


def laid(layers: Iterable[Json]) -> Json:
    """Each layer over those before it."""
    return functools.reduce(merged, filter(None, layers), {})


def _mappings(base: Mapping[str, Json], over: Mapping[str, Json]) -> Json:
    result = {name: value for name, value in base.items() if over.get(name, value) is not None}
    for name, value in over.items():
        if value is not None and name != DIRECTIVE:
            result[name] = merged(base.get(name), value, name)
    return result


def _lists(base: Sequence[Json], over: Sequence[Json], field: str) -> Json:
    """The entries of `base` in their order, each with its namesake on top; then those that are new."""
    key = MERGE_KEYS[field]
    tops = {entry.get(key): entry for entry in over}
    result = []
    for entry in base:
        top = tops.pop(entry.get(key), None)
        kept = entry if top is None or field not in ONE_SOURCE else {name: entry[name] for name in entry if name in top}
        result.append(entry if top is None else merged(kept, top))
    return [
        entry for entry in [*result, *(merged({}, entry) for entry in tops.values())] if not _deleted(entry, over, key)
    ]


def _deleted(entry: Mapping[str, Json], over: Sequence[Json], key: str) -> bool:
    return any(top.get(key) == entry.get(key) and top.get(DIRECTIVE) == "delete" for top in over)
