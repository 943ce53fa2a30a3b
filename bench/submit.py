"""Submissions a second through one API process, beside a server that does nothing and one that uses `apply_async`.

Each server runs alone with its Redis while it is measured; the rounds take turns, so that a machine that is slower for
a while is slower for all. Read the ratios: they are taken within a round.

    python -m bench.submit [ROUNDS]
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench.report import table
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


def request() -> bytes:
    """The documents' own submission of a video."""
    body = json.dumps(json.loads((ROOT / "examples" / "generate_video.json").read_text())).encode()
    head = f"POST /api/v1/tasks/submit HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.contextmanager
def serving(name: str, redis: Redis, folder: Path) -> Iterator[int]:
    """One of the servers, on a port."""
    port = free_port()
    words = [word.format(port=port) for word in SERVERS[name]]
    environment = {"REDIS_URL": redis.url, "API_KEY": KEY, "PORT": str(port), "GENFLEET_MEDIA_DIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env={**clean_environment(), **environment},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(f"{name} answers", lambda: _answers(port), within=30)
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/openapi.json", trust_env=False).is_success
    return False


def measure(port: int, seconds: float = SECONDS) -> float:
    """Answers a second. Anything but success ends the measurement."""
    command = [sys.executable, "-m", "bench.load", str(port), str(CONNECTIONS), str(seconds)]
    done = subprocess.run(command, input=request(), capture_output=True, check=True, cwd=ROOT, timeout=seconds + 30)
    answer = json.loads(done.stdout)
    if answer["refused"]:
        raise RuntimeError(f"requests were refused: {answer['refused']}")
    return float(answer["per_second"])


def round_of(folder: Path) -> dict[str, float]:
    """Each server once, on an empty Redis with its append-only file on."""
    speeds = {}
    for name in SERVERS:
        redis = Redis(Path(tempfile.mkdtemp(dir=folder)), free_port())
        redis.start()
        try:
            with serving(name, redis, folder) as port:
                measure(port, 1.0)  # warm
                speeds[name] = measure(port)
        finally:
            redis.stop()
    return speeds


def main(rounds: int = ROUNDS) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        speeds = []
        for number in range(1, rounds + 1):
            speeds.append(round_of(Path(folder)))
            sys.stderr.write(f"round {number} of {rounds}: {speeds[-1]}\n")
    rows = []
    for name in SERVERS:
        ratio = statistics.median(speed["genfleet"] / speed[name] for speed in speeds)
        rows.append((name, round(statistics.median(speed[name] for speed in speeds)), f"{ratio:.2f}"))
    sys.stdout.write(table(("server", "submissions/s (median)", "genfleet is … times that"), rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
