"""Tests on a real cluster: whichever KUBECONFIG names. Without it none of them is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.film import WORKERS, Film
from tests.cluster.installation import Installation, installed, with_marks
from tests.cluster.kubectl import CRD, Kubectl, run
from tests.support.waiting import wait_for


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the operators of a failed test logged, as they are gone with it."""
    report = yield
    site = item.funcargs.get("site")
    if report.when == "call" and report.failed and isinstance(site, Installation):
        try:
            report.sections.append(("operators and workers", site.logs()))
        except (AssertionError, subprocess.SubprocessError) as error:  # the cluster itself may be what failed
            report.sections.append(("no logs", str(error)))
    return report


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """Run kubectl on the cluster."""
    return run


@contextmanager
def _namespace(kubectl: Kubectl) -> Iterator[str]:
    name = f"genfleet-test-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of the test's own, which goes with everything in it."""
    with _namespace(kubectl) as name:
        yield name


@pytest.fixture(scope="session")
def crd(kubectl: Kubectl) -> None:
    """The definition of GenerationQueue, as it is in this tree. It stays: queues of others may depend on it."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{CRD.stem}")


@pytest.fixture(scope="session")
def _installation(kubectl: Kubectl, crd: None) -> Iterator[Installation]:
    with _namespace(kubectl) as name, installed(kubectl, name, with_marks) as made:
        yield made


@pytest.fixture
def site(_installation: Installation) -> Iterator[Installation]:
    """genfleet with two operators, whose workers do what a task says. Shared: after each test its queues are gone."""
    yield _installation
    _installation.run("delete", "gq", "--all")
    # Nor one that still leaves: it could be given a task of the next test, and would hand it back.
    wait_for("no worker is left", lambda: not _installation.found("pods", "-l", WORKERS), within=60)


@pytest.fixture
def film(site: Installation, tmp_path: Path) -> Iterator[Film]:
    """What happened to the workers since the test began."""
    made = Film(site.namespace, tmp_path / "film.json")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def note() -> Callable[[str], None]:
    """Tell what was measured: `make cluster-test ARGS=-s` shows it."""

    def write(text: str) -> None:
        sys.stdout.write(f"\n{text}\n")

    return write
