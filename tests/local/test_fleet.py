"""The fleet of local processes on a real store with real workers: how it grows, shrinks, waits and holds."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.store import pauses, steps
from genfleet.store.client import AsyncStore, SyncStore
from genfleet_local import resources
from genfleet_local.fleet import Fleet, _pause
from genfleet_local.home import Home
from genfleet_local.processes import Parts
from genfleet_local.up import ProcessLauncher
from genfleet_local.worker_process import WorkerProcess
from tests.local.installation import environment, write_resource
from tests.support.servers import Site
from tests.support.tasks import queue_seen, record, submitted
from tests.support.waiting import wait_for

LEAVE_WITHIN_S = 1.0


@contextlib.contextmanager
def running(site: Site, *, maximum: int = 2, **more: str) -> Iterator[Fleet]:
    """A fleet of one queue, as `genfleet up` runs it, in a thread with a loop of its own; stopped at the end."""
    home = Home(site.folder / "home")
    home.make()
    launcher = ProcessLauncher(home, environment() | site.environment() | more, Parts())
    queues = resources.load(write_resource(site.folder / "queues", maximum=maximum))
    made: Future[tuple[Fleet, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def live() -> None:
        store, over = AsyncStore(site.redis.url), asyncio.Event()
        fleet = Fleet(queues, store, launcher)
        made.set_result((fleet, asyncio.get_running_loop(), over))
        work = asyncio.create_task(fleet.run())
        await asyncio.wait((work, asyncio.create_task(over.wait())), return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await fleet.stop(LEAVE_WITHIN_S)
        await store.close()

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    fleet, loop, over = made.result(10)
    try:
        yield fleet
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(30)


def workers(fleet: Fleet) -> list[WorkerProcess]:
    """The processes of the one queue."""
    return list(fleet.queues[0].workers)


def reported(store: SyncStore) -> dict[str, Any]:
    """What the fleet last said of itself."""
    return dict(queue_seen(store).fleet or {})


def wait_until(store: SyncStore, state: State, *ids: str, within: float = 20) -> None:
    """Wait for every one of these tasks to be in this state."""
    wait_for(f"all are {state}", lambda: all(record(store, each).state is state for each in ids), within=within)


def test_from_nobody_to_the_maximum_and_back(site: Site, store: SyncStore) -> None:
    """No work, no worker; work brings as many as it needs and may have; done, they are drained, and none is left."""
    with running(site) as fleet:
        wait_for("a first report", lambda: reported(store))
        assert (reported(store)["wanted"], workers(fleet)) == (0, [])

        ids = [submitted(store, seconds=2) for _ in range(4)]  # long enough for the second worker to come
        report = wait_for("the maximum is wanted", lambda: _with(reported(store), wanted=2))
        assert (report["reason"], report["maximum"]) == ("AtMaximum", 2)
        wait_for("both are there", lambda: reported(store)["ready"] == 2, within=20)
        ours = [worker.process for worker in workers(fleet)]
        wait_until(store, State.COMPLETED, *ids)

        wait_for("nobody is left", lambda: not workers(fleet), within=20)
        assert [process.returncode for process in ours] == [0, 0]
        assert queue_seen(store).workers == ()
        wait_for("and that is told", lambda: _with(reported(store), wanted=0, ready=0, starting=0, draining=0))


def test_a_paused_queue_gets_no_worker_until_it_is_resumed(site: Site, store: SyncStore) -> None:
    """The fleet says why there is none, and starts one at once when the pause is over."""
    store.run(pauses.pause("gpu_medium", "new model"))
    with running(site) as fleet:
        task_id = submitted(store)
        wait_for("the fleet says why", lambda: _with(reported(store), reason="Paused", wanted=0))
        assert workers(fleet) == []
        store.run(pauses.unpause("gpu_medium"))
        wait_until(store, State.COMPLETED, task_id)


def _with(report: dict[str, Any], **expected: object) -> dict[str, Any] | None:
    """A report that says this."""
    return report if all(report.get(name) == value for name, value in expected.items()) else None


def test_a_worker_at_work_is_never_stopped_until_all_stop(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """While the fleet shrinks only the idle one leaves; at the very end no engine can hold it up, nor outlive it."""
    marks = tmp_path / "marks"
    with running(site) as fleet:
        long = submitted(store, seconds=60, stubborn=True, marks=str(marks))
        short = submitted(store)
        wait_until(store, State.PROCESSING, long)
        wait_until(store, State.COMPLETED, short)
        wait_for("the idle one has left", lambda: len(workers(fleet)) == 1, within=20)
        (left,) = workers(fleet)
        task = record(store, long)
        assert (left.id, left.stopped) == (task.worker, False)
        assert (task.state, task.attempt) == (State.PROCESSING, 1)
        family = [psutil.Process(left.process.pid), *psutil.Process(left.process.pid).children(recursive=True)]
        assert len(family) == 2

    assert [line.split()[0] for line in marks.read_text().splitlines()] == ["start"]
    wait_for("none of them is left", lambda: not [process for process in family if process.is_running()])


def test_an_unseen_queue_is_no_empty_queue(site: Site, store: SyncStore) -> None:
    """NS-010: while Redis is away an idle worker stays longer than its cooldown, as nobody can see; then all goes on."""
    with running(site, maximum=1) as fleet:
        wait_until(store, State.COMPLETED, submitted(store))
        (worker,) = workers(fleet)

        site.redis.stop()
        wait_for("the fleet is blind", lambda: fleet.queues[0].logged == (1, "DemandUnknown"), within=20)
        cooled_down = time.monotonic() + 1.5
        wait_for("the cooldown is over", lambda: time.monotonic() > cooled_down)
        assert workers(fleet) == [worker]
        assert not worker.draining

        site.redis.start()
        wait_for("the fleet sees again", lambda: fleet.queues[0].logged[1] != "DemandUnknown", within=20)
        assert reported(store)["reason"] == fleet.queues[0].logged[1]


def test_workers_that_die_at_their_start_are_started_ever_more_slowly(site: Site, store: SyncStore) -> None:
    """A broken installation does not burn the processor: one at a time, pauses that double, and the report says so."""
    with running(site, GENFLEET_TIME_LIMITS='{"generate_image": [2, 1]}') as fleet:
        (queue,) = fleet.queues
        submitted(store)
        wait_for("the first has died", lambda: queue.failures == 1 and not queue.workers, within=20)
        died = time.monotonic()
        submitted(store)
        wait_for("that is told", lambda: "The last 1 worker(s) died" in reported(store)["explanation"])

        wait_for("another is tried", lambda: queue.workers, within=20)
        assert len(queue.workers) == 1, reported(store)
        assert time.monotonic() > died + 1
        wait_for("it has died, too", lambda: queue.failures == 2, within=20)
        assert queue.not_before > time.monotonic() + 3
    log = (site.folder / "home" / "logs" / "worker-gpu_medium.log").read_text()
    assert log.count("the soft limit must be above 0 and below the hard one") == 2


def test_pauses_between_failing_starts_end_at_a_minute() -> None:
    """After a night of failures the next try is still a minute away, and nothing overflows."""
    assert [_pause(failures) for failures in (1, 2, 5, 6, 5000)] == [2, 4, 32, 60, 60]


def test_a_crashed_workers_task_does_not_run_twice_at_once(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """A worker that is killed takes its children along, so that the next attempt has the machine for itself."""
    marks = tmp_path / "marks"
    with running(site, maximum=1) as fleet:
        task_id = submitted(store, seconds=60, marks=str(marks))
        wait_until(store, State.PROCESSING, task_id)
        wait_for("its child has begun", marks.exists)
        child = int(marks.read_text().split()[3])
        (worker,) = workers(fleet)
        worker.process.kill()
        wait_for("its child is gone", lambda: not psutil.pid_exists(child), within=5)
        store.run(steps.cancel(task_id))


def test_a_record_that_nobody_can_read_holds_what_runs(site: Site, store: SyncStore) -> None:
    """T24: nonsense under the queue's keys is not the end of the fleet, and not an empty queue; then all goes on."""
    with running(site, maximum=1) as fleet:
        wait_until(store, State.COMPLETED, submitted(store))
        (worker,) = workers(fleet)
        site.redis.client.set(key("scheduled", "gpu_medium"), "nonsense")
        wait_for("the fleet is blind", lambda: fleet.queues[0].logged == (1, "DemandUnknown"), within=20)
        assert workers(fleet) == [worker]
        site.redis.client.delete(key("scheduled", "gpu_medium"))
        wait_for("nobody is left", lambda: not workers(fleet), within=20)
