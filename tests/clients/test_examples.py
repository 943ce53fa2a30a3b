"""The examples do what they say, each as a program of its own, against a real API and a worker with real engines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from genfleet_local.home import Home
from tests.clients.node import PACKAGE, built, node
from tests.support.servers import KEY, ROOT, Redis, Site, clean_environment, free_port

EXAMPLES = ROOT / "examples"
REAL_ENGINES = "genfleet_workers.engines:engines"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An installation with the product's own engines; the shared worker of the other tests has no part in it."""
    server = Redis(tmp_path_factory.mktemp("redis"), free_port())
    server.start()
    site = Site(server, tmp_path_factory.mktemp("examples"))
    with site.api() as api:
        own = {"GENFLEET_ENGINES": REAL_ENGINES, "GENFLEET_MEDIA_URL": f"{str(api.base_url).rstrip('/')}/media"}
        with site.worker(name="painter", concurrency=2, **own):
            yield api
    server.stop()


def run(api: httpx.Client | None, *command: str | Path, folder: Path = ROOT) -> str:
    """What a program says that was told where the service is, unless it finds that out by itself; it has to end well."""
    url = str(api.base_url).rstrip("/") if api else ""
    where = api and {
        "GENFLEET_URL": url,
        "GENFLEET_API_KEY": KEY,
        "NEXT_PUBLIC_TASK_SERVICE_URL": url,
        "CELERY_TASK_API_KEY": KEY,
    }
    done = subprocess.run(
        list(map(str, command)),
        env=clean_environment() | (where or {}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_python_client(service: httpx.Client) -> None:
    """TS-161, TS-165, TS-166: a picture with its progress, and a batch of three."""
    said = run(service, sys.executable, EXAMPLES / "python_client.py").splitlines()
    assert said[0].startswith("task ")
    assert "completed  100%" in " ".join(said)
    assert said[-2].endswith(".png")
    assert said[-1] == "all done: ['completed', 'completed', 'completed']"


def test_the_typescript_client(service: httpx.Client, tmp_path: Path) -> None:
    """TS-159, TS-160, TS-165, TS-166: the package as npm would install it, by its name."""
    built()
    package = tmp_path / "node_modules" / "genfleet-client"
    package.mkdir(parents=True)
    shutil.copy(PACKAGE / "package.json", package)
    shutil.copytree(PACKAGE / "dist", package / "dist")
    shutil.copy(EXAMPLES / "typescript_client.mjs", tmp_path)

    said = run(service, node(), "typescript_client.mjs", folder=tmp_path).splitlines()

    assert any(line.endswith(".png") for line in said)
    assert "0 state queued" in said
    assert "all done: completed, completed, completed" in said
    assert (
        said[-3].startswith("Task submission failed: Bad Request") or "Task submission failed: Bad Request" in said[-1]
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on the PATH")
def test_curl(service: httpx.Client, tmp_path: Path) -> None:
    """TS-008, TS-020: submit, events, status, and the address of a file that is there; all from the folder it is run in."""
    Home(tmp_path / ".genfleet").make()
    Home(tmp_path / ".genfleet").announce(str(service.base_url).rstrip("/"), KEY)

    said = run(None, "bash", EXAMPLES / "curl.sh", folder=tmp_path).splitlines()

    assert "event: state" in said
    assert httpx.get(said[-1], trust_env=False).content.startswith(b"\x89PNG")
    assert os.access(EXAMPLES / "curl.sh", os.X_OK)
