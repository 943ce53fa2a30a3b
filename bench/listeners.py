"""Event streams: 500 listeners on one API process while tasks run, beside a listener that reads its stream by itself.

Two shapes: each listener on a task of its own, and all of them on one. What is measured: from the moment at which an
event is written to its arrival, the memory of the API for each listener, and the connections to Redis. The listeners
for comparison, a few in the same run, each have a connection that blocks on the stream of one task (`XREAD BLOCK`).

    python -m bench.listeners [LISTENERS] [SECONDS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import redis

from bench.report import table
from bench.submit import SERVERS, serving
from genfleet.contract.keys import key
from genfleet.store import chores, steps
from genfleet.store.client import SyncStore
from tests.support.servers import ROOT, Redis, free_port
from tests.support.tasks import running

LISTENERS, SECONDS = 500, 20
EACH = 0.5
"""Events a second of one task where each listener has its own: 250 events and as many deliveries for 500."""
SHARED = 5
"""Where all of them share it: 2,500 deliveries for 500."""
READERS = 20
"""Listeners for comparison, where there are as many tasks."""


class Reader(threading.Thread):
    """A listener that reads the stream of a task by itself."""

    def __init__(self, port: int, task_id: str) -> None:
        super().__init__(daemon=True)
        self._redis = redis.Redis(port=port)
        self._stream = key("events", task_id)
        self.delays: list[float] = []

    def run(self) -> None:
        """Read until the task has ended."""
        last = b"1-0"
        while True:
            told: Any = self._redis.xread({self._stream: last}, block=5000)
            for _, entries in told:
                now = time.time()
                last = entries[-1][0]
                self.delays += [now - int(fields[b"at"]) / 1000 for _, fields in entries]
                if b"state" in entries[-1][1]:
                    return


def api_process(port: int) -> psutil.Process:
    """The process that serves a port."""
    for each in psutil.net_connections("tcp"):
        address: Any = each.laddr
        if each.status == "LISTEN" and address.port == port:
            return psutil.Process(each.pid)
    raise RuntimeError(f"nobody listens on port {port}")


def round_of(folder: Path, listeners: int, tasks: int, rate: float, seconds: int) -> tuple[object, ...]:
    """So many listeners on so many tasks, each of which tells of itself so often."""
    (folder / "redis").mkdir(parents=True)
    server = Redis(folder / "redis", free_port())
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        store = SyncStore(server.url)
        store.run(
            chores.take_upkeep("bench", timedelta(minutes=10))
        )  # nobody renews these leases, and nobody reaps them
        port = stack.enter_context(serving(SERVERS["genfleet"], server, folder))
        leases = [running(store, f"task-{number}") for number in range(tasks)]
        process, client = api_process(port), server.client
        memory, connections = process.memory_info().rss, len(client.client_list())
        listening = subprocess.Popen(
            [sys.executable, "-m", "bench.listen", str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        stack.callback(listening.kill)
        assert listening.stdin
        assert listening.stdout
        listening.stdin.write("\n".join(leases[number % tasks].task_id for number in range(listeners)))
        listening.stdin.close()
        if listening.stdout.readline() != "ready\n":
            raise RuntimeError("the listeners could not connect")
        memory, connections = process.memory_info().rss - memory, len(client.client_list()) - connections
        readers = [Reader(server.port, lease.task_id) for lease in leases[:READERS]]
        for reader in readers:
            reader.start()
        spent = process.cpu_times()
        took = tell(store, [(lease.task_id, lease.token) for lease in leases], rate, seconds)
        used = process.cpu_times()
        answer = json.loads(listening.stdout.read())
        for reader in readers:
            reader.join(10)
    if answer["wrong"]:
        raise RuntimeError(f"{answer['wrong']} listeners did not hear every event once and in order")
    busy = 100 * (used.user + used.system - spent.user - spent.system) / took
    return (
        f"{listeners} on {tasks}", len(answer["delays"]), *delays(answer["delays"]), *delays([delay for reader in readers for delay in reader.delays]),
        f"{memory / listeners / 1024:.0f}", connections, f"{busy:.0f} %",
    )  # fmt: skip


def tell(store: SyncStore, leases: Sequence[tuple[str, int]], rate: float, seconds: int) -> float:
    """Let the tasks say lines, at an even rate, and end. How long that took."""
    began, lines = time.monotonic(), round(rate * seconds)
    for number in range((lines + 1) * len(leases)):
        task_id, token = leases[number % len(leases)]
        said = number // len(leases) + 1
        if said <= lines:
            store.run(steps.log(task_id, token, said, [("info", f"line {said}")]))
        else:
            store.run(steps.complete(task_id, token, b"{}"))
        time.sleep(max(began + (number + 1) / (rate * len(leases)) - time.monotonic(), 0))
    return time.monotonic() - began


def delays(seconds: Sequence[float]) -> tuple[str, str]:
    """Median and 99th percentile, in ms."""
    ordered = sorted(seconds)
    return f"{1000 * statistics.median(ordered):.1f}", f"{1000 * ordered[len(ordered) * 99 // 100]:.1f}"


def main(listeners: int = LISTENERS, seconds: int = SECONDS) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        each = round_of(Path(folder, "each"), listeners, listeners, EACH, seconds)
        shared = round_of(Path(folder, "one"), listeners, 1, SHARED, seconds)
    head = (
        "listeners on tasks", "events heard", "median ms", "p99 ms", "by itself: median ms", "p99 ms",
        "KiB a listener", "connections to Redis more", "CPU of the API",
    )  # fmt: skip
    sys.stdout.write(table(head, [each, shared]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
