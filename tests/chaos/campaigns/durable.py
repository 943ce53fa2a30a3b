"""T18 and T20: what was said of a task outlives everybody who heard it.

Cancellations, delays and waits before a retry are in Redis alone; no worker has to remember them. So all workers are killed, and
the API and Redis with them, again and again.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import psutil

from genfleet.contract.states import State
from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.ledger import ended, verdict
from tests.chaos.nursery import STOCK, Program, nursery
from tests.chaos.stock import Stock
from tests.support.servers import Redis, free_port
from tests.support.tasks import new_task, record, running, submitted
from tests.support.waiting import comes_true, wait_for

WORKERS, CONCURRENCY = 2, 2
SLOTS = WORKERS * CONCURRENCY


@dataclass(slots=True)
class Everything:
    """All that runs beside Redis, to be killed and started again."""

    redis: Redis
    start_worker: Callable[[str], Program]
    start_api: Callable[[], Program] | None = None
    workers: list[Program] = field(default_factory=list)
    api: Program | None = None
    _started: int = 0

    def start(self) -> None:
        """Whoever is not there."""
        if self.start_api and self.api is None:
            self.api = self.start_api()
        while len(self.workers) < WORKERS:
            self._started += 1
            self.workers.append(self.start_worker(f"worker-{self._started}"))

    def kill(self, *, with_redis: bool) -> None:
        """All workers at once; also the API and Redis, which is back at once."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()
        if not with_redis:
            return
        if self.api:
            self.api.kill()
            self.api = None
        self.redis.stop(signal.SIGKILL)
        self.redis.start()


def _ours(run: Run, redis: Redis) -> Everything:
    site = run.site(redis)
    programs = run.stack.enter_context(nursery())
    port = str(free_port())
    engines = {"GENFLEET_ENGINES": "tests.support.engines:engines", "GENFLEET_TASKS_PER_PROCESS": "1000"}

    def worker(name: str) -> Program:
        arguments = ("--queue", "gpu_medium", "--name", f"{name}@test", "--concurrency", str(CONCURRENCY))
        log = run.folder / "workers.log"
        return programs.start("genfleet_workers", *arguments, log=log, environment=site.environment(**engines))

    def api() -> Program:
        log = run.folder / "api.log"
        return programs.start("genfleet_service", log=log, environment=site.environment(PORT=port))

    return Everything(redis, worker, api)


def _theirs(run: Run, stock: Stock) -> Everything:
    programs = run.stack.enter_context(nursery(STOCK))

    def worker(name: str) -> Program:
        arguments = (
            "--app",
            "tests.chaos.stock",
            "worker",
            "--hostname",
            f"{name}@test",
            "--concurrency",
            str(CONCURRENCY),
        )
        return programs.start("celery", *arguments, log=run.folder / "stock.log", environment=stock.environment())

    return Everything(stock.redis, worker)


# -- T18: cancellations --------------------------------------------------------------------------------------------------

QUEUED = 6
"""Tasks that wait when they are cancelled, beside those that run."""
LONG_S, PEER_LONG_S = 60.0, 5.0
"""How long tasks take that are to be stopped. With the peer they are run again, and hold up the others."""
REDIS_EVERY = 10
"""Redis and the API go with the workers in each so many restarts. In as many, nobody is killed, and what runs has to stop."""
STOP_WITHIN_S = 30.0


