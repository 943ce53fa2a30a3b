"""By what a pod reaches beyond itself. Who writes a queue is not always trusted with the nodes (facts S18).

Looked at is the whole pod as it would be made, so that nothing can be had by taking a protection away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

_NAMESPACES = ("hostIPC", "hostNetwork", "hostPID")
_IDENTITY = ("serviceAccount", "serviceAccountName")
_SECCOMP = ("RuntimeDefault", "Localhost")
_PROTECTIONS = {
    "allowPrivilegeEscalation": "allowPrivilegeEscalation: false",
    "capabilities.drop": "capabilities.drop: [ALL]",
    "runAsNonRoot": "runAsNonRoot: true",
    "seccompProfile": "seccompProfile: {type: RuntimeDefault}",
}
"""Of a container's security context: what has to be there, so that leaving it out is a fault as well."""


def reaches(template: Json) -> set[str]:
    """Each field by which the pod reaches beyond itself, with its value where another value would reach elsewhere."""
    spec = _mapping(template.get("spec"))
    return {*_of_pod(spec), *_of_volumes(spec), *_of_containers(spec)}


def complaint(faults: Collection[str]) -> str:
    """What a template may not set, and what it has to, in a sentence without its subject."""
    missing: dict[str, list[str]] = {}
    others = []
    for fault in sorted(faults):
        container, _, name = fault.partition(".securityContext.")
        if name in _PROTECTIONS:
            missing.setdefault(container, []).append(_PROTECTIONS[name])
        else:
            others.append(fault)
    parts = [f"may not set {', '.join(others)}: remove it, or keep to the restricted standard"] if others else []
    parts += [f"has to set {container}.securityContext.{' and '.join(wanted)}" for container, wanted in missing.items()]
    return "; it ".join(parts)


def _of_pod(spec: Json) -> Iterator[str]:
    for name in _NAMESPACES:
        if spec.get(name):
            yield f"spec.{name}"
    for name in _IDENTITY:
        if spec.get(name):
            yield f"spec.{name} {spec[name]!r}"
    if spec.get("automountServiceAccountToken") is not False:
        yield "spec.automountServiceAccountToken"


def _of_volumes(spec: Json) -> Iterator[str]:
    for volume in _mappings(spec.get("volumes")):
        where = f"spec.volumes[{volume.get('name')}]"
        if "hostPath" in volume:
            yield f"{where}.hostPath {_mapping(volume['hostPath']).get('path')!r}"
        for source in _mappings(_mapping(volume.get("projected")).get("sources")):
            if "serviceAccountToken" in source:
                yield f"{where}.projected.serviceAccountToken"


def _of_containers(spec: Json) -> Iterator[str]:
    pod = _mapping(spec.get("securityContext"))
    if _mapping(pod.get("windowsOptions")).get("hostProcess"):
        yield "spec.securityContext.windowsOptions.hostProcess"
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for container in _mappings(spec.get(kind)):
            where = f"spec.{kind}[{container.get('name')}]"
            if any(port.get("hostPort") for port in _mappings(container.get("ports"))):
                yield f"{where}.ports.hostPort"
            for fault in _of_security(_mapping(container.get("securityContext")), pod):
                yield f"{where}.securityContext.{fault}"


def _of_security(own: Json, pod: Json) -> Iterator[str]:
    """What a container may that Kubernetes' restricted standard forbids."""
    for name in ("privileged", "procMount"):
        if own.get(name):
            yield name
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    capabilities = _mapping(own.get("capabilities"))
    if capabilities.get("add"):
        yield "capabilities.add"
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "capabilities.drop"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot"
    if own.get("runAsUser", pod.get("runAsUser")) == 0:
        yield "runAsUser"
    if _mapping(own.get("seccompProfile", pod.get("seccompProfile"))).get("type") not in _SECCOMP:
        yield "seccompProfile"
    if _mapping(own.get("windowsOptions")).get("hostProcess"):
        yield "windowsOptions.hostProcess"


def _mapping(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


def _mappings(entries: Any) -> list[Json]:
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
