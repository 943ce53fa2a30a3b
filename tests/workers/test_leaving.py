"""A worker that was told to end, and what still comes to it."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from tests.support.servers import Site
from tests.support.tasks import record, submitted
from tests.support.waiting import wait_for


def test_a_task_that_comes_with_sigterm_is_not_kept(site: Site, store: SyncStore) -> None:
    """Who leaves may still be given a task, but runs it or hands it back at once: no lease has to run out."""
    with site.worker() as leaving:
        leaving.send_signal(signal.SIGTERM)
        task_id = submitted(store)
        leaving.wait(20)

    assert record(store, task_id).state in {State.QUEUED, State.COMPLETED}


def unread(pid: int) -> int:
    """Bytes in the pipes of a process that it has not read yet."""
    found = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # not a pipe, or one that is only written to
            pipe = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
            try:
                found += int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
            finally:
                os.close(pipe)
    return found


@pytest.mark.parametrize("size", [10, 200_000], ids=["all of it", "half of it"])
def test_a_process_that_was_given_a_task_is_heard_out(site: Site, store: SyncStore, size: int) -> None:
    """A process has its task, or as much of it as a pipe holds, when SIGTERM comes: it runs it, and the worker leaves."""
    with site.worker() as leaving:
        (process,) = psutil.Process(leaving.pid).children()
        process.suspend()
        before = unread(process.pid)
        task_id = submitted(store, padding="x" * size)
        wait_for("it was given to the process", lambda: unread(process.pid) > before)
        leaving.send_signal(signal.SIGTERM)
        wait_for("it stops", lambda: "Warm shutdown" in (site.folder / "worker.log").read_text())
        process.resume()
        assert leaving.wait(20) == 0

    assert record(store, task_id).state is State.COMPLETED
    assert record(store, task_id).story == ()


def test_a_process_that_was_given_a_task_keeps_it_when_redis_is_lost(site: Site, store: SyncStore) -> None:
    """It has its task in its pipe when every connection is cut: the task is not handed back under it."""
    with site.worker(concurrency=2) as worker:  # which asks for another one meanwhile, and so has a connection to lose
        processes = psutil.Process(worker.pid).children()
        for process in processes:
            process.suspend()
        before = sum(unread(process.pid) for process in processes)
        task_id = submitted(store)
        wait_for("it was given to one", lambda: sum(unread(process.pid) for process in processes) > before)
        site.redis.client.client_kill_filter(_type="normal", skipme=True)
        log = site.folder / "worker.log"
        wait_for("the worker knows", lambda: "Connection to broker lost" in log.read_text())
        for process in processes:
            process.resume()
        wait_for("it is over", lambda: record(store, task_id).finished_ms)
        assert record(store, task_id).story == ()
        assert worker.poll() is None


@pytest.mark.parametrize("seconds", [0.8, 60], ids=["its task is done", "its task is not"])
def test_a_worker_that_leaves_gives_up_on_a_redis_that_is_gone(site: Site, store: SyncStore, seconds: float) -> None:
    """NS-009: the grace is for work, not for a Redis that will not come back; here after one second rather than 60."""
    with site.worker(GENFLEET_GIVE_UP_SECONDS="1") as leaving:
        task_id = submitted(store, seconds=seconds)
        wait_for("it runs", lambda: record(store, task_id).state is State.PROCESSING)
        site.redis.stop()
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(20) == 0
    site.redis.start()
    assert record(store, task_id).state is State.PROCESSING, "its lease runs out, and then it goes back to its queue"


def test_a_worker_that_stays_waits_for_redis(site: Site, store: SyncStore) -> None:
    """NS-010: nobody told it to leave, so its work is settled when Redis is back, however long that takes."""
    with site.worker(GENFLEET_GIVE_UP_SECONDS="0"):
        task_id = submitted(store, seconds=1)
        wait_for("it runs", lambda: record(store, task_id).state is State.PROCESSING)
        site.redis.stop()
        log = site.folder / "worker.log"
        wait_for("it waits with its outcome", lambda: "settlement_waits" in log.read_text())
        site.redis.start()
        wait_for("it is completed", lambda: record(store, task_id).state is State.COMPLETED)
