"""A real worker on a real Redis: what becomes of tasks that succeed, fail, hang, die or are cancelled."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from genfleet.contract.keys import PRIORITY_STEPS, broker_list, key
from genfleet.contract.measures import FAILURES, Cause
from genfleet.contract.states import State
from genfleet.store import capacity, steps
from genfleet.store.client import SyncStore
from genfleet.store.measures import counts
from genfleet.store.records import TaskRecord
from tests.support.servers import Site
from tests.support.tasks import in_step, queue_seen, record, submitted
from tests.support.waiting import wait_for

LIST = broker_list("gpu_medium", 2)


def settled(store: SyncStore, task_id: str, *, within: float = 15) -> TaskRecord:
    """The record of a task once it has ended."""
    wait_for(f"{task_id} ends", lambda: record(store, task_id).finished_ms, within=within)
    return record(store, task_id)


def failures(store: SyncStore) -> dict[str, int]:
    """Attempts that failed, by cause."""
    counted = store.run(counts()).numbers.get(FAILURES, {})
    return {cause: number for (_, _, cause), number in counted.items()}


def test_a_task_is_run_and_its_file_published(site: Site, store: SyncStore) -> None:
    """TS-082: the result points to a file in the media folder, with its size; the message is gone."""
    task_id = submitted(store)
    with site.worker(GENFLEET_MEDIA_URL="https://media.ft.tc"):
        task = settled(store, task_id)
        wait_for("the message to be acknowledged", lambda: site.redis.client.hlen("unacked") == 0)

    assert task.state is State.COMPLETED
    assert task.result is not None
    assert task.result["metadata"] == {"duration": 1.0, "file_size": len(task_id)}
    place = task.result["media_url"].removeprefix("https://media.ft.tc/")
    assert (site.folder / "media" / place).read_text() == task_id


def test_progress_and_step_move_while_a_task_runs(site: Site, store: SyncStore) -> None:
    """TS-023: both are there to see while the task is processing, and both change."""
    task_id = submitted(store, seconds=2)
    with site.worker():
        wait_for("the first step", lambda: in_step(store, task_id))
        first = record(store, task_id)
        wait_for("the second step", lambda: in_step(store, task_id, "second_half"))
        second = record(store, task_id)
        settled(store, task_id)

    assert first.state is second.state is State.PROCESSING
    assert first.progress is not None
    assert second.progress is not None
    assert 0 <= first.progress < second.progress < 1


def test_higher_priority_runs_first(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """TS-012, TS-013: whatever came first, 1 runs before 2 before 3."""
    marks = tmp_path / "marks"
    ids = {priority: submitted(store, priority=priority, marks=str(marks)) for priority in (3, 2, 1)}
    with site.worker():
        for task_id in ids.values():
            settled(store, task_id)

    started = [line.split()[1] for line in marks.read_text().splitlines() if line.startswith("start")]
    assert started == [ids[1], ids[2], ids[3]]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("ConnectionError", Cause.CONNECTION),
        ("TimeoutError", Cause.TIMEOUT),
        ("MemoryError", Cause.MEMORY),
        ("TransientError", Cause.ENGINE),
    ],
)
def test_passing_failures_are_tried_again(site: Site, store: SyncStore, error: str, cause: Cause) -> None:
    """TS-110, TS-111: the next attempt is in 60 seconds, the task shows which it is and why, and its cause is counted."""
    task_id = submitted(store, fail=error)
    with site.worker():
        wait_for("the retry is scheduled", lambda: record(store, task_id).due_ms)
        task = record(store, task_id)

    assert (task.state, task.attempt) == (State.QUEUED, 2)
    assert task.due_ms is not None
    assert task.due_ms - task.updated_ms == 60_000
    assert "as the test asked" in (task.last_error or "")
    assert failures(store) == {cause: 1}


@pytest.mark.parametrize("error", ["ValueError", "PermissionError", "FileNotFoundError", "PermanentError"])
def test_lasting_failures_are_final(site: Site, store: SyncStore, error: str) -> None:
    """TS-112: invalid input and refusals are not tried again; the error is a sentence, with its traceback beside it."""
    task_id = submitted(store, fail=error, message="scene is empty")
    with site.worker():
        task = settled(store, task_id)

    assert task.state is State.FAILED
    assert "scene is empty" in (task.error or "")
    assert "Traceback" in (task.traceback or "")
    assert task.retries == 0
    assert failures(store) == {Cause.ENGINE: 1}


def test_the_retries_end_after_the_fourth_attempt(site: Site, store: SyncStore) -> None:
    """TS-110, TS-113, PI-002: 60, 120 and 240 seconds, then one failure and one count of it."""
    task_id = submitted(store, fail="ConnectionError")
    delays = []
    with site.worker():
        for attempt in (2, 3, 4):
            wait_for(f"attempt {attempt} is scheduled", lambda: record(store, task_id).attempt == attempt)  # noqa: B023
            task = record(store, task_id)
            assert task.due_ms is not None
            delays.append(task.due_ms - task.updated_ms)
            site.redis.client.zadd(key("scheduled", "gpu_medium"), {task_id: 0})  # its time has come
        task = settled(store, task_id)

    assert delays == [60_000, 120_000, 240_000]
    assert (task.state, task.attempt) == (State.FAILED, 4)
    counters = site.redis.client.hgetall(key("counters"))
    assert (counters[b"retried_tasks"], counters[b"failed_tasks"]) == (b"3", b"1")


def test_the_soft_limit_asks_the_task_to_stop_and_tries_again(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """TS-108, PI-016: the engine gets SoftTimeLimitExceeded and can clean up; the task is tried again."""
    marks = tmp_path / "marks"
    task_id = submitted(store, seconds=60, marks=str(marks))
    with site.worker(GENFLEET_TIME_LIMITS='{"generate_image": [1, 20]}'):
        wait_for("the retry is scheduled", lambda: record(store, task_id).due_ms)

    assert f"stop {task_id} 1" in marks.read_text()
    assert record(store, task_id).last_error == "The soft time limit was exceeded"


def test_the_hard_limit_kills_the_process_and_fails_the_task(site: Site, store: SyncStore) -> None:
    """TS-108, TS-109: the record is failed and counted although the task's own code is gone; the worker goes on."""
    stuck = submitted(store, seconds=60, stubborn=True)
    with site.worker(GENFLEET_TIME_LIMITS='{"generate_image": [1, 2]}'):
        task = settled(store, stuck)
        after = submitted(store)
        assert settled(store, after).state is State.COMPLETED

    assert task.state is State.FAILED
    assert task.error == "The hard time limit of 2 seconds was exceeded"
    assert failures(store) == {Cause.TIMEOUT: 1}
    assert site.redis.client.hget(key("counters"), "failed_tasks") == b"1"


