"""By what a pod reaches beyond itself. Who writes a queue is not always trusted with the nodes (facts S18).

Looked at is the whole pod as it would be made, so that nothing can be had by taking a protection away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

_NAMESPACES = ("hostIPC", "hostNetwork", "hostPID")
_IDENTITY = ("serviceAccount", "serviceAccountName")
_IDENTITIES = frozenset(("podCertificate", "serviceAccountToken"))
_SECCOMP = ("RuntimeDefault", "Localhost")
_APPARMOR = ("RuntimeDefault", "Localhost")
_APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_SELINUX_TYPES = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_VOLUMES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
"""Kinds of volumes that reach no further than the namespace and its storage classes."""
_SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    )
)
"""Of the kernel, those that are a pod's own."""
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
    return {*_of_metadata(template), *_of_pod(spec), *_of_volumes(spec), *_of_containers(spec)}


def images(template: Json) -> set[str]:
    """What its containers run, and what it mounts of images."""
    spec = _mapping(template.get("spec"))
    mounted = (_mapping(volume.get("image")).get("reference") for volume in _mappings(spec.get("volumes")))
    run = (container.get("image") for _, container in _every_container(spec))
    return {str(image) for image in (*mounted, *run) if image}


def is_allowed(image: str, allowed: Collection[str]) -> bool:
    """Whether an image is one of these repositories, in whatever version, or below one of these: `registry/team/*`."""
    repository = image.partition("@")[0]
    folder, _, name = repository.rpartition("/")
    repository = f"{folder}/{name.partition(':')[0]}".lstrip("/")
    return any(
        repository.startswith(each.removesuffix("*")) if each.endswith("/*") else repository == each for each in allowed
    )


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


def _of_metadata(template: Json) -> Iterator[str]:
    for name, value in _mapping(_mapping(template.get("metadata")).get("annotations")).items():
        if str(name).startswith(_APPARMOR_ANNOTATION) and value == "unconfined":
            yield f"metadata.annotations[{name}]"


def _of_pod(spec: Json) -> Iterator[str]:
    for name in _NAMESPACES:
        if spec.get(name):
            yield f"spec.{name}"
    for name in _IDENTITY:
        if spec.get(name):
            yield f"spec.{name} {spec[name]!r}"
    if spec.get("automountServiceAccountToken") is not False:
        yield "spec.automountServiceAccountToken"
    security = _mapping(spec.get("securityContext"))
    for sysctl in _mappings(security.get("sysctls")):
        if sysctl.get("name") not in _SYSCTLS:
            yield f"spec.securityContext.sysctls[{sysctl.get('name')}]"
    for fault in _of_confinement(security):
        yield f"spec.securityContext.{fault}"


def _of_volumes(spec: Json) -> Iterator[str]:
    for volume in _mappings(spec.get("volumes")):
        where = f"spec.volumes[{volume.get('name')}]"
        if "hostPath" in volume:
            yield f"{where}.hostPath {_mapping(volume['hostPath']).get('path')!r}"
        for kind in sorted(volume.keys() - _VOLUMES - {"name", "hostPath"}):
            yield f"{where}.{kind}"
        for source in _mappings(_mapping(volume.get("projected")).get("sources")):
            for kind in _IDENTITIES & source.keys():
                yield f"{where}.projected.{kind}"


def _of_containers(spec: Json) -> Iterator[str]:
    pod = _mapping(spec.get("securityContext"))
    if _mapping(pod.get("windowsOptions")).get("hostProcess"):
        yield "spec.securityContext.windowsOptions.hostProcess"
    for where, container in _every_container(spec):
        if any(port.get("hostPort") for port in _mappings(container.get("ports"))):
            yield f"{where}.ports.hostPort"
        for name, action in _actions(container):
            # The node carries them out: with another host it would ask whomever it is told.
            if any(_mapping(action.get(way)).get("host") for way in ("httpGet", "tcpSocket")):
                yield f"{where}.{name}.host"
        for fault in _of_security(_mapping(container.get("securityContext")), pod):
            yield f"{where}.securityContext.{fault}"


def _every_container(spec: Json) -> Iterator[tuple[str, Json]]:
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for container in _mappings(spec.get(kind)):
            yield f"spec.{kind}[{container.get('name')}]", container


def _actions(container: Json) -> Iterator[tuple[str, Json]]:
    """What the node does to a container: probes, and what goes with its start and its end."""
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        yield name, _mapping(container.get(name))
    for name in ("postStart", "preStop"):
        yield f"lifecycle.{name}", _mapping(_mapping(container.get("lifecycle")).get(name))


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
    yield from _of_confinement(own)


def _of_confinement(context: Json) -> Iterator[str]:
    """What a pod's or a container's security context takes away of the kernel's own walls."""
    apparmor = _mapping(context.get("appArmorProfile"))
    if apparmor and apparmor.get("type") not in _APPARMOR:
        yield "appArmorProfile"
    selinux = _mapping(context.get("seLinuxOptions"))
    if selinux.get("user") or selinux.get("role") or selinux.get("type", "container_t") not in _SELINUX_TYPES:
        yield "seLinuxOptions"


def _mapping(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


def _mappings(entries: Any) -> list[Json]:
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