def cancelled(run: Run) -> Finding:
    """Cancel what waits and what runs, restart everything, and see what starts."""
    redis = run.redis()
    store = run.store(redis)
    fleet = _ours(run, redis)
    fleet.start()
    marks = run.folder / "marks"
    marks.touch()
    everything: list[str] = []
    stopped: list[float] = []
    wrong: set[str] = set()

    def marked(what: str, since: int = 0) -> set[str]:
        """Tasks of which an engine noted this, in lines after so many."""
        words = [line.split() for line in marks.read_text().splitlines()[since:]]
        return {task_id for said, task_id, *_ in words if said == what}

    for number in run.each_trial():
        running = [submitted(store, seconds=LONG_S, marks=str(marks)) for _ in range(SLOTS)]
        wait_for("they run", lambda ids=running: marked("start") >= set(ids), within=90)  # type: ignore[misc]
        queued = [submitted(store, marks=str(marks)) for _ in range(QUEUED)]
        everything += [*queued, *running]
        answers = {task_id: store.run(steps.cancel(task_id)) for task_id in [*queued, *running]}
        began, seen = time.monotonic(), len(marks.read_text().splitlines())
        wrong |= {task_id for task_id, answer in answers.items() if answer is None or answer.at_ms is None}
        if number % REDIS_EVERY == 1:
            if comes_true(lambda ids=running: marked("stop") >= set(ids), within=STOP_WITHIN_S):  # type: ignore[misc]
                stopped.append(time.monotonic() - began)
        else:
            time.sleep(run.chance.uniform(0, 0.3))
            fleet.kill(with_redis=number % REDIS_EVERY == 0)
            fleet.start()
        last = submitted(store, priority=3)
        wait_for("one that came later is done", lambda last=last: ended(store, last), within=90)  # type: ignore[misc]
        wrong |= marked("start", seen) & set(answers)
    wrong |= {task_id for task_id in everything if record(store, task_id).state is not State.CANCELLED}
    restless = len(range(1, run.trials, REDIS_EVERY)) - len(stopped)
    said = (
        f"{len(everything):,} tasks cancelled while they waited or ran, {run.trials} rounds of restarts, {len(wrong)} started "
        f"afterwards; where nobody was killed, what ran stopped within {max(stopped, default=0):.1f} s"
    )
    return Finding(len(everything), len(wrong) + restless, said)


def revoked(run: Run) -> Finding:
    """The same, by `revoke(terminate=True)`."""
    redis = run.redis()
    stock = Stock(redis, run.folder)
    app = stock.app()
    fleet = _theirs(run, stock)
    fleet.start()
    count = started = 0
    stands = ""
    for number in run.each_trial():
        running = [stock.submit(PEER_LONG_S, app=app) for _ in range(SLOTS)]
        wait_for("they run", lambda ids=running: len(stock.running(ids)) == SLOTS, within=90)  # type: ignore[misc]
        queued = [stock.submit(app=app) for _ in range(QUEUED)]
        app.control.revoke([*queued, *running], terminate=True)
        time.sleep(run.chance.uniform(0, 0.3))
        fleet.kill(with_redis=False)
        fleet.start()
        last = stock.submit(app=app)
        done = comes_true(lambda last=last: stock.notes("end", last), within=90)  # type: ignore[misc]
        count += len(queued) + len(running)
        started += sum(bool(stock.notes("start", task_id)) for task_id in queued)
        started += sum(len(stock.notes("start", task_id)) > 1 for task_id in running)
        if not done:
            stands = f"; after round {number + 1} its workers took nothing new for 90 s"
            break
    return Finding(count, started + bool(stands), f"{started} of {count} started afterwards{stands}")


# -- T20: what waits for its time ----------------------------------------------------------------------------------------

SOONEST_S = 12
"""By then all are submitted, and everything has been killed once."""
A_SECOND = 100
"""So many are due."""
RETRIED = 0.1
"""Of all, so many wait for their second attempt."""
BEHIND_S = 30.0
"""How long after the last is due its end is waited for, of the peer."""


def delayed(run: Run) -> Finding:
    """Kill everything while they wait and while they run, and look at when each started."""
    redis = run.redis()
    store = run.store(redis)
    fleet = _ours(run, redis)
    span = max(2.0, run.trials / A_SECOND)
    soonest = SOONEST_S if span > SOONEST_S else 2.0

    def when() -> timedelta:
        return timedelta(seconds=soonest + run.chance.uniform(0, span))

    due = dict(_retried(store, when()) for _ in range(round(run.trials * RETRIED)))  # while no worker can take them
    fleet.start()
    first = submitted(store)
    wait_for("the workers are up", lambda: ended(store, first), within=90)
    light = _memory(fleet.workers[0])
    due |= dict(_delayed(store, when()) for _ in range(run.trials - len(due)))
    heavy = _memory(fleet.workers[0])
    for pause in (0.0, soonest / 2 + span / 3, span / 3):
        time.sleep(pause)
        fleet.kill(with_redis=True)
        fleet.start()
    found = verdict(redis, store, [first, *due], within=120 + span)
    late = sorted(started - due[task_id] for task_id, started in _first_starts(store, list(due)))
    early = sum(each < 0 for each in late)
    said = (
        f"{found}, {early} early; started {late[len(late) // 2]:.1f} s after their time (median), p99 "
        f"{late[int(0.99 * (len(late) - 1))]:.1f} s; memory of a worker {light:.0f} MiB before, {heavy:.0f} MiB while they waited"
    )
    return Finding(len(due), found.failures + early, said)


