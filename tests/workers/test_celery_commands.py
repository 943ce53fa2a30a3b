"""Celery's own commands against our workers, as the documents show them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.servers import Site, clean_environment


def celery(site: Site, *words: str) -> str:
    """What a celery command prints."""
    command = [sys.executable, "-m", "celery", "-A", "genfleet_workers.celery_app", *words]
    environment = {**clean_environment(), **site.environment()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("queue", "broker_queues"), [("gpu_medium", ["gpu_medium"]), ("default", ["celery", "default"])]
)
def test_inspect_shows_the_queues_of_a_worker(site: Site, queue: str, broker_queues: list[str]) -> None:
    """TS-119, TS-121, XC-007: `inspect active_queues` names the worker, says OK, and lists its queues."""
    with site.worker(queue, name="shown", GENFLEET_REMOTE_CONTROL="true"):
        shown = celery(site, "inspect", "active_queues")

    assert "shown@test: OK" in shown
    for name in broker_queues:
        assert f"'name': '{name}'" in shown


def test_every_task_type_is_registered_by_its_documented_name(site: Site) -> None:
    """TS-104: the keys of the documented routes are the plain task names."""
    with site.worker(name="shown", GENFLEET_REMOTE_CONTROL="true"):
        shown = celery(site, "inspect", "registered")

    for name in ("generate_video", "generate_image", "evaluate_department", "test_prompt"):
        assert f"* {name}" in shown
