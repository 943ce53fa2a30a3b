"""What a worker is when nobody says otherwise, and what it does when it cannot be one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from genfleet_workers.app import create_app
from genfleet_workers.beat import BROKEN
from genfleet_workers.settings import WorkerSettings
from tests.support.servers import Site, program
from tests.support.tasks import record, submitted
from tests.support.waiting import wait_for


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


@contextmanager
def loading(site: Site, *, within: float) -> Iterator[subprocess.Popen[bytes]]:
    """A worker whose two processes load a large model."""
    environment = site.environment(
        GENFLEET_ENGINES="tests.support.engines:of_a_large_model", GENFLEET_LOAD_SECONDS=f"{within:g}"
    )
    arguments = ("--queue", "gpu_medium", "--concurrency", "2")
    with program("genfleet_workers", *arguments, log=site.folder / "loading.log", environment=environment) as process:
        wait_for("its processes are there", lambda: len(psutil.Process(process.pid).children()) == 2, within=30)
        yield process


def test_a_worker_takes_nothing_before_its_engines_have_loaded(site: Site, store: SyncStore) -> None:
    """Another one, which is ready, can have the task meanwhile."""
    with loading(site, within=60):
        first = submitted(store)
        with site.worker(name="other"):
            wait_for("the other one has done it", lambda: record(store, first).finished_ms)
        assert record(store, first).worker == "other@test"
        (site.folder / "media" / "loaded").touch()
        second = submitted(store)
        wait_for("and now the first one", lambda: record(store, second).finished_ms)

    said = (site.folder / "loading.log").read_text()
    assert said.count("the model is loaded") == 2
    assert said.rindex("the model is loaded") < said.index(" ready.")


def test_a_worker_whose_engines_do_not_load_is_replaced(site: Site, store: SyncStore) -> None:
    """It says which setting it was, and no task was touched."""
    task_id = submitted(store)
    with loading(site, within=1) as worker:
        assert worker.wait(30) == BROKEN

    assert "GENFLEET_LOAD_SECONDS" in (site.folder / "loading.log").read_text()
    assert (record(store, task_id).state, record(store, task_id).story) == (State.QUEUED, ())


def test_a_worker_that_still_loads_goes_at_once(site: Site) -> None:
    """It has nothing to finish."""
    with loading(site, within=60) as worker:
        worker.terminate()
        assert worker.wait(10) == 0
