"""Submissions and looks at a task, a second, through one API process with its limits on, beside other servers.

One of them answers what it always answers, the other publishes by Celery's `apply_async`. Each server runs alone with its
Redis while it is measured; the rounds take turns, so that a machine that is slower for a while is slower for all. Read
the ratios: they are taken within a round.

    python -m bench.submit [ROUNDS]
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import orjson

from bench.report import table
from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.service.acts import VIDEO_RESULT
from tests.support.servers import KEY, ROOT, Redis, clean_environment, free_port
from tests.support.waiting import wait_for

CONNECTIONS = 32
SECONDS = 4.0
ROUNDS = 5
UVICORN = ("uvicorn", "--no-access-log", "--log-level", "error", "--port")
SERVERS = {
    "genfleet": ("genfleet_service",),
    "constant": (*UVICORN, "{port}", "bench.peers:constant"),
    "apply_async": (*UVICORN, "{port}", "bench.peers:apply_async"),
}
SUBMIT, STATUS = "submissions", "looks at a task"
MEASURED = (
    (SUBMIT, "genfleet"),
    (SUBMIT, "constant"),
    (SUBMIT, "apply_async"),
    (STATUS, "genfleet"),
    (STATUS, "constant"),
)
PLENTY = "1000000000"
LIMITS = {
    "GENFLEET_SUBMISSIONS_PER_MINUTE": PLENTY,
    "GENFLEET_STATUS_READS_PER_MINUTE": PLENTY,
    "GENFLEET_PROJECT_TASKS": PLENTY,
    "GENFLEET_QUEUE_LENGTH": PLENTY,
}
"""On, so that they are counted, and so high that nothing is refused."""

Speeds = dict[tuple[str, str], float]


def submission() -> bytes:
    """The documents' own submission of a video."""
    body = json.dumps(json.loads((ROOT / "examples" / "documents" / "generate_video.json").read_text())).encode()
    head = f"POST /api/v1/tasks/submit HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def look(task_id: str) -> bytes:
    """A client that polls."""
    return f"GET /api/v1/tasks/{task_id}/status HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\r\n".encode()


@contextlib.contextmanager
def serving(server: Sequence[str], redis: Redis, folder: Path) -> Iterator[int]:
    """A module to run with its arguments, on a port."""
    port = free_port()
    words = [word.format(port=port) for word in server]
    environment = {"REDIS_URL": redis.url, "API_KEY": KEY, "PORT": str(port), "GENFLEET_MEDIA_DIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env={**clean_environment(), **environment, **LIMITS},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(f"{server[-1]} answers", lambda: _answers(port), within=30)
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/openapi.json", trust_env=False).is_success
    return False


def measure(port: int, request: bytes, seconds: float = SECONDS) -> float:
    """Answers a second. Anything but success ends the measurement."""
    command = [sys.executable, "-m", "bench.load", str(port), str(CONNECTIONS), str(seconds)]
    done = subprocess.run(command, input=request, capture_output=True, check=True, cwd=ROOT, timeout=seconds + 30)
    answer = json.loads(done.stdout)
    if answer["refused"]:
        raise RuntimeError(f"requests were refused: {answer['refused']}")
    return float(answer["per_second"])


def finished_task(port: int, redis: Redis) -> str:
    """The id of a task with a result, as the service really has it."""
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": KEY}, trust_env=False)
    store = SyncStore(redis.url)
    with client, contextlib.closing(store):
        body = json.loads((ROOT / "examples" / "documents" / "generate_video.json").read_text())
        task_id = str(client.post("/api/v1/tasks/submit", json=body).json()["task_id"])
        lease = store.run(steps.claim(task_id, "1", "bench", "1")).lease
        assert lease is not None, "the task was just submitted, and nobody else claims"
        store.run(steps.complete(task_id, lease.token, orjson.dumps(VIDEO_RESULT)))
    return task_id


def round_of(folder: Path) -> Speeds:
    """Each server once, on an empty Redis with its append-only file on."""
    speeds: Speeds = {}
    for name, server in SERVERS.items():
        redis = Redis(Path(tempfile.mkdtemp(dir=folder)), free_port())
        redis.start()
        try:
            with serving(server, redis, folder) as port:
                task_id = finished_task(port, redis) if name == "genfleet" else "abc123-def456-ghi789"
                requests = {STATUS: look(task_id), SUBMIT: submission()}
                for kind, request in requests.items():
                    if (kind, name) in MEASURED:
                        measure(port, request, 1.0)  # warm
                        speeds[kind, name] = measure(port, request)
        finally:
            redis.stop()
    return speeds


def main(rounds: int = ROUNDS) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        speeds = []
        for number in range(1, rounds + 1):
            speeds.append(round_of(Path(folder)))
            told = ", ".join(f"{name} {kind} {speed:.0f}" for (kind, name), speed in speeds[-1].items())
            sys.stderr.write(f"round {number} of {rounds}: {told}\n")
    rows = []
    for kind, name in MEASURED:
        ratio = statistics.median(speed[kind, "genfleet"] / speed[kind, name] for speed in speeds)
        rows.append((kind, name, round(statistics.median(speed[kind, name] for speed in speeds)), f"{ratio:.2f}"))
    sys.stdout.write(table(("what", "server", "a second (median)", "genfleet is … times that"), rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
