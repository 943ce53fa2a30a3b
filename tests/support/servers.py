"""The real parts that tests run against: a Redis, the API and workers, each a process of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import redis

from genfleet.store import capacity
from genfleet.store.client import SyncStore
from genfleet_local.redis_server import find
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
KEY = "test-key"


PORTS = 4_000
"""For each of the processes that tests are spread over. All below those that systems hand out for outgoing connections."""
_next_port = itertools.count(random.SystemRandom().randrange(PORTS))


def free_port() -> int:
    """A port of loopback that nobody has at the moment, and that no other of our test processes is given."""
    first = 12_000 + PORTS * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for number in itertools.islice(_next_port, PORTS):
        port = first + number % PORTS
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no port is free from {first} to {first + PORTS}")


@dataclass(slots=True)
class Redis:
    """A server with an append-only file, that can be stopped and started again."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    options: Sequence[str] = ()
    """More of its command line; the last of two wins: ("--appendfsync", "always")."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """For looking at what is stored."""
        return redis.Redis(port=self.port)

    def start(self, *, within: float = 10.0) -> None:
        """Start it, and wait until it answers; it reads its file before that."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        command: list[str | Path] = [find(), *options, "--appendonly", "yes", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for("Redis answers", self._answers, within=within)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.client as client:
            return bool(client.ping())
        return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None


@contextlib.contextmanager
def program(
    module: str, *arguments: str, log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """One of our programs, in a session of its own; nothing of it is left afterwards."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**clean_environment(), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def clean_environment() -> dict[str, str]:
    """Ours, without what would point programs elsewhere."""
    ours = ("GENFLEET_", "REDIS_URL", "CELERY_", "API_KEY", "PORT", "TASK_SERVICE_URL", "OTEL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONPATH": str(ROOT)}


@dataclass(frozen=True, slots=True)
class Site:
    """One installation: a Redis, and where files go. Starts API and workers for it."""

    redis: Redis
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        """What its programs are told."""
        return {
            "REDIS_URL": self.redis.url,
            "API_KEY": KEY,
            "GENFLEET_MEDIA_DIR": str(self.folder / "media"),
            "GENFLEET_SCRATCH_DIR": str(self.folder / "scratch"),
            **more,
        }

    @contextlib.contextmanager
    def api(self, **more: str) -> Iterator[httpx.Client]:
        """A running API, as a client with its key."""
        with self.api_process(**more) as (client, _):
            yield client

    @contextlib.contextmanager
    def api_process(self, **more: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
        """The same with its process, for tests that end it, and start it again on the same PORT."""
        environment = {"PORT": str(free_port()), **self.environment(**more)}
        log = self.folder / "api.log"
        url = f"http://127.0.0.1:{environment['PORT']}"
        with (
            program("genfleet_service", log=log, environment=environment) as process,
            httpx.Client(base_url=url, headers={"X-API-Key": KEY}, timeout=20, trust_env=False) as client,
        ):
            wait_for(f"the API answers (log: {log})", lambda: _is_up(client, process), within=30)
            yield client, process

    @contextlib.contextmanager
    def worker(
        self,
        queue: str = "gpu_medium",
        name: str = "worker",
        concurrency: int = 1,
        module: str = "genfleet_workers",
        **more: str,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running worker with the engines of `tests/support/engines.py`, once it beats."""
        environment = self.environment(**{"GENFLEET_ENGINES": "tests.support.engines:engines"} | more)
        arguments = ("--queue", queue, "--name", f"{name}@test", "--concurrency", str(concurrency))
        log = self.folder / f"{name}.log"
        store = SyncStore(self.redis.url)
        with program(module, *arguments, log=log, environment=environment) as process:
            wait_for(f"worker {name} beats (log: {log})", lambda: _beats(store, queue, name, process), within=30)
            yield process
        store.close()


def _is_up(client: httpx.Client, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the API ended at its start"
    with contextlib.suppress(httpx.TransportError):
        return client.get("/health").status_code == httpx.codes.OK
    return False


def _beats(store: SyncStore, queue: str, name: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"worker {name} ended at its start"
    (seen,) = store.run(capacity.observe([queue])).queues
    return any(worker.id == f"{name}@test" for worker in seen.workers)
