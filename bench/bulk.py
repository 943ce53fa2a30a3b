"""How long cancelling all of a project's tasks takes, and how long anybody else has to wait for Redis meanwhile.

Another client asks Redis all the while, once a millisecond; its slowest answer is what the bounded steps are for.

    python -m bench.bulk [TASKS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import redis

from bench.lists import fill
from bench.report import table
from tests.support.servers import Redis, Site, free_port
from tests.support.tasks import new_task

TASKS = 100_000


class Bystander(threading.Thread):
    """Asks Redis, again and again, until it is told to stop."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(daemon=True)
        self._client = client
        self.over = threading.Event()
        self.waits: list[float] = []

    def run(self) -> None:
        """Measure."""
        while not self.over.wait(0.001):
            began = time.perf_counter()
            self._client.ping()
            self.waits.append(1000 * (time.perf_counter() - began))


def main(tasks: int = TASKS) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        server = Redis(Path(folder), free_port())
        server.start()
        try:
            with server.client as client, Site(server, Path(folder)).api() as api:
                fill(client, (new_task(project="large", prompt="a fox") for _ in range(tasks)))
                bystander = Bystander(server.client)
                bystander.start()
                began, requests, left = time.perf_counter(), 0, 1
                while left:
                    answer = api.post("/api/v1/projects/large/tasks/cancel", json={}).raise_for_status().json()
                    requests, left = requests + 1, answer["remaining"]
                took = time.perf_counter() - began
                bystander.over.set()
                bystander.join()
                assert api.get("/api/v1/projects/large/tasks?status=cancelled").json()["pagination"]["total"] == tasks
        finally:
            server.stop()
    waits = sorted(bystander.waits)
    p99 = waits[len(waits) * 99 // 100]
    rows = [(tasks, requests, f"{took:.1f}", f"{statistics.median(waits):.1f}", f"{p99:.1f}", f"{waits[-1]:.1f}")]
    head = ("tasks cancelled", "requests", "seconds", "others wait: median ms", "p99 ms", "longest ms")
    sys.stdout.write(table(head, rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
