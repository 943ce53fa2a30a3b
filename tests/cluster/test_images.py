"""What is in the images, looked at from inside: a pod of each, as root, so that nothing is hidden from it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.cluster.installation import NAME, SHELLS, Installation, images
from tests.cluster.kubectl import Kubectl
from tools import sbom
from tools.locks import pins

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.timeout(400)]

INSIDE = Path(__file__).parents[2] / "tools" / "inside.py"
COMMON = {"/tmp", "/var/tmp", "/run/lock"}  # of every Debian, for everybody; on a read-only root not even those


@pytest.fixture(params=["genfleet-api", "genfleet-worker"])
def image(request: pytest.FixtureRequest) -> str:
    """The name of an image."""
    name: str = request.param
    return name


@pytest.fixture
def inside(image: str, kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    """What `tools/inside.py` says of it."""
    built = images()[image == "genfleet-worker"]
    container = {
        "name": "look",
        "image": f"{built['repository']}:{built['tag']}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", INSIDE.read_text()],
        "securityContext": {"runAsUser": 0},
    }
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "look"}, "spec": spec}
    kubectl("apply", "-n", namespace, "-f", "-", give=pod)
    kubectl("wait", "-n", namespace, "--for=jsonpath={.status.phase}=Succeeded", "pod/look", "--timeout=80s")
    found: dict[str, Any] = json.loads(kubectl("logs", "-n", namespace, "look"))
    return found


def test_there_is_nothing_for_an_intruder(inside: dict[str, Any]) -> None:
    """S19, S22: nothing that becomes root, builds or installs; no secret, no cache; our user may write its media alone."""
    assert {key: inside[key] for key in ("setuid", "tools", "secrets", "caches", "not_roots")} == {
        "setuid": [],
        "tools": [],
        "secrets": [],
        "caches": [],
        "not_roots": [],
    }
    assert set(inside["writable"]) - COMMON == {"/media"}
    # Left for whoever builds an image upon ours: RUN needs one. Nothing of ours does.
    assert set(inside["shells"]) <= {"/usr/bin/bash", "/usr/bin/dash", "/bin/bash", "/bin/dash"}


def test_there_is_exactly_what_is_locked(image: str, inside: dict[str, Any]) -> None:
    """S22: each release of the lock that is for this machine, in its version, and no other; and genfleet."""
    here = {"python_full_version": inside["python"], "python_version": inside["python"].rpartition(".")[0]}
    wanted = {
        pin.release.name: pin.release.version
        for pin in pins(sbom.IMAGES[image])
        if pin.marker is None or pin.marker.evaluate({**here, "sys_platform": "linux"})
    }

    assert {canonicalize_name(name): version for name, version in inside["locked"].items()} == wanted
    assert inside["own"] == {"genfleet": metadata.version("genfleet")}
    assert len(inside["packages"]) > 20  # the inventory of the base, for whoever scans it


def test_nothing_of_ours_needs_a_shell(site: Installation) -> None:
    """S19: API and operator start and do their work where no shell can be run, as workers do in every test of these."""
    for program in ("api", "operator"):
        mounts = [{"name": "none", "mountPath": shell, "subPath": "engine.py"} for shell in SHELLS]
        container = {"name": program, "volumeMounts": mounts}
        spec = {"containers": [container], "volumes": [{"name": "none", "configMap": {"name": "engine"}}]}
        patch = json.dumps({"spec": {"template": {"spec": spec}}})
        site.run("patch", "deployment", f"{NAME}-{program}", "-p", patch)
        site.run("rollout", "status", f"deployment/{NAME}-{program}", "--timeout=80s")
    try:
        refused = site.run("exec", f"deployment/{NAME}-api", "--", "sh", "-c", "true", fails=True)
        assert "unable to start container process" in refused
        site.declare("images", queue="gpu_medium", scaling={"maxReplicas": 1})
        site.completed(site.work(0.1), within=60)
    finally:
        for program in ("api", "operator"):
            site.run("rollout", "undo", f"deployment/{NAME}-{program}")
            site.run("rollout", "status", f"deployment/{NAME}-{program}", "--timeout=80s")
