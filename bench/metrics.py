"""What metrics cost: submissions and tasks that do nothing, with them and without, side by side; and how many series there are.

Each pair runs side by side, in turns, on a Redis of its own; read the ratios.

    python -m bench.metrics [ROUNDS]
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from bench.report import table
from bench.submit import SERVERS, measure, serving, submission
from genfleet.contract import measures
from genfleet.contract.measures import Cause, Measure, Outcome
from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from genfleet.store.measures import Counts, RedisUse, Times
from genfleet.store.records import QueueSeen, Survey, WorkerSeen
from genfleet_service.metrics import exposition_of
from tests.support.servers import Redis, Site, free_port
from tests.support.tasks import record, submitted
from tests.support.waiting import wait_for

ROUNDS = 5
BATCH, PAIRS = 100, 40
APIS = {"with": SERVERS["genfleet"], "without": ("bench.unmeasured", "genfleet_service")}
WORKERS = {"with": "genfleet_workers", "without": "bench.unmeasured"}
QUEUES, TYPES, CROWD = 50, 20, 200


def submissions(way: str, folder: Path) -> float:
    """A second, through one API."""
    redis = Redis(Path(tempfile.mkdtemp(dir=folder)), free_port())
    redis.start()
    try:
        with serving(APIS[way], redis, folder) as port:
            measure(port, submission(), 1.0)  # warm
            return measure(port, submission())
    finally:
        redis.stop()


@dataclass(frozen=True)
class Batch:
    """What some tasks that do nothing cost, one after the other in one process."""

    per_second: float
    cpu_ms: float
    """Of processor time for each, by the worker with all its processes and by Redis."""


@dataclass(frozen=True)
class Place:
    """A Redis and a worker with one process."""

    store: SyncStore
    programs: tuple[psutil.Process, ...]

    def batch(self, number: int) -> Batch:
        """Have so many tasks done."""
        before = self._cpu_s()
        ids = [submitted(self.store) for _ in range(number)]
        wait_for("all are done", lambda: record(self.store, ids[-1]).finished_ms, within=60)
        ends = [record(self.store, each) for each in ids]
        spent = max(each.finished_ms or 0 for each in ends) - min(each.started_ms or 0 for each in ends)
        return Batch(1000 * number / spent, 1000 * (self._cpu_s() - before) / number)

    def _cpu_s(self) -> float:
        trees = [process for program in self.programs for process in (program, *program.children(recursive=True))]
        return sum(times.user + times.system for times in (process.cpu_times() for process in trees))


@contextlib.contextmanager
def place(way: str, folder: Path) -> Iterator[Place]:
    """It is warm."""
    where = Path(tempfile.mkdtemp(dir=folder))
    redis = Redis(where, free_port())
    redis.start()
    try:
        with (
            contextlib.closing(SyncStore(redis.url)) as store,
            Site(redis, where).worker(module=WORKERS[way]) as worker,
        ):
            assert redis.process is not None
            there = Place(store, (psutil.Process(worker.pid), psutil.Process(redis.process.pid)))
            there.batch(BATCH)
            yield there
    finally:
        redis.stop()


def tasks(folder: Path) -> Iterator[tuple[Batch, Batch]]:
    """With and without, again and again: both are there all the time, and take turns every two seconds or so.

    So both meet what the machine does meanwhile, which is many times the difference.
    """
    with place("with", folder) as with_, place("without", folder) as without:
        for number in range(PAIRS):
            if number % 2:
                first = with_.batch(BATCH)
                yield first, without.batch(BATCH)
            else:
                first = without.batch(BATCH)
                yield with_.batch(BATCH), first


def crowd() -> tuple[int, float, float]:
    """Series, KiB and milliseconds of one scrape where all labels have every value: the most that there can be."""
    about = {"phase": "ready", "concurrency": 4, "memory_bytes": {"1": 10**9, "2": 10**9}}
    about |= {"gpu_utilization": [50.0], "gpu_memory_bytes": [[10**9, 8 * 10**10]]}
    workers = [WorkerSeen(f"w{number}", about, 1, 0, draining=False) for number in range(CROWD)]
    shared = CROWD // QUEUES
    queues = tuple(
        QueueSeen(
            f"queue_{number}", waiting=6, running=4, scheduled=1, due=0, oldest_wait_ms=1000, service_ms=1000,
            workers=tuple(workers[number * shared : (number + 1) * shared]), fleet=None, paused=None, by_priority=(1, 2, 3),
        )
        for number in range(QUEUES)
    )  # fmt: skip
    kinds = [(f"queue_{number % QUEUES}", f"type_{number}") for number in range(TYPES)]
    words = {
        measures.ENDED: [State.COMPLETED, State.FAILED, State.CANCELLED],
        measures.ATTEMPTS: [*Outcome],
        measures.FAILURES: [*Cause],
    }
    numbers: dict[Measure, dict[tuple[str, ...], int]] = {
        each: dict.fromkeys(kinds, 1) for each in (measures.SUBMITTED, measures.STALE)
    }
    for each, values in words.items():
        numbers[each] = {(*kind, str(value)): 1 for kind, value in itertools.product(kinds, values)}
    times = Times((1,) * (len(measures.SECONDS) + 1), 1.0)
    counted = Counts(
        numbers, {each: dict.fromkeys(kinds, times) for each in (measures.WAIT, measures.START, measures.RUN)}, 0
    )
    survey = Survey(now_ms=0, queues=queues, quarantined=0, dead_letters=0)
    began = time.perf_counter()
    text = exposition_of(survey, counted, RedisUse(0, 0, 0))
    took = time.perf_counter() - began
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return series, len(text) / 1024, 1000 * took


def main(rounds: int = ROUNDS) -> None:
    """Measure and print."""
    speeds: list[tuple[float, float]] = []
    batches: list[tuple[Batch, Batch]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            order = ("with", "without") if number % 2 else ("without", "with")
            speed = {way: submissions(way, Path(folder)) for way in order}
            speeds.append((speed["with"], speed["without"]))
            sys.stderr.write(f"round {number + 1} of {rounds}: submissions a second: {orjson.dumps(speed).decode()}\n")
        for pair in tasks(Path(folder)):
            batches.append(pair)
            sys.stderr.write(f"pair {len(batches)} of {PAIRS}: tasks: {pair}\n")
    pairs = {
        "submissions a second": speeds,
        "tasks a second that do nothing": [(with_.per_second, without.per_second) for with_, without in batches],
        "ms of processor for each of these": [(with_.cpu_ms, without.cpu_ms) for with_, without in batches],
    }
    print(
        table(("", "with metrics", "without", "ratio", "half of the ratios"), [_row(*each) for each in pairs.items()])
    )
    series, kib, ms = crowd()
    print(f"{QUEUES} queues, {TYPES} types, {CROWD} workers: {series:,} series, {kib:.0f} KiB, {ms:.0f} ms to write")


def _row(name: str, pairs: Sequence[tuple[float, float]]) -> Sequence[object]:
    """Medians. Half of the ratios are between the quartiles."""
    with_, without = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratios = [one / other for one, other in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return name, f"{with_:.4g}", f"{without:.4g}", f"{middle:.3f}", f"{low:.3f} to {high:.3f}"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
