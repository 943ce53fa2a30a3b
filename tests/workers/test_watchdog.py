"""Nothing hangs silently: real workers with faults that are really there, and a patience of two seconds rather than 30."""

from __future__ import annotations

import os
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import pytest
from celery import Celery

from genfleet.contract.keys import PRIORITY_STEPS, key
from genfleet.contract.states import State
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet.store.redis_check import Teller
from genfleet_workers.beat import Beat
from genfleet_workers.family import Family
from genfleet_workers.settings import WorkerSettings
from tests.support.servers import Site
from tests.support.tasks import queue_seen, record, running, submitted
from tests.support.waiting import wait_for

PATIENCE: dict[str, Any] = {"GENFLEET_PATIENCE_SECONDS": "2"}
BROKEN = 75


def faulty(site: Site, fault: str) -> AbstractContextManager[Popen[bytes]]:
    """A worker that has this fault once it gets SIGALRM."""
    return site.worker(name="faulty", module="tests.support.faulty_worker", GENFLEET_TEST_FAULT=fault, **PATIENCE)


def ended(store: SyncStore, task_id: str) -> State:
    """The state of a task once it has ended."""
    wait_for(f"{task_id} ends", lambda: record(store, task_id).finished_ms, within=40)
    return record(store, task_id).state


def process_of(marks: Path) -> int:
    """The process that runs the first task."""
    return int(wait_for("it runs", lambda: marks.read_text() if marks.exists() else "").split()[3])


def why(store: SyncStore, task_id: str) -> list[tuple[str, str | None]]:
    """The story of a task: how each attempt ended, and why."""
    return [(chapter.how, chapter.why) for chapter in record(store, task_id).story]


