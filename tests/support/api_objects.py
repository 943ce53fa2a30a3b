"""The objects of an API server in memory: versions, generations, owners of fields, and a history for watches.

As far as the operator can tell it from the real thing: server-side apply with conflicts, generations that count changes of
spec only, a status of its own, deletion of what has lost its owner. Simpler than the real one: lists belong to one manager
as a whole, and what a manager does not apply any more stays.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
Path = tuple[str, ...]
Key = tuple[str, str, str]
"""Plural, namespace and name."""

KINDS = {
    "generationqueues": ("genfleet.dev/v1alpha1", "GenerationQueue"),
    "deployments": ("apps/v1", "Deployment"),
    "replicasets": ("apps/v1", "ReplicaSet"),
    "pods": ("v1", "Pod"),
    "events": ("events.k8s.io/v1", "Event"),
    "leases": ("coordination.k8s.io/v1", "Lease"),
}


class Refused(Exception):
    """What the server answers instead of an object."""

    def __init__(self, code: int, reason: str, message: str, causes: tuple[Json, ...] = ()) -> None:
        super().__init__(message)
        self.code, self.reason, self.causes = code, reason, causes


@dataclass(frozen=True)
class Manager:
    """Who writes: an Apply and an Update under one name are two managers."""

    name: str
    operation: str
    subresource: str = ""

    @property
    def words(self) -> str:
        """As the server names it in a conflict."""
        below = f' with subresource "{self.subresource}"' if self.subresource else ""
        return f'conflict with "{self.name}"{below} using apps/v1'


@dataclass(frozen=True)
class Change:
    """One entry of the history."""

    version: int
    plural: str
    type: str
    object: Json


@dataclass
class Objects:
    """Everything there is. Safe to use from any thread."""

    history: list[Change] = field(default_factory=list)
    forgotten: int = 0
    """Versions up to this one are no longer in the history."""
    on_change: Callable[[], None] = lambda: None
    _objects: dict[Key, Json] = field(default_factory=dict)
    _owners: dict[Key, dict[Path, set[Manager]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def version(self) -> int:
        """Of the last change."""
        return self.history[-1].version if self.history else self.forgotten

    def find(self, plural: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[Json]:
        """Copies of all objects of a kind, by name."""
        with self._lock:
            return [
                copy.deepcopy(obj)
                for (kind, home, _), obj in sorted(self._objects.items(), key=lambda one: one[0])
                if kind == plural and namespace in (None, home) and has_labels(obj, labels or {})
            ]

    def get(self, plural: str, namespace: str, name: str) -> Json:
        """A copy of one object. Raises Refused."""
        with self._lock:
            if (plural, namespace, name) not in self._objects:
                raise Refused(404, "NotFound", f'{plural} "{name}" not found')
            return copy.deepcopy(self._objects[plural, namespace, name])

    def create(self, plural: str, obj: Json) -> Json:
        """A new object. Raises Refused if there is one."""
        meta = obj["metadata"]
        key = (plural, meta["namespace"], meta["name"])
        with self._lock:
            if key in self._objects:
                raise Refused(409, "AlreadyExists", f'{plural} "{meta["name"]}" already exists')
            return self._store(key, obj, "ADDED")

    def replace(self, plural: str, obj: Json) -> Json:
        """The next version of an object. Raises Refused if it is not of the present one."""
        meta = obj["metadata"]
        with self._lock:
            there = self.get(plural, meta["namespace"], meta["name"])
            if meta.get("resourceVersion") not in (None, there["metadata"]["resourceVersion"]):
                message = f'Operation cannot be fulfilled on {plural} "{meta["name"]}": the object has been modified'
                raise Refused(409, "Conflict", message)
            return self._store((plural, meta["namespace"], meta["name"]), obj, "MODIFIED")

    def merge(self, key: Key, patch: Json, manager: Manager) -> Json:
        """A JSON merge patch. Who changes a field by it owns it alone."""
        with self._lock:
            there = self.get(*key)
            changed = merged(there, patch)
            before, after = dict(leaves(there)), dict(leaves(changed))
            owners = self._owners.setdefault(key, {})
            for path in [path for path, _ in leaves(patch) if before.get(path) != after.get(path)]:
                owners[path] = {manager}
            return self._store(key, changed, "MODIFIED")

    def patch(self, key: Key, operations: list[Json]) -> Json:
        """A JSON patch, as kopf writes finalizers. Raises Refused if a test in it fails."""
        with self._lock:
            changed = self.get(*key)
            for operation in operations:
                _carry_out(changed, operation)
            return self._store(key, changed, "MODIFIED")

    def apply(self, key: Key, manifest: Json, manager: Manager, *, force: bool) -> Json:
        """Server-side apply. Raises Refused with each field that another manager has set to something else."""
        with self._lock:
            there = self._objects.get(key, {})
            if not there and manager.subresource:
                raise Refused(404, "NotFound", f'{key[0]} "{key[2]}" not found')
            wanted, present = dict(leaves(_owned(manifest, manager))), dict(leaves(there))
            owners = self._owners.setdefault(key, {})
            conflicts = [
                (path, owner)
                for path, value in wanted.items()
                if path in present and present[path] != value
                for owner in owners.get(path, set()) - {manager}
            ]
            if conflicts and not force:
                raise _conflict(conflicts)
            for path, value in wanted.items():
                others = owners.get(path, set()) if present.get(path) == value else set()
                owners[path] = others | {manager}
            return self._store(key, merged(there, _owned(manifest, manager)), "MODIFIED" if there else "ADDED")

    def delete(self, plural: str, namespace: str, name: str) -> Json:
        """Remove an object, and what it owns."""
        with self._lock:
            gone = self.get(plural, namespace, name)
            del self._objects[plural, namespace, name]
            self._owners.pop((plural, namespace, name), None)
            self._note(plural, "DELETED", gone)
            for key, obj in list(self._objects.items()):
                owners = obj["metadata"].get("ownerReferences", ())
                if any(owner["uid"] == gone["metadata"]["uid"] for owner in owners) and key in self._objects:
                    self.delete(*key)
            return gone

    def forget_history(self) -> None:
        """As after some minutes: who watches from an older version is told that it is gone."""
        with self._lock:
            self.forgotten = next(self._numbers)
            self.history.clear()

    def _store(self, key: Key, obj: Json, change: str) -> Json:
        plural, namespace, name = key
        there = self._objects.get(key)
        obj = copy.deepcopy(obj)
        obj["apiVersion"], obj["kind"] = KINDS[plural]
        meta = obj.setdefault("metadata", {})
        kept = (there or {}).get("metadata", {})
        meta |= {
            "name": name,
            "namespace": namespace,
            "uid": kept.get("uid") or f"uid-{next(self._numbers)}",
            "creationTimestamp": kept.get("creationTimestamp") or meta.get("creationTimestamp") or stamp(),
            "resourceVersion": kept.get("resourceVersion", ""),
            "generation": kept.get("generation", 0) + (not there or there.get("spec") != obj.get("spec")),
        }
        if obj != there:
            meta["resourceVersion"] = str(next(self._numbers))
            self._objects[key] = obj
            self._note(plural, change, obj)
        return copy.deepcopy(obj)

    def _note(self, plural: str, change: str, obj: Json) -> None:
        if change == "DELETED":
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(next(self._numbers))}}
        version = int(obj["metadata"]["resourceVersion"])
        self.history.append(Change(version, plural, change, copy.deepcopy(obj)))
        self.on_change()


def has_labels(obj: Json, labels: Mapping[str, str]) -> bool:
    """Whether an object has all of these."""
    return labels.items() <= (obj["metadata"].get("labels") or {}).items()


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field with its path; a list is one field."""
    if isinstance(value, Mapping) and value:
        for name, entry in value.items():
            yield from leaves(entry, (*path, name))
    else:
        yield path, value


