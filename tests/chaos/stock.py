"""Stock Celery, as its own documentation advises it for work that must not be lost.

Late acknowledgement, rejected on the loss of a worker, one message at a time. All else is as it comes. It runs as processes
of its own, from this module:

    celery -A tests.chaos.stock worker
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis as redis_client
from celery import Celery

from tests.support.servers import Redis, clean_environment
from tests.support.waiting import wait_for

BROKER = os.environ.get("STOCK_BROKER", "redis://127.0.0.1:6379/0")
NOTES = os.environ.get("STOCK_NOTES", BROKER)
"""Where tasks note what they do, by a way that has no fault: never through the proxy of a campaign."""

app = Celery("stock", broker=BROKER, set_as_current=False)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    include=["tests.chaos.harm"],
    worker_hijack_root_logger=False,
)


def note(what: str, task_id: str) -> None:
    """What a task does, and when, and in which process."""
    with redis_client.Redis.from_url(NOTES, db=5) as notes:
        notes.rpush(f"{what}:{task_id}", f"{time.time()}:{os.getpid()}")


@app.task(name="stock.work", bind=True)  # type: ignore[untyped-decorator]  # Celery ships no types
def work(self: Any, seconds: float = 0.0) -> None:
    """Note the start, work, note the end."""
    note("start", self.request.id)
    time.sleep(seconds)
    note("end", self.request.id)


@app.task(name="stock.nothing")  # type: ignore[untyped-decorator]
def nothing(_said: str) -> None:
    """Do nothing with what it was told."""


@dataclass(frozen=True, slots=True)
class Stock:
    """An installation of stock Celery, and what its tasks noted."""

    redis: Redis
    folder: Path
    broker: str = ""
    """Where its workers and clients find the broker: the Redis itself, or a proxy before it."""

    def environment(self, **more: str) -> dict[str, str]:
        """What its programs are told."""
        return {"STOCK_BROKER": self.broker or self.redis.url, "STOCK_NOTES": self.redis.url, **more}

    def app(self) -> Celery:
        """The same app for this process, to submit with."""
        made = Celery("stock-client", broker=self.broker or self.redis.url, set_as_current=False)
        made.conf.task_ignore_result = True
        return made

    def submit(
        self, seconds: float = 0.0, *, task_id: str = "", app: Celery | None = None, countdown: float | None = None
    ) -> str:
        """The id of a task in its queue."""
        task_id = task_id or str(uuid.uuid4())
        (app or self.app()).send_task("stock.work", args=(seconds,), task_id=task_id, countdown=countdown)
        return task_id

    def harm(self, act: str) -> str:
        """The id of a task that harms the process it runs in."""
        task_id = str(uuid.uuid4())
        self.app().send_task("stock.harm", args=(act,), task_id=task_id)
        return task_id

    @contextmanager
    def worker(self, name: str = "stock", concurrency: int = 1, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """A running worker, once it is ready; nothing of it is left afterwards."""
        log = self.folder / f"{name}.log"
        command = [sys.executable, "-m", "celery", "--app", "tests.chaos.stock", "worker", "--loglevel", "INFO"]
        command += ["--hostname", f"{name}@test", "--concurrency", str(concurrency)]
        environment = clean_environment() | self.environment(**more)
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            ready = log.stat().st_size
            wait_for(
                f"the stock worker is ready (log: {log})", lambda: _said(log, ready, " ready.", process), within=30
            )
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def pids(self, task_id: str) -> list[int]:
        """The processes that started a task, in order."""
        with redis_client.Redis.from_url(self.redis.url, db=5) as notes:
            return [int(note.split(b":")[1]) for note in notes.lrange(f"start:{task_id}", 0, -1)]

    def notes(self, what: str, task_id: str) -> list[float]:
        """When a task noted its starts (`start`) or its ends (`end`), in seconds since the epoch."""
        with redis_client.Redis.from_url(self.redis.url, db=5) as notes:
            return [float(note.split(b":")[0]) for note in notes.lrange(f"{what}:{task_id}", 0, -1)]

    def running(self, ids: Sequence[str]) -> list[tuple[str, int]]:
        """Those of these tasks that have started and not ended, with the processes that run them."""
        with redis_client.Redis.from_url(self.redis.url, db=5) as notes:
            ask = notes.pipeline(transaction=False)
            for task_id in ids:
                ask.lindex(f"start:{task_id}", -1)
                ask.exists(f"end:{task_id}")
            answers = ask.execute()
        started = zip(ids, answers[::2], answers[1::2], strict=True)
        return [(task_id, int(note.split(b":")[1])) for task_id, note, ended in started if note and not ended]


def _said(log: Path, since: int, what: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"the stock worker ended at its start: {log}"
    with log.open("rb") as said:
        said.seek(since)
        return what.encode() in said.read()