def test_a_process_that_is_stopped_loses_its_task(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """A lease is not renewed for ever for a process that makes no move; the worker goes on with another process."""
    marks = tmp_path / "marks"
    task_id = submitted(store, seconds=60, later=0, marks=str(marks))
    with site.worker(**PATIENCE) as worker:
        os.kill(process_of(marks), signal.SIGSTOP)
        assert ended(store, task_id) is State.COMPLETED
        assert worker.poll() is None

    assert why(store, task_id) == [("lost", "its process was stopped, and still was 2 s later")]


def test_a_worker_whose_processes_take_nothing_is_replaced(site: Site, store: SyncStore) -> None:
    """A task that was claimed and reaches no process goes back, with nothing counted against it; the worker ends itself."""
    with site.worker(name="one", **PATIENCE) as worker:
        (seen,) = queue_seen(store).workers
        (idle,) = {int(pid) for pid in wait_for("it tells", lambda: _memory(store))} - {seen.about["pid"]}
        os.kill(idle, signal.SIGSTOP)
        task_id = submitted(store)
        assert worker.wait(40) == BROKEN
    with site.worker(name="two"):
        assert ended(store, task_id) is State.COMPLETED

    assert why(store, task_id) == [("handed_back", "no process of its worker took it within 8 s")]
    assert site.redis.client.hget("genfleet:counters", "lost_workers") is None


@pytest.mark.parametrize("end", ["its process is killed", "its hard limit passes"])
def test_finished_work_counts_although_redis_was_away_when_its_process_ended(
    site: Site, store: SyncStore, tmp_path: Path, end: str
) -> None:
    """Only telling Redis was left to do. The worker does that in the place of its process."""
    marks = tmp_path / "marks"
    task_id = submitted(store, seconds=1, marks=str(marks))
    limits = '{"generate_image": [2.5, 3]}' if end == "its hard limit passes" else "{}"
    with site.worker(GENFLEET_TIME_LIMITS=limits, **PATIENCE):
        child = process_of(marks)
        site.redis.stop()
        log = site.folder / "worker.log"
        wait_for("it waits with its result", lambda: "settlement_waits" in log.read_text())
        if end == "its process is killed":
            os.kill(child, signal.SIGKILL)
        wait_for("its process is gone", lambda: not psutil.pid_exists(child) or _is_dead(child))
        site.redis.start()
        assert ended(store, task_id) is State.COMPLETED
        assert ended(store, submitted(store)) is State.COMPLETED

    assert (why(store, task_id), marks.read_text().count("start")) == ([], 1)


def test_a_death_while_redis_is_away_is_no_fault_of_the_worker(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """A main loop that connects again cannot see its processes end. The task is given up; the worker goes on."""
    marks = tmp_path / "marks"
    task_id = submitted(store, seconds=60, later=0, marks=str(marks))
    with site.worker(concurrency=2, **PATIENCE) as worker:
        child = process_of(marks)
        log = site.folder / "worker.log"
        site.redis.stop()
        wait_for("it connects again", lambda: "broker_unreachable" in log.read_text(), within=20)
        os.kill(child, signal.SIGKILL)
        wait_for("it is given up", lambda: "taken_away" in log.read_text(), within=20)
        site.redis.start()
        assert ended(store, task_id) is State.COMPLETED
        assert worker.poll() is None

    assert "worker_is_broken" not in log.read_text()
    assert why(store, task_id) == [("lost", "its process is gone, and its worker did not notice")]


def _is_dead(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _memory(store: SyncStore) -> dict[str, int] | None:
    memory: dict[str, int] = queue_seen(store).workers[0].about["memory_bytes"]
    return memory if len(memory) == 2 else None


def test_a_main_loop_that_stands_still_ends_the_worker_when_its_work_is_done(
    site: Site, store: SyncStore, tmp_path: Path
) -> None:
    """What runs is finished and counts; what the worker can no longer take is run by another; people can see why."""
    marks, seen = tmp_path / "marks", tmp_path / "seen"
    running = submitted(store, until=str(seen), marks=str(marks))
    with faulty(site, "stuck") as worker:
        process_of(marks)
        worker.send_signal(signal.SIGALRM)
        waiting = submitted(store)
        trouble = wait_for("it says so", lambda: _trouble(store), within=40)
        seen.touch()
        assert worker.wait(40) == BROKEN
        assert record(store, running).state is State.COMPLETED
        assert queue_seen(store).workers == ()
    with site.worker(name="two"):
        assert ended(store, waiting) is State.COMPLETED

    assert trouble.startswith("its main loop has not turned for")
    assert marks.read_text().count("start") == 1


def _trouble(store: SyncStore) -> str:
    (seen,) = queue_seen(store).workers
    return str(seen.about.get("trouble", ""))


@pytest.mark.parametrize("fault", ["cancelled", "exhausted"])
def test_a_consumer_that_stopped_consuming_is_started_anew(site: Site, store: SyncStore, fault: str) -> None:
    """F23: messages wait, there is room, nothing is taken. That is noticed, told and mended within the patience."""
    with faulty(site, fault) as worker:
        assert ended(store, submitted(store)) is State.COMPLETED
        worker.send_signal(signal.SIGALRM)
        wait_for("nobody listens", lambda: fault == "exhausted" or not _listens(site))
        assert ended(store, submitted(store)) is State.COMPLETED
        wait_for("it is counted", lambda: queue_seen(store).workers[0].about["consumer_restarts"] == 1)
        assert worker.poll() is None


def _listens(site: Site) -> bool:
    return any("b" in client["flags"] for client in site.redis.client.client_list())


def test_a_consumer_that_cannot_be_mended_ends_the_worker(site: Site, store: SyncStore) -> None:
    """Then another is started in its place, and what waits is run there."""
    with faulty(site, "deaf") as worker:
        worker.send_signal(signal.SIGALRM)
        wait_for("nobody listens", lambda: not _listens(site))
        task_id = submitted(store)
        assert worker.wait(40) == BROKEN
    with site.worker(name="two"):
        assert ended(store, task_id) is State.COMPLETED


def test_the_time_limits_of_another_producer_are_those_that_count(site: Site, store: SyncStore) -> None:
    """The watch ends nothing before the limit that Celery was given with its message."""
    producer = Celery("old", broker=site.redis.url, set_as_current=False)
    producer.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS)}
    arguments = {"project_id": "p", "task_data": {"prompt": "x", "seconds": 6}}
    producer.send_task(
        "generate_image", kwargs=arguments, task_id="long", queue="gpu_medium", time_limit=60, soft_time_limit=50
    )
    with site.worker(GENFLEET_TIME_LIMITS='{"generate_image": [1, 2]}', **PATIENCE):
        wait_for("the record is made", lambda: store.run(steps.task("long")))
        assert ended(store, "long") is State.COMPLETED


def test_a_broken_record_keeps_no_other_from_being_told(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """What a worker cannot report of one task must not stand before what it reports of the next, for ever."""
    broken, good = running(store, "broken"), running(store, "good")
    site.redis.client.set(key("task", "broken"), "no record")
    settings = WorkerSettings(redis_url=site.redis.url, queue="gpu_medium", scratch_dir=tmp_path)
    beat = Beat(settings, store, Family(), Teller())
    for lease in (broken, good):
        beat.holdings.report(steps.fail(lease.task_id, lease.token, "no such model"))
    beat.start()
    assert ended(store, "good") is State.FAILED
    beat.end()
    assert beat.holdings.reports() == []


def test_a_machine_that_was_paused_costs_nothing(site: Site, store: SyncStore) -> None:
    """Everything stood still, the two loops that watch each other as well: that is no fault of either."""
    assert site.redis.process
    with site.worker(name="one", **PATIENCE) as one, site.worker(name="two", **PATIENCE) as two:
        tasks = [submitted(store, seconds=12), submitted(store, seconds=12)]
        wait_for("both run", lambda: all(record(store, task).state is State.PROCESSING for task in tasks))
        _signal_all(signal.SIGSTOP, site.redis.process.pid, one.pid, two.pid)
        time.sleep(9)  # longer than four times the patience
        _signal_all(signal.SIGCONT, site.redis.process.pid, one.pid, two.pid)
        assert [ended(store, task) for task in tasks] == [State.COMPLETED] * 2
        assert (one.poll(), two.poll()) == (None, None)
    assert [why(store, task) for task in tasks] == [[], []]


def _signal_all(number: signal.Signals, redis: int, *workers: int) -> None:
    """The workers with all their processes."""
    os.kill(redis, number)
    for worker in workers:
        os.killpg(worker, number)
