"""A `genfleet up` as a program of its own, and what these tests look at: its processes, its folder, its API."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.servers import clean_environment, free_port
from tests.support.waiting import wait_for

RESOURCE = """
apiVersion: genfleet.dev/v1alpha1
kind: GenerationQueue
metadata: {{name: {name}}}
spec:
  queue: gpu_medium
  concurrency: {concurrency}
  scaling:
    minReplicas: {minimum}
    maxReplicas: {maximum}
    target: {{tasksPerWorker: {concurrency}}}
    cooldownSeconds: 1
"""


def write_resource(
    folder: Path, *, name: str = "gpu-medium", minimum: int = 0, maximum: int = 2, concurrency: int = 1
) -> Path:
    """A folder with one queue that cools down fast."""
    folder.mkdir(exist_ok=True)
    text = RESOURCE.format(name=name, minimum=minimum, maximum=maximum, concurrency=concurrency)
    (folder / f"{name}.yaml").write_text(text)
    return folder


def command(*options: object) -> list[str]:
    """`genfleet up`, as it is typed."""
    return [sys.executable, "-m", "genfleet_client.cli", "up", *map(str, options)]


def environment(**more: str) -> dict[str, str]:
    """What it is told: the engines of the tests, and not to look for other workers, which takes each a second."""
    ours = {"GENFLEET_ENGINES": "tests.support.engines:engines", "GENFLEET_REMOTE_CONTROL": "false", "COLUMNS": "80"}
    return clean_environment() | ours | more


def refused(*options: object, folder: Path, **more: str) -> str:
    """What a `genfleet up` says that cannot start: exit status 2, a sentence, and no traceback."""
    words = [*command(), *map(str, options)]
    told = environment(**more)
    done = subprocess.run(words, env=told, cwd=folder, capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@dataclass(slots=True)
class Installation:
    """A `genfleet up` that runs."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    data: Path
    port: int
    log: Path

    def submit(self, **task_data: Any) -> str:
        """The id of a task that was accepted."""
        body = {"project_id": "p", "task_type": "generate_image", "task_data": task_data}
        response = self.client.post("/api/v1/tasks/submit", json=body)
        assert response.is_success, response.text
        return str(response.json()["task_id"])

    def state(self, task_id: str) -> str:
        """Where a task is in its life."""
        return str(self.client.get(f"/api/v1/tasks/{task_id}/status").json()["status"])

    def wait_until(self, task_id: str, state: str) -> None:
        """Wait for a task to be in this state."""
        wait_for(f"{task_id} is {state}", lambda: self.state(task_id) == state, within=30)

    def interrupt(self) -> int:
        """Press ctrl-C. The exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@contextlib.contextmanager
def up(folder: Path, **more: str) -> Iterator[Installation]:
    """Everything, started in this folder, with its data and one queue there; nothing of it is left afterwards."""
    data, port, log = folder / ".genfleet", free_port(), folder / "up.log"
    queues = folder / "queues" if (folder / "queues").exists() else write_resource(folder / "queues")
    with log.open("ab") as output:
        process = subprocess.Popen(
            command("--queues", queues, "--port", port),
            env=environment(**more),
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        found = wait_for(f"it is up (log: {log})", lambda: _announced(data, process), within=40)
        headers = {"X-API-Key": found["api_key"]}
        with httpx.Client(base_url=found["url"], headers=headers, timeout=20, trust_env=False) as client:
            yield Installation(process, client, data, port, log)
    finally:
        _end(process, data)


def _announced(data: Path, process: subprocess.Popen[bytes]) -> dict[str, str] | None:
    """What the command line is told of it, once it is there."""
    assert process.poll() is None, "it ended at its start"
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, str] = json.loads((data / "client.json").read_text())
        return found
    return None


def _end(process: subprocess.Popen[bytes], data: Path) -> None:
    """Whatever a failed test has left."""
    for left in processes_of(data):
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
    process.wait(10)


def processes_of(data: Path) -> list[psutil.Process]:
    """Every process that has to do with this folder, by its command line or its environment."""
    return [process for process in psutil.process_iter() if _names(process, str(data))]


def _names(process: psutil.Process, data: str) -> bool:
    try:
        return any(data in word for word in (*process.cmdline(), *process.environ().values()))
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False
