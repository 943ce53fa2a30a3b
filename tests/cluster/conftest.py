"""Tests on a real cluster: whichever KUBECONFIG names. Without it none of them is run."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kubectl import CRD, Kubectl, run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the whole folder, with the reason, where there is no cluster."""
    reason = None
    if not os.environ.get("KUBECONFIG"):
        reason = "no cluster: set KUBECONFIG, and see `make cluster-test`"
    elif not shutil.which("kubectl"):
        reason = "no kubectl on the PATH"
    for item in items:
        if reason and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """Run kubectl on the cluster."""
    return run


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of the test's own, which goes with everything in it."""
    name = f"genfleet-test-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def crd(kubectl: Kubectl) -> None:
    """The definition of GenerationQueue, as it is in this tree. It stays: queues of others may depend on it."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{CRD.stem}")
