"""A whole installation under a mixed load, and a Prometheus that watches it: what dashboards are tried on.

Everything is real but two things that no test machine has: the nodes of a cluster (`api_pods.py` stands in for its kubelet), and a
GPU, whose worker beats as one with a card does.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import yaml

from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.support import tasks
from tests.support.operators import Place, place, queue
from tests.support.receivers import receiving, status
from tests.support.servers import ROOT, Redis, Site, free_port
from tests.support.waiting import every, wait_for

PROMETHEUS = shutil.which("prometheus") or ""
RULES = ROOT / "deploy" / "monitoring" / "rules.yaml"
INSTALLATION = "default"
"""The namespace of everything here."""
ROUND_S = 2.0
CARD = {
    "phase": "ready",
    "concurrency": 2,
    "running": 1,
    "memory_bytes": {"main": 1_300_000_000},
    "gpu_utilization": [72.0],
    "gpu_memory_bytes": [[15_000_000_000, 24_000_000_000]],
}
"""What a worker with one card says of itself."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    url: str

    def at_once(self, expression: str) -> list[dict[str, Any]]:
        """What it answers now: series with a value."""
        return self._asked("query", query=expression)

    def over_time(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The same over time: series with values."""
        return self._asked("query_range", query=expression, start=start, end=end, step=step)

    def _asked(self, how: str, **asked: str | float) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v1/{how}", params=asked, timeout=20, trust_env=False)
        document = answer.json()
        assert document["status"] == "success", (document, asked)
        found: list[dict[str, Any]] = document["data"]["result"]
        return found


@contextlib.contextmanager
def prometheus(folder: Path, apis: list[int], operator: int) -> Iterator[Prometheus]:
    """Started, with our rules, and scraping once a second; once it has seen everything."""
    file, data, port = folder / "prometheus.yaml", folder / "prometheus", free_port()
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    labels = {"namespace": INSTALLATION}
    jobs: list[dict[str, Any]] = [
        {"job_name": "api", "static_configs": [{"targets": [f"127.0.0.1:{one}" for one in apis], "labels": labels}]},
        {
            "job_name": "operator",
            "honor_labels": True,  # the namespace of a queue is the queue's, and not the operator's
            "static_configs": [{"targets": [f"127.0.0.1:{operator}"], "labels": labels}],
        },
    ]
    file.write_text(yaml.safe_dump({"global": every, "rule_files": [str(RULES)], "scrape_configs": jobs}))
    options = [f"--config.file={file}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen([PROMETHEUS, *options], stdout=log, stderr=log)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        wait_for("Prometheus scrapes all", lambda: _scrapes(running, len(apis) + 1), within=30)
        yield running
    finally:
        process.terminate()
        process.wait(20)


def _scrapes(running: Prometheus, targets: int) -> bool:
    with contextlib.suppress(httpx.TransportError, ValueError):
        return len(running.at_once("up == 1")) == targets
    return False


@dataclass
class Watched:
    """The installation, and who watches it."""

    prometheus: Prometheus
    api: httpx.Client
    store: SyncStore
    redis: Redis
    place: Place
    hooks: tuple[str, str]
    """Receivers of webhooks: a good one and a bad one."""

    def load(self, seconds: float) -> None:
        """Work of all kinds, in rounds, for so long: good, failing, dying, cancelled, late, and broken."""
        until = time.monotonic() + seconds
        self.once()
        number = 0
        while time.monotonic() < until:
            began = time.monotonic()
            self.round(number)
            number += 1
            threading.Event().wait(max(0.0, min(began + ROUND_S, until) - time.monotonic()))

    def round(self, number: int) -> None:
        """One round: more in every fourth, so that lines grow and fall."""
        good, bad = self.hooks
        for index in range(8 if number % 8 < 4 else 2):
            hook = {"callback_url": bad if index == 1 else good} if index < 2 else {}
            self._submit("generate_image", {"seconds": 0.4 + 0.2 * (index % 4)}, priority=1 + index % 3, **hook)
        self._submit("process_audio", {"seconds": 0.3})
        if number % 3 == 0:
            self._submit("generate_image", {"fail": "TransientError"})
            self._submit("process_audio", {"fail": "PermanentError"}, callback_url=bad)
            self._submit("generate_image", {"fail": "TimeoutError"})
        if number % 5 == 0:
            self._submit("generate_image", {"die": True})
        self.api.delete(f"/api/v1/tasks/{self._submit('generate_image', {'seconds': 30})}")
        self.api.get("/api/v1/projects/p/tasks")
        self.api.get("/api/v1/tasks/nobody/status")
        self.api.post("/api/v1/tasks/submit", json={"task_type": "unknown"})

    def once(self) -> None:
        """What is rare: a task in quarantine, a message that nobody can read, an old result, a task that came too late."""
        tasks.poisoned(self.store, kind="generate_video")
        self.redis.client.lpush("gpu_medium", b"no message at all")
        old = tasks.running(self.store, kind="generate_video")
        self.store.run(steps.lose(old.task_id, old.token, "its machine went"))
        assert not self.store.run(steps.complete(old.task_id, old.token, b"{}"))
        self._submit("generate_video", {}, deadline_seconds=1)
        self._submit("generate_video", {}, delay_seconds=3600)

    def _submit(self, kind: str, data: dict[str, Any], **more: Any) -> str:
        body = {"project_id": "p", "task_type": kind, "task_data": {**DATA[kind], **data}, **more}
        answer = self.api.post("/api/v1/tasks/submit", json=body)
        assert answer.is_success, answer.text
        task_id: str = answer.json()["task_id"]
        return task_id


DATA: dict[str, dict[str, Any]] = {
    "generate_image": {"prompt": "a red fox"},
    "process_audio": {"operation": "normalize", "audio_url": "https://example.com/a.wav"},
    "generate_video": {"prompt": "a red fox runs", "duration": 5},
}


@contextlib.contextmanager
def watched(redis: Redis, folder: Path) -> Iterator[Watched]:
    """Two processes of the API, two workers, an operator with a small cluster, a worker with a card, and Prometheus."""
    site = Site(redis, folder)
    ports = [free_port(), free_port()]
    settings = {
        "GENFLEET_ALLOW_HTTP_CALLBACKS": "true",
        "GENFLEET_ALLOW_PRIVATE_CALLBACKS": "true",
        "GENFLEET_WEBHOOK_DELAYS": "[0.2, 0.2, 0.2]",
        "GENFLEET_SUBMISSIONS_PER_MINUTE": "100000",
        "GENFLEET_PROJECT_TASKS": "10000",
    }
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        apis = [enter(site.api(PORT=str(port), **settings)) for port in ports]
        made = enter(place(redis, folder))
        operator = enter(made.operator())
        seen = enter(prometheus(folder, ports, operator.port))
        enter(_card(made.store))
        enter(site.worker("gpu_medium", "images", concurrency=3))
        enter(site.worker("cpu_intensive", "sounds", concurrency=2))
        made.objects.create("generationqueues", queue(scaling={"minReplicas": 1}))
        good, bad = enter(receiving(status(200))), enter(receiving(status(500)))
        yield Watched(seen, apis[0], made.store, redis, made, (good.url, bad.url))


@contextlib.contextmanager
def _card(store: SyncStore) -> Iterator[None]:
    """A worker with a GPU, which beats and takes nothing."""

    def beat() -> None:
        store.run(steps.renew("card@test", "gpu_heavy", orjson.dumps(CARD), []))

    beat()
    with every(1, beat):
        yield
