"""T21 on one machine: `genfleet up` gets SIGKILL at each of its starts, stops and writes, and is started again at once.

Each finds what the one before it has left: its Redis, its API and its workers, which the kernel has just told to end, the
port that they listen on, and tasks in any state. All in the same folder, on the same port, one after the other.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import redis as redis_client

from genfleet.store.client import SyncStore
from genfleet_local.home import Home
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.ledger import verdict
from tests.local.installation import environment, processes_of, write_resource
from tests.support.servers import Redis, free_port
from tests.support.waiting import comes_true

LANES = 2
STEPS = 18
"""Starts, stops and writes of an `up` that runs two tasks; few have more."""
SECONDS = (0.2, 4.0)
"""Of the tasks of each: one that is soon done, and one that a worker is still at when it is killed."""
DIES_WITHIN_S = 25.0
UP_WITHIN_S = 60.0
NEVER = 10**6


@dataclass(slots=True)
class Embedded(Redis):
    """The Redis of an `up`."""

    @property
    def client(self) -> redis_client.Redis:
        """By its socket."""
        return redis_client.Redis(unix_socket_path=str(Home(self.folder).socket))


@dataclass
class Machine:
    """One folder and one port, on which `up` is killed and started."""

    folder: Path
    port: int = field(default_factory=free_port)
    kept: list[str] = field(default_factory=list)
    """Ids of tasks that were accepted."""
    waiting: deque[str] = field(default_factory=deque)
    """Submissions that were not answered yet, to be asked again: how long they take, and their keys."""
    wrongs: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    kills: int = 0

    @property
    def data(self) -> Path:
        """Where everything is."""
        return self.folder / ".genfleet"

    @contextlib.contextmanager
    def up(self, at: int = NEVER, when: str = "before") -> Iterator[subprocess.Popen[bytes]]:
        """An `up` that kills itself there."""
        words = ["up", "--queues", str(self.folder / "queues"), "--port", str(self.port)]
        with (self.folder / "up.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.killed_up", *words],
                env=environment(KILL_AT=str(at), KILL_WHEN=when),
                cwd=self.folder,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def announced(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until it is up, or dead. Whether it is up."""
        (self.data / "client.json").unlink(missing_ok=True)
        began = time.monotonic()
        comes_true(lambda: process.poll() is not None or (self.data / "client.json").exists(), within=UP_WITHIN_S)
        if process.poll() is None:
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self._look(process)
            return True
        if process.returncode != -signal.SIGKILL:
            self.wrongs.append(f"up did not start: {(self.folder / 'up.log').read_text()[-300:]}")
        return False

    def _look(self, process: subprocess.Popen[bytes]) -> None:
        """One of each, and no worker of an earlier fleet."""
        there = [(each, words) for each in processes_of(self.data) if (words := _words(each))]
        if process.poll() is not None:
            return  # killed since, and what it had is ending
        for what in ("-server", "genfleet_service"):
            found = [each.pid for each, words in there if what in words]
            if len(found) != 1:
                self.wrongs.append(f"{len(found)} of {what}: {found}")
        old = [words for _, words in there if "--name celery-redis-worker" in words and f".{process.pid}-" not in words]
        if old:
            self.wrongs.append(f"workers of an earlier fleet: {old}")

    def submit(self) -> None:
        """What was not answered yet. An answer that is lost is asked for again by the next `up`."""
        with contextlib.suppress(httpx.TransportError, OSError, ValueError), self._client() as client:
            while self.waiting:
                seconds = float(self.waiting[0].split()[0])
                body = {"project_id": "p", "task_type": "generate_image", "task_data": {"seconds": seconds}}
                headers = {"Idempotency-Key": self.waiting[0].split()[1]}
                answer = client.post("/api/v1/tasks/submit", json=body, headers=headers)
                if not answer.is_success:
                    return
                self.kept.append(answer.json()["task_id"])
                self.waiting.popleft()

    def _client(self) -> httpx.Client:
        found = json.loads((self.data / "client.json").read_text())
        return httpx.Client(base_url=found["url"], headers={"X-API-Key": found["api_key"]}, timeout=10, trust_env=False)

    def trial(self, at: int, when: str) -> None:
        """One that is killed there, or, if it comes to no such step, when it is idle."""
        self.waiting.extend(f"{seconds} {uuid.uuid4()}" for seconds in SECONDS)
        with self.up(at, when) as process:
            if self.announced(process):
                self.submit()
                comes_true(lambda: process.poll() is not None, within=DIES_WITHIN_S)
        self.kills += 1

    def end(self) -> str:
        """The last one is left alone, and told to stop when all is done. What became of the tasks."""
        with self.up() as process:
            assert self.announced(process), self.wrongs
            self.submit()
            store = SyncStore(f"unix://{Home(self.data).socket}")
            found = verdict(Embedded(self.data, 0), store, self.kept)
            store.close()
            process.send_signal(signal.SIGINT)
            process.wait(30)
        if found.failures or self.waiting:
            self.wrongs.append(f"{found}, {len(self.waiting)} not accepted")
        if left := [_words(each) for each in processes_of(self.data)]:
            self.wrongs.append(f"left over: {left}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            self.wrongs.append("the port is held")
        return str(found)


def _words(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def killed(run: Run) -> Finding:
    """SIGKILL at random steps, side by side in two folders."""
    moments = [(at, when) for at in range(1, STEPS + 1) for when in ("before", "after")]
    left = deque(run.chance.sample(moments, min(run.trials, len(moments))))
    machines = []
    for number in range(min(LANES, run.trials)):
        folder = run.folder / f"machine-{number}"
        folder.mkdir()
        write_resource(folder / "queues")
        machines.append(Machine(folder))

    def work(machine: Machine) -> str:
        while left:
            with contextlib.suppress(IndexError):  # the other machine was faster
                machine.trial(*left.popleft())
                run.tell(f"{len(left)} left; {machine.wrongs}")
        return machine.end()

    with ThreadPoolExecutor(len(machines)) as pool:
        list(pool.map(work, machines))
    wrongs = [wrong for machine in machines for wrong in machine.wrongs]
    for wrong in wrongs:
        run.tell(wrong)
    tasks = sum(len(machine.kept) for machine in machines)
    said = (
        f"{sum(machine.kills for machine in machines)} kills, {tasks} tasks: "
        + (
            "0 lost, 0 ended twice, nothing left over"
            if not wrongs
            else f"{len(wrongs)} wrongs, such as {wrongs[0][:200]}"
        )
        + f"; up again after {max(machine.slowest_s for machine in machines):.1f} s at the latest"
    )
    return Finding(sum(machine.kills for machine in machines), len(wrongs), said)


CAMPAIGNS = [
    Campaign(
        id="T21 up",
        promise="A `genfleet up` that is killed at any start, stop or write is followed by one that goes on: one Redis, one fleet, "
        "the same port, no task lost.",
        theme="fleet",
        ours=killed,
        trials=20,
        short=1,
        fell_short=(
            (
                "A Redis that is slow to end after a SIGKILL of its `up` could have met the next one's on the same file, and a worker "
                "that does not end could have stayed. The next `up` waits until nothing is left of an earlier one, and ends what stays."
            ),
            "A program that was being started at the very moment of the SIGKILL lived on. It ends itself.",
        ),
        no_peer="Nothing of the kind comes with Celery: people start Redis, workers and an API by hand.",
    )
]