def test_a_cancelled_task_is_stopped_and_can_clean_up(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """TS-046, TS-047, PI-015: SIGTERM reaches the engine as SoftTimeLimitExceeded; the slot is free for the next."""
    marks = tmp_path / "marks"
    task_id = submitted(store, seconds=60, marks=str(marks))
    with site.worker():
        wait_for("it runs", lambda: in_step(store, task_id))
        store.run(steps.cancel(task_id))
        wait_for("its engine stops", lambda: f"stop {task_id} 1" in marks.read_text())
        assert settled(store, submitted(store)).state is State.COMPLETED
        wait_for("its place is free", lambda: queue_seen(store).running == 0)

    assert record(store, task_id).state is State.CANCELLED
    assert f"end {task_id}" not in marks.read_text()


def test_a_task_that_ignores_sigterm_is_killed_after_the_grace(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """TS-046, TS-185: SIGKILL follows, and the slot is free; here after 2 seconds rather than 30.

    Whatever the log says of the task has its project and type beside its id.
    """
    marks = tmp_path / "marks"
    task_id = submitted(store, seconds=60, stubborn=True, marks=str(marks))
    with site.worker(GENFLEET_STOP_GRACE_SECONDS="2"):
        wait_for("it runs", lambda: in_step(store, task_id))
        store.run(steps.cancel(task_id))
        assert settled(store, submitted(store), within=20).state is State.COMPLETED

    assert record(store, task_id).state is State.CANCELLED
    said = [line for line in (site.folder / "worker.log").read_text().splitlines() if f"task_id={task_id}" in line]
    assert {"signal=SIGTERM", "signal=SIGKILL"} <= {word for line in said for word in line.split()}
    assert [line for line in said if f"task_id={task_id} project_id=p task_type=generate_image" not in line] == []


def test_a_cancelled_task_does_not_start_with_the_next_worker(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """TS-048: cancelled while no worker was up, it never runs."""
    marks = tmp_path / "marks"
    cancelled = submitted(store, marks=str(marks))
    store.run(steps.cancel(cancelled))
    with site.worker():
        settled(store, submitted(store))

    assert not marks.exists()


def test_a_process_that_dies_gives_its_task_to_another(site: Site, store: SyncStore) -> None:
    """RF-007: a child that was killed settles nothing, so its parent does; after the third the task is given up."""
    task_id = submitted(store, die=True)
    with site.worker():
        task = settled(store, task_id, within=40)

    assert task.state is State.FAILED
    assert "3 workers were lost" in (task.error or "")
    assert "SIGKILL" in (task.error or "")


def test_a_stopping_worker_finishes_what_it_runs_and_takes_nothing_new(site: Site, store: SyncStore) -> None:
    """NS-009: SIGTERM lets running work end; what waits stays for others; the worker says goodbye."""
    first = submitted(store, seconds=2)
    with site.worker() as process:
        wait_for("it runs", lambda: in_step(store, first))
        process.terminate()
        second = submitted(store)
        assert process.wait(20) == 0

    assert record(store, first).state is State.COMPLETED
    assert record(store, second).state is State.QUEUED
    assert queue_seen(store).workers == ()


def test_a_worker_that_must_go_hands_its_work_back(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """NS-009: past the grace, running work goes back to its queue at once, and nothing is counted against it."""
    marks = tmp_path / "marks"
    task_id = submitted(store, seconds=60, marks=str(marks))
    with site.worker(GENFLEET_DRAIN_SECONDS="1") as process:
        wait_for("it runs", lambda: in_step(store, task_id))
        process.terminate()
        assert process.wait(20) == 0

    task = record(store, task_id)
    assert (task.state, task.attempt) == (State.QUEUED, 1)
    assert queue_seen(store).running == 0
    started = marks.read_text().split()
    wait_for("its process is gone", lambda: not Path(f"/proc/{started[3]}").exists())


def test_a_worker_that_is_told_to_drain_before_it_has_started_takes_nothing(site: Site, store: SyncStore) -> None:
    """Scaled down while its image was pulled: it hears of that before it takes its first message."""
    store.run(capacity.drain("late@test"))
    task_id = submitted(store)
    with site.worker(name="late"):
        wait_for("it says that it is drained", lambda: queue_seen(store).workers[0].about["phase"] == "drained")
        assert record(store, task_id).state is State.QUEUED
        store.run(capacity.resume("late@test"))
        assert settled(store, task_id).state is State.COMPLETED


def test_a_draining_worker_takes_nothing_and_can_be_called_back(site: Site, store: SyncStore) -> None:
    """Scale-down in two steps: told to drain it says that it is empty; called back it works again."""
    with site.worker(name="one"):
        store.run(capacity.drain("one@test"))
        wait_for("it says that it is drained", lambda: queue_seen(store).workers[0].about["phase"] == "drained")
        task_id = submitted(store)
        seen = wait_for("a beat after the submission", lambda: _next_beat(store))
        assert seen.workers[0].about["phase"] == "drained"
        assert record(store, task_id).state is State.QUEUED

        store.run(capacity.resume("one@test"))
        assert settled(store, task_id).state is State.COMPLETED


def _next_beat(store: SyncStore):  # type: ignore[no-untyped-def]  # QueueSeen or None
    seen = queue_seen(store)
    return seen if seen.waiting and seen.workers[0].silent_ms < 500 else None


def test_a_worker_lost_in_mid_task_costs_seconds(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """A killed worker's task is completed by another within 15 s, with one result and one count."""
    marks = tmp_path / "marks"
    task_id = submitted(store, seconds=600, later=0.5, marks=str(marks))
    with site.worker(name="one") as first:
        wait_for("it runs", lambda: in_step(store, task_id))
        with site.worker(name="two"):
            os.kill(first.pid, signal.SIGKILL)
            task = settled(store, task_id, within=15)

    assert task.state is State.COMPLETED
    assert task.worker == "two@test"
    assert marks.read_text().count(f"end {task_id}") == 1
    assert site.redis.client.hget(key("counters"), "completed_tasks") == b"1"


def test_a_paused_worker_comes_back_to_a_closed_door(site: Site, store: SyncStore) -> None:
    """A worker that was stopped past its lease: its process is killed, or what it comes up with is refused."""
    task_id = submitted(store, seconds=600, later=0)
    with site.worker(name="zombie") as zombie:
        wait_for("it runs", lambda: in_step(store, task_id))
        os.killpg(zombie.pid, signal.SIGSTOP)
        with site.worker(name="two"):
            task = settled(store, task_id, within=40)
            os.killpg(zombie.pid, signal.SIGCONT)
            log = site.folder / "zombie.log"
            wait_for("the zombie's attempt ends", lambda: _is_over(log.read_text()), within=20)
    assert task.worker == "two@test"
    assert record(store, task_id).result == task.result


def _is_over(log: str) -> bool:
    """Whether it hears of its loss first by its beat, or by its next report."""
    return "SIGKILL" in log or "accepted=False" in log


def test_a_redis_that_restarts_costs_a_worker_nothing(site: Site, store: SyncStore) -> None:
    """NS-010: the running task goes on and is settled; the next one is taken without a restart of the worker."""
    first = submitted(store, seconds=3)
    with site.worker() as process:
        wait_for("it runs", lambda: in_step(store, first))
        site.redis.stop(signal.SIGKILL)
        site.redis.start()
        assert settled(store, first, within=20).state is State.COMPLETED
        assert settled(store, submitted(store), within=20).state is State.COMPLETED
        assert process.poll() is None


def test_another_producers_message_is_adopted(site: Site, store: SyncStore) -> None:
    """Old producers enqueue by Celery alone, with arguments of their own: the worker makes the record first."""
    producer = Celery("old", broker=site.redis.url, set_as_current=False)
    producer.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS)}
    arguments = {"project_id": "old_project", "task_data": {"prompt": "x"}}
    producer.send_task("generate_image", kwargs=arguments, task_id="old-task-1", queue="gpu_medium")
    with site.worker():
        wait_for("the record is made", lambda: store.run(steps.task("old-task-1")))
        task = settled(store, "old-task-1")

    assert (task.state, task.project, task.data) == (State.COMPLETED, "old_project", {"prompt": "x"})


def send_by_celery(site: Site, priorities: Iterable[int], **data: Any) -> list[str]:
    """Messages of a producer that has set no option, one of each priority. Their ids."""
    producer = Celery("old", broker=site.redis.url, set_as_current=False)
    for priority in priorities:
        producer.send_task(
            "generate_image",
            kwargs={"task_data": data},
            task_id=f"celery-{priority}",
            priority=priority,
            queue="gpu_medium",
        )
    return [f"celery-{priority}" for priority in priorities]


def test_each_priority_of_another_producer_has_its_turn(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """TS-013: by Celery's own steps 0 to 2 come before all of ours, 3 to 5 with our 3, 6 to 8 after all, and 9 last."""
    marks = str(tmp_path / "marks")
    foreign = send_by_celery(site, (9, 7, 6, 4, 2), marks=marks)
    ours = [submitted(store, f"ours-{priority}", priority=priority, marks=marks) for priority in (3, 2, 1)]
    with site.worker():
        for task_id in foreign:
            wait_for("it is adopted", lambda: store.run(steps.task(task_id)), within=20)  # noqa: B023
        tasks = {task_id: settled(store, task_id) for task_id in (*foreign, *ours)}

    started = [line.split()[1] for line in Path(marks).read_text().splitlines() if line.startswith("start")]
    turns = ["celery-2", "ours-1", "ours-2", "celery-4", "ours-3", "celery-7", "celery-6", "celery-9"]
    assert started == turns
    assert {task.state for task in tasks.values()} == {State.COMPLETED}
    assert {tasks[task_id].priority for task_id in foreign} == {2}


def test_a_killed_worker_takes_none_of_another_producers_tasks_with_it(
    site: Site, store: SyncStore, tmp_path: Path
) -> None:
    """From whatever list it took them: they are tasks of the store by then, and another worker completes them once."""
    marks = tmp_path / "marks"
    with site.worker(name="one", concurrency=2) as first:
        ids = send_by_celery(site, (6, 9), seconds=600, later=0.5, marks=str(marks))
        for task_id in ids:
            wait_for("it is adopted", lambda: store.run(steps.task(task_id)))  # noqa: B023
            wait_for("it runs", lambda: in_step(store, task_id))  # noqa: B023
        with site.worker(name="two"):
            os.kill(first.pid, signal.SIGKILL)
            tasks = [settled(store, task_id, within=20) for task_id in ids]

    assert [(task.state, task.worker) for task in tasks] == [(State.COMPLETED, "two@test")] * 2
    assert [marks.read_text().count(f"end {task_id}") for task_id in ids] == [1, 1]
    assert not site.redis.client.exists(*(broker_list("gpu_medium", step) for step in (6, 9)))


def test_a_worker_reports_its_processes_and_machine(site: Site, store: SyncStore) -> None:
    """TS-058, TS-077: memory by process, and the load of the machine that runs the tasks."""
    with site.worker(concurrency=2):
        (worker,) = queue_seen(store).workers

    assert worker.about["memory_bytes"][str(worker.about["pid"])] > 1_000_000
    assert worker.about["concurrency"] == 2
    assert {"host", "cpu_percent", "memory_percent", "gpu_utilization", "gpu_memory_bytes", "running", "phase"} <= set(
        worker.about
    )


def test_nothing_unfinished_is_left_behind(site: Site, store: SyncStore) -> None:
    """The scratch folder of an attempt is removed however the attempt ended."""
    ids = [submitted(store), submitted(store, fail="ValueError"), submitted(store, die=True)]
    with site.worker():
        for task_id in ids:
            settled(store, task_id, within=40)
        wait_for("the scratch folder is empty", lambda: not list((site.folder / "scratch").iterdir()))


def test_a_record_that_is_broken_does_not_end_the_worker(site: Site, store: SyncStore) -> None:
    """Whatever lies under a task's key, the worker drops that message and takes the next."""
    broken = submitted(store)
    site.redis.client.delete(key("task", broken))
    site.redis.client.set(key("task", broken), "not a hash")
    with site.worker() as process:
        assert settled(store, submitted(store, "whole")).state is State.COMPLETED
        assert process.poll() is None


def test_a_redis_that_hangs_while_a_task_is_claimed_costs_nothing(site: Site, store: SyncStore) -> None:
    """NS-010: a claim that gets no answer ends neither the worker nor the task; both go on when Redis does."""
    with site.worker() as process:
        wait_for("the consumer waits", lambda: _blocked_pop(site))
        task_id = submitted(store)
        assert site.redis.process is not None
        site.redis.process.send_signal(signal.SIGSTOP)
        log = site.folder / "worker.log"
        wait_for("the worker notices", lambda: "did not answer" in log.read_text(), within=20)
        site.redis.process.send_signal(signal.SIGCONT)
        assert settled(store, task_id, within=30).state is State.COMPLETED
        assert process.poll() is None


def _blocked_pop(site: Site) -> bool:
    return any(client["cmd"] == "brpop" for client in site.redis.client.client_list())


def test_a_silent_engine_is_stopped_as_well(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """TS-047, PI-015: SIGTERM itself raises SoftTimeLimitExceeded, again and again, in an engine that reports nothing."""
    marks = tmp_path / "marks"
    with site.worker():
        for number in ("first", "second"):  # in the same process
            task_id = submitted(store, number, silent=600, marks=str(marks))
            wait_for("it runs", lambda: marks.exists() and f"start {task_id}" in marks.read_text())  # noqa: B023
            store.run(steps.cancel(task_id))
            wait_for("its engine cleans up", lambda: f"stop {task_id}" in marks.read_text())  # noqa: B023
            wait_for("its place is free", lambda: queue_seen(store).running == 0)

    pids = {line.split()[3] for line in marks.read_text().splitlines() if line.startswith("start")}
    assert len(pids) == 1


def test_a_copy_of_a_message_disturbs_nothing(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """A worker that gets a second message of a task that it runs drops it, and the first attempt goes on."""
    marks = tmp_path / "marks"
    task_id = submitted(store, seconds=3, marks=str(marks))
    (message,) = site.redis.client.lrange(LIST, 0, -1)
    with site.worker(concurrency=2):
        wait_for("it runs", lambda: in_step(store, task_id))
        site.redis.client.lpush(LIST, message)
        wait_for("the copy is dropped", lambda: "message_dropped" in (site.folder / "worker.log").read_text())
        task = settled(store, task_id)

    assert (task.state, marks.read_text().count("start")) == (State.COMPLETED, 1)


def test_a_cut_connection_starts_nothing_twice(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """kombu delivers again what runs here after a reconnect: that is dropped, and nothing is claimed beyond the places."""
    marks = tmp_path / "marks"
    first = submitted(store, seconds=4, marks=str(marks))
    with site.worker(concurrency=2):
        wait_for("it runs", lambda: in_step(store, first))
        (consumer,) = [client for client in site.redis.client.client_list() if client["cmd"] == "brpop"]
        site.redis.client.client_kill(consumer["addr"])
        others = [submitted(store, seconds=1, marks=str(marks)) for _ in range(3)]
        most = 0
        while not record(store, first).finished_ms:
            most = max(most, queue_seen(store).running)
        for task_id in (first, *others):
            assert settled(store, task_id, within=20).state is State.COMPLETED

    assert marks.read_text().count("start") == 4
    assert most == 2


def test_an_outage_shorter_than_a_lease_costs_nobody(site: Site, store: SyncStore) -> None:
    """Redis away for 6 seconds: the leases run out meanwhile, and still no worker is taken for lost."""
    task_id = submitted(store, seconds=12)
    with site.worker():
        wait_for("it runs", lambda: in_step(store, task_id))
        assert site.redis.process is not None
        site.redis.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        wait_for("six seconds pass", lambda: time.monotonic() - began > 6, within=8)
        site.redis.process.send_signal(signal.SIGCONT)
        assert settled(store, task_id, within=30).state is State.COMPLETED

    assert site.redis.client.hget(key("counters"), "lost_workers") is None


def test_another_producers_late_message_is_not_run(site: Site, store: SyncStore) -> None:
    """A message that has expired, by its producer's own wish, is dropped as Celery does; one with a shadow is run."""
    producer = Celery("old", broker=site.redis.url, set_as_current=False)
    producer.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS)}
    with site.worker():
        producer.send_task("generate_image", task_id="too-late", queue="gpu_medium", expires=-60)
        producer.send_task("generate_image", task_id="in-time", queue="gpu_medium", expires=600)
        producer.send_task("generate_image", task_id="shadowed", queue="gpu_medium", shadow="nice name")
        for task_id in ("in-time", "shadowed"):
            wait_for("it is adopted", lambda: store.run(steps.task(task_id)))  # noqa: B023
            assert settled(store, task_id).state is State.COMPLETED

    assert store.run(steps.task("too-late")) is None
