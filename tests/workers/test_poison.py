"""Tasks that harm the process they run in: what becomes of them, of the others beside them, and of the worker.

Those that take their process with them are T3 of `tests/chaos`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from genfleet.store.records import TaskRecord
from tests.support.poison import HARMLESS
from tests.support.servers import Site
from tests.support.tasks import queue_seen, record, submitted
from tests.support.waiting import wait_for

ENGINES: dict[str, Any] = {"GENFLEET_ENGINES": "tests.support.poison:engines"}


def ended(store: SyncStore, task_id: str) -> TaskRecord:
    """The record of a task once it has ended."""
    wait_for(f"{task_id} ends", lambda: record(store, task_id).finished_ms, within=60)
    return record(store, task_id)


def test_a_process_that_dies_at_once_is_counted_each_time(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """Also where Celery's pool, not having heard that it began, gives the same attempt to another process."""
    marks = tmp_path / "marks"
    tasks = [submitted(store, poison="exits", marks=str(marks)) for _ in range(12)]
    with site.worker(concurrency=4, **ENGINES):
        for task_id in tasks:
            assert ended(store, task_id).quarantined_ms, task_id
    begun = [line.split()[1] for line in marks.read_text().splitlines()]
    assert {task_id: begun.count(task_id) for task_id in tasks} == dict.fromkeys(tasks, 3)


def test_what_merely_fails_is_told_why(site: Site, store: SyncStore) -> None:
    """One attempt, one failure, one sentence; nothing is stuck, and no worker is counted as lost."""
    tasks = {name: submitted(store, poison=name) for name in HARMLESS}
    limits = '{"generate_image": [2, 4]}'
    with site.worker(concurrency=2, GENFLEET_TIME_LIMITS=limits, **ENGINES) as process:
        for name, task_id in tasks.items():
            task = ended(store, task_id)
            assert (task.state, task.retries) == (State.FAILED, 0), name
            assert (task.error or "").startswith(HARMLESS[name][1]), name
            assert len(task.error or "") <= 2_000 + 100
        assert ended(store, submitted(store)).state is State.COMPLETED
        wait_for("their places are free", lambda: queue_seen(store).running == 0)
        wait_for("nothing is left of them", lambda: len(psutil.Process(process.pid).children(recursive=True)) == 2)
        assert process.poll() is None
    assert site.redis.client.hget("genfleet:counters", "lost_workers") is None


@pytest.mark.parametrize("poison", ["closes its files", "babbles"])
def test_what_spoils_its_process_costs_nobody_else_anything(site: Site, store: SyncStore, poison: str) -> None:
    """A process without its files, or one that floods the log: its own task ends as it can, the next ones are run."""
    spoiled = submitted(store, poison=poison)
    with site.worker(GENFLEET_TIME_LIMITS='{"generate_image": [2, 4]}', **ENGINES) as process:
        wait_for("it is over", lambda: record(store, spoiled).finished_ms or record(store, spoiled).due_ms, within=60)
        for _ in range(3):
            assert ended(store, submitted(store)).state is State.COMPLETED
        assert process.poll() is None


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with little memory, of whichever version this machine has."""
    mine = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    root, name = ("/sys/fs/cgroup/memory", "memory") if "memory" in mine else ("/sys/fs/cgroup", "")
    folder = Path(root) / mine[name].lstrip("/") / f"genfleet-test-{os.getpid()}"
    limit = folder / ("memory.limit_in_bytes" if name else "memory.max")
    try:
        folder.mkdir()
        limit.write_text("350000000")
    except OSError as error:
        folder.rmdir() if folder.exists() else None
        pytest.skip(f"no control group can be made here: {error}")
    yield folder
    wait_for("nobody is in the group", lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


def test_a_process_that_the_kernel_kills_for_memory_says_so(site: Site, store: SyncStore, group: Path) -> None:
    """The limit of a container: the kernel takes the process of the task, not its worker, and the story tells them apart."""
    task_id = submitted(store, poison="eats memory")
    with site.worker(module="tests.support.confined_worker", GENFLEET_TEST_GROUP=str(group), **ENGINES) as process:
        task = ended(store, task_id)
        assert process.poll() is None
        assert ended(store, submitted(store)).state is State.COMPLETED
    killed = "its process was killed by the kernel: there was no more memory (OOM)"
    assert [chapter.why for chapter in task.story] == [killed] * 3


@pytest.mark.parametrize(
    ("poison", "who"),
    [
        ("waits for a tool", "process"),
        ("waits for a tool", "worker"),
        ("ignores SIGTERM and the soft limit", "process"),  # a tool that it started by itself
    ],
)
def test_what_an_engine_started_dies_with_it(
    site: Site, store: SyncStore, tmp_path: Path, poison: str, who: str
) -> None:
    """An engine's tools outlive neither its process nor its worker; what it starts by itself, not its process."""
    marks = tmp_path / "marks"
    submitted(store, poison=poison, marks=str(marks))
    with site.worker(**ENGINES) as process:
        child = int(wait_for("it runs", lambda: marks.read_text() if marks.exists() else "").split()[3])
        helper = wait_for("its helper runs", lambda: _named("sleep", psutil.Process(child)))
        os.kill(child if who == "process" else process.pid, signal.SIGKILL)
        wait_for("its helper is gone", lambda: not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE)
        assert who == "worker" or process.poll() is None


def _named(name: str, parent: psutil.Process) -> psutil.Process | None:
    return next((child for child in parent.children() if child.name() == name), None)
