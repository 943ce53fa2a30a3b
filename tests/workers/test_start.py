"""What a worker is when nobody says otherwise, and what it does when it cannot be one."""

from __future__ import annotations

import os
from typing import Any

import pytest

from genfleet_workers.app import create_app
from genfleet_workers.settings import WorkerSettings
from tests.support.servers import Site, program


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param(
            "worker_max_memory_per_child", 2_000_000_000 // 1024, id="TS-115 2 GB, which Celery counts in KiB"
        ),
        pytest.param("worker_max_tasks_per_child", 10, id="TS-116 10 tasks of a process"),
        pytest.param("worker_concurrency", 4, id="TS-117 4 tasks at once"),
        pytest.param("worker_prefetch_multiplier", 1, id="TS-118 nothing is hoarded"),
    ],
)
def test_the_documented_limits_hold_where_nobody_set_others(setting: str, value: Any) -> None:
    """TS-115 to TS-118: what Celery is told by default."""
    assert create_app(WorkerSettings()).conf[setting] == value


def test_a_worker_is_named_after_its_machine() -> None:
    """TS-120: `celery-redis-worker@` and the host's name, which differs from machine to machine."""
    assert WorkerSettings().worker_id == f"celery-redis-worker@{os.uname().nodename}"


def test_a_missing_package_ends_the_worker(site: Site) -> None:
    """TS-174, TS-176: it names the package and ends with status 2, instead of failing every task that comes."""
    log = site.folder / "worker.log"
    environment = site.environment(GENFLEET_ENGINES="tests.support.engines:of_a_package_that_is_missing")
    with program("genfleet_workers", log=log, environment=environment) as process:
        status = process.wait(30)

    said = log.read_text()
    assert status == 2, said
    assert "No module named 'a_package_that_nobody_installed'" in said