def merged(there: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7396."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(there) if isinstance(there, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _carry_out(obj: Json, operation: Json) -> None:
    """One operation of a JSON patch, RFC 6902, as far as anybody here uses it."""
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    there: Any = obj
    for part in path:
        there = there[int(part)] if isinstance(there, list) else there[part]
    at: Any = last if isinstance(there, dict) else len(there) if last == "-" else int(last)
    match operation["op"]:
        case "test":
            if there[at] != operation["value"]:
                raise Refused(422, "Invalid", f"{operation['path']} is something else")
        case "remove":
            del there[at]
        case "add" if isinstance(there, list):
            there.insert(at, operation["value"])
        case _:
            there[at] = operation["value"]


def _owned(manifest: Json, manager: Manager) -> Json:
    """The part of a manifest that the request may write."""
    if manager.subresource:
        return {manager.subresource: manifest[manager.subresource]}
    meta = {name: value for name, value in manifest["metadata"].items() if name not in ("name", "namespace")}
    return {"metadata": meta, **({"spec": manifest["spec"]} if "spec" in manifest else {})}


def _conflict(conflicts: list[tuple[Path, Manager]]) -> Refused:
    causes = tuple(
        {"reason": "FieldManagerConflict", "message": owner.words, "field": "." + ".".join(path)}
        for path, owner in conflicts
    )
    message = f"Apply failed with {len(causes)} conflict(s): " + "; ".join(
        f"{cause['message']}: {cause['field']}" for cause in causes
    )
    return Refused(409, "Conflict", message, causes)


def stamp() -> str:
    """Now, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