def _delayed(store: SyncStore, delay: timedelta) -> tuple[str, float]:
    """A task that is submitted for later: its id, and when."""
    task = replace(new_task(), run_at=delay)
    made = store.run(steps.submit(task))
    return task.id, made.created_ms / 1000 + delay.total_seconds()


def _retried(store: SyncStore, delay: timedelta) -> tuple[str, float]:
    """A task whose first attempt has failed: its id, and when the next one is due. The table's 60 s would take too long."""
    lease = running(store)
    store.run(steps.retry_later(lease.task_id, lease.token, delay, "the first attempt failed"))
    due_ms = record(store, lease.task_id).due_ms
    assert due_ms is not None
    return lease.task_id, due_ms / 1000


def _first_starts(store: SyncStore, ids: list[str]) -> Iterator[tuple[str, float]]:
    """When each was started after its wait, whatever became of that attempt."""
    for first in range(0, len(ids), 100):
        some = ids[first : first + 100]
        told_of_each = store.run(steps.events([(each, 0) for each in some]))
        for task_id, told in zip(some, told_of_each, strict=True):
            waited = max((e.number for e in told.events if "retry" in e.fields), default=0)
            starts = [e.at_ms for e in told.events if e.number > waited and e.fields.get("state") == "processing"]
            if starts:
                yield task_id, starts[0] / 1000


def _memory(program: Program) -> float:
    """Of a worker and its processes, in MiB."""
    worker = psutil.Process(program.pid)
    return sum(each.memory_info().rss for each in [worker, *worker.children()]) / 2**20


def counted_down(run: Run) -> Finding:
    """The same, by `countdown`."""
    redis = run.redis()
    stock = Stock(redis, run.folder)
    app = stock.app()
    fleet = _theirs(run, stock)
    fleet.start()
    first = stock.submit(app=app)
    wait_for("the workers are up", lambda: stock.notes("end", first), within=90)
    light = _memory(fleet.workers[0])
    span = run.trials / A_SECOND
    ids = [stock.submit(app=app, countdown=SOONEST_S + run.chance.uniform(0, span)) for _ in range(run.trials)]
    wait_for("the workers have taken them", lambda: redis.client.llen("celery") == 0, within=90)
    heavy = _memory(fleet.workers[0])
    fleet.kill(with_redis=True)
    fleet.start()
    away = list(ids)

    def all_ended() -> bool:
        away[:] = [task_id for task_id in away if not stock.notes("end", task_id)]
        return not away

    comes_true(all_ended, within=SOONEST_S + span + BEHIND_S)
    said = (
        f"{len(away)} of {len(ids)} not done {BEHIND_S:.0f} s after the last was due (held back for an hour); "
        f"memory of a worker {light:.0f} MiB before, {heavy:.0f} MiB with half of them"
    )
    return Finding(len(ids), len(away), said)


CAMPAIGNS = [
    Campaign(
        id="T18",
        promise="What was cancelled never starts again, whoever is restarted; what ran stops.",
        theme="durable",
        ours=cancelled,
        trials=100,
        short=3,
        peer=revoked,
        peer_trials=10,
        minutes=5,
    ),
    Campaign(
        id="T20",
        promise="Delayed tasks, and those that wait for another attempt, start after their time and never before, though all workers, the API and Redis are killed meanwhile; they cost no worker any memory.",
        theme="durable",
        ours=delayed,
        trials=10_000,
        short=60,
        peer=counted_down,
        peer_trials=1_000,
        minutes=5,
    ),
]
