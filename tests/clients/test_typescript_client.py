"""The TypeScript client in node, against a real API and a real worker. Its own tests say what it does."""

from __future__ import annotations

import subprocess

import httpx

from tests.clients.node import PACKAGE, built, node
from tests.support.servers import KEY, clean_environment


def test_it_compiles_strictly_and_passes_its_own_tests(api: httpx.Client, worker: None) -> None:
    """TS-159, TS-160, TS-153, TS-165: `clients/typescript/test`, by node's own test runner."""
    built()
    where = {"NEXT_PUBLIC_TASK_SERVICE_URL": str(api.base_url).rstrip("/"), "CELERY_TASK_API_KEY": KEY}

    done = subprocess.run(
        [node(), "--test", "--test-reporter=tap", "test/"],
        cwd=PACKAGE,
        env=clean_environment() | where,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout
    assert "# skipped 0" in done.stdout
