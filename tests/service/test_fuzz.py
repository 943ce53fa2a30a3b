"""Requests that nobody thought of: schemathesis makes them from the API's own document, and looks at each answer.

A few of each operation, always the same ones, in `make test`; many, and others each time, by `make fuzz`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.servers import KEY, ROOT, Redis, Site, clean_environment, free_port

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "8")
"""For each operation, and chains of operations."""
SEED = os.environ.get("FUZZ_SEED", "1")
NO_LIMITS = {
    "GENFLEET_SUBMISSIONS_PER_MINUTE": "0",
    "GENFLEET_STATUS_READS_PER_MINUTE": "0",
    "GENFLEET_PROJECT_TASKS": "0",
    "GENFLEET_QUEUE_LENGTH": "0",
    "GENFLEET_LONGEST_WAIT_SECONDS": "0",
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[httpx.Client]:
    """An installation of its own, with a worker that does everything at once: what is paused or revoked here hurts nobody."""
    server = Redis(tmp_path, free_port())
    server.start()
    site = Site(server, tmp_path)
    with site.api(**NO_LIMITS) as api, site.worker(concurrency=2):
        yield api
    server.stop()


@pytest.mark.timeout(1800)
def test_nothing_that_is_sent_breaks_the_service_or_its_document(service: httpx.Client, tmp_path: Path) -> None:
    """TS-149, TS-175, TS-146: no 5xx, no answer that the document does not have, nothing accepted that it forbids.

    Every operation by its examples, at the limits of each parameter, at random, and in chains along the links of the
    document: submit, look, cancel, retry.
    """
    url = str(service.base_url).rstrip("/")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("--config-file", Path(__file__).with_name("schemathesis.toml")),
            *("run", f"{url}/openapi.json", "--no-color", "--warnings", "off"),
            # With this an event stream, which ends with its task, is a list of the events so far.
            *("-H", f"X-API-Key: {KEY}", "-H", "Accept: application/json"),
            *("--max-examples", EXAMPLES, "--seed", SEED, "--generation-database", "none"),
            *("--request-timeout", "20"),
        ],
        env=clean_environment() | {"SCHEMATHESIS_HOOKS": "tests.service.fuzz_hooks", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Stateful" in done.stdout
    assert service.get("/api/v1/health").json()["redis_status"] == "connected"
    print(done.stdout)  # noqa: T201  shown by `make fuzz`
