"""What metrics cost: submissions and tasks that do nothing, with them and without, side by side; and how many series there are.

Each pair runs within a round, in turns, on a Redis of its own; read the ratios.

    python -m bench.metrics [ROUNDS]
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

import orjson

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
from tests.support.tasks import submitted
from tests.support.waiting import wait_for

ROUNDS = 5
TASKS = 400
WAYS = {"with": "genfleet_workers", "without": "bench.unmeasured"}
QUEUES, TYPES, WORKERS = 50, 20, 200


def submissions(way: str, folder: Path) -> float:
    """A second, through one API."""
    redis = Redis(Path(tempfile.mkdtemp(dir=folder)), free_port())
    redis.start()
    try:
        with serving("genfleet" if way == "with" else "unmeasured", redis, folder) as port:
            measure(port, submission(), 1.0)  # warm
            return measure(port, submission())
    finally:
        redis.stop()


def tasks(way: str, folder: Path) -> float:
    """A second, that do nothing, by one worker with one process."""
    place = Path(tempfile.mkdtemp(dir=folder))
    redis = Redis(place, free_port())
    redis.start()
    site = Site(redis, place)
    try:
        with contextlib.closing(SyncStore(redis.url)) as store, site.worker(module=WAYS[way]):
            submitted(store)
            wait_for("it is warm", lambda: _ended(redis) == 1)
            for _ in range(TASKS):
                submitted(store)
            began, before = time.perf_counter(), _ended(redis)
            wait_for("all are done", lambda: _ended(redis) == TASKS + 1, within=120)
            return (TASKS + 1 - before) / (time.perf_counter() - began)
    finally:
        redis.stop()


def _ended(redis: Redis) -> int:
    return int(redis.client.hget("genfleet:counters", "completed_tasks") or 0)


def crowd() -> tuple[int, float, float]:
    """Series, KiB and milliseconds of one scrape where all labels have every value: the most that there can be."""
    about = {"phase": "ready", "concurrency": 4, "memory_bytes": {"1": 10**9, "2": 10**9}}
    about |= {"gpu_utilization": [50.0], "gpu_memory_bytes": [[10**9, 8 * 10**10]]}
    workers = [WorkerSeen(f"w{number}", about, 1, 0, draining=False) for number in range(WORKERS)]
    shared = WORKERS // QUEUES
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
    SERVERS["unmeasured"] = ("bench.unmeasured", "genfleet_service")
    acts = {"submissions a second": submissions, "tasks a second that do nothing": tasks}
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in acts}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name, act in acts.items():
                order = ("with", "without") if number % 2 else ("without", "with")
                speeds = {way: act(way, Path(folder)) for way in order}
                seen[name].append((speeds["with"], speeds["without"]))
                sys.stderr.write(f"round {number + 1} of {rounds}: {name}: {orjson.dumps(speeds).decode()}\n")
    rows = [
        (
            name,
            f"{statistics.median(pair[0] for pair in pairs):.0f}",
            f"{statistics.median(pair[1] for pair in pairs):.0f}",
            f"{statistics.median(with_ / without for with_, without in pairs):.3f}",
        )
        for name, pairs in seen.items()
    ]
    print(table(("", "with metrics", "without", "ratio"), rows))
    series, kib, ms = crowd()
    print(f"{QUEUES} queues, {TYPES} types, {WORKERS} workers: {series:,} series, {kib:.0f} KiB, {ms:.0f} ms to write")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
