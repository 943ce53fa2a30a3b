"""The whole product as a newcomer starts it: `genfleet up`, real engines, real files, a fleet that grows and shrinks."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from tests.support.servers import ROOT, clean_environment, free_port
from tests.support.waiting import wait_for

QUEUES = """
apiVersion: genfleet.dev/v1alpha1
kind: GenerationQueue
metadata: {{name: {name}}}
spec:
  queue: {queue}
  concurrency: {concurrency}
  scaling:
    maxReplicas: {maximum}
    target: {{tasksPerWorker: {concurrency}}}
    cooldownSeconds: 2
"""


@dataclass(slots=True)
class Installation:
    """A `genfleet up` that runs."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    media: Path
    most: int = 0
    """The largest number of workers that was seen ready at once."""

    def submit(self, body: dict[str, Any]) -> str:
        """The id of a task that was accepted."""
        response = self.client.post("/api/v1/tasks/submit", json=body)
        assert response.is_success, response.text
        task_id: str = response.json()["task_id"]
        return task_id

    def status(self, task_id: str) -> dict[str, Any]:
        """How a task is."""
        status: dict[str, Any] = self.client.get(f"/api/v1/tasks/{task_id}/status").json()
        return status

    def completed(self, task_id: str, within: float) -> dict[str, Any]:
        """The status of a task once it has completed."""
        wait_for("the task ends", lambda: self.status(task_id)["completed_at"], within=within)
        status = self.status(task_id)
        assert status["status"] == "completed", status
        return status

    def fleet(self, queue: str) -> dict[str, Any]:
        """What the fleet controller last said of a queue."""
        rows = self.client.get("/api/v1/queues").json()["queues"]
        fleet: dict[str, Any] = next(row["fleet"] for row in rows if row["queue"] == queue) or {}
        self.most = max(self.most, fleet.get("ready", 0))
        return fleet


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Installation]:
    """Everything, as `genfleet up` starts it, with queues that cool down fast."""
    resources = tmp_path / "queues"
    resources.mkdir()
    for queue, maximum, concurrency in (("gpu_medium", 3, 2), ("gpu_heavy", 1, 1)):
        text = QUEUES.format(name=queue.replace("_", "-"), queue=queue, maximum=maximum, concurrency=concurrency)
        (resources / f"{queue}.yaml").write_text(text)
    port, data = free_port(), tmp_path / "data"
    options = ["--data", str(data), "--queues", str(resources), "--port", str(port)]
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "genfleet_client.cli", "up", *options],
            env=clean_environment(),
            stderr=log,
            start_new_session=True,
        )
    found = wait_for("it is up", lambda: _announced(data, process), within=40)
    headers = {"X-API-Key": found["api_key"]}
    with httpx.Client(base_url=found["url"], headers=headers, timeout=20, trust_env=False) as client:
        yield Installation(client, process, data / "media")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, (tmp_path / "up.log").read_text()


def _announced(data: Path, process: subprocess.Popen[bytes]) -> dict[str, str] | None:
    assert process.poll() is None, "it ended at its start"
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, str] = json.loads((data / "client.json").read_text())
        return found
    return None


def test_twenty_pictures_wake_a_fleet_that_goes_back_to_zero(up: Installation) -> None:
    """0 workers → submit 20 → workers reach the maximum → all completed, one result each → back to 0 (TS-147)."""
    assert wait_for("the controller reports", lambda: up.fleet("gpu_medium"))["wanted"] == 0
    body = json.loads((ROOT / "examples" / "generate_image.json").read_text())
    body["task_data"]["resolution"] = "512x512"
    ids = [up.submit(body | {"task_data": body["task_data"] | {"seed": seed}}) for seed in range(20)]

    wait_for("the maximum is ready", lambda: up.fleet("gpu_medium").get("ready") == 3, within=30)
    results = [up.completed(task_id, within=90)["result"] for task_id in ids]
    wait_for("no worker is left", lambda: _nobody(up.fleet("gpu_medium")), within=40)

    assert up.most == 3
    assert len({result["media_url"] for result in results}) == 20
    assert len(list(up.media.rglob("*.png"))) == 20
    picture = up.client.get(results[0]["media_url"])
    assert picture.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(picture.content)) as image:
        assert image.size == (512, 512)
    metrics = up.client.get("/api/v1/tasks/metrics").json()["metrics"]
    assert (metrics["total_tasks"], metrics["completed_tasks"], metrics["currently_running"]) == (20, 20, 0)
    assert up.client.get("/api/v1/workers").json()["total"] == 0


def _nobody(fleet: dict[str, Any]) -> bool:
    return not any(fleet[phase] for phase in ("wanted", "starting", "ready", "draining"))


def test_the_video_that_a_newcomer_tries_is_made(up: Installation, tmp_path: Path) -> None:
    """TS-001, TS-080, TS-082: over HTTP alone, the README's request (smaller, and shorter) gives exactly the MP4 that was asked for."""
    body = json.loads((ROOT / "examples" / "generate_video.json").read_text())
    body["task_data"] |= {"resolution": "320x180", "duration": 2}
    task_id = up.submit(body)
    status = up.completed(task_id, within=90)

    made = tmp_path / "made.mp4"
    made.write_bytes(up.client.get(status["result"]["media_url"]).content)
    with av.open(str(made)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 320, 180)
        assert stream.average_rate == 24
        assert sum(1 for _ in container.decode(stream)) == 48
    metadata = status["result"]["metadata"]
    assert (metadata["duration"], metadata["resolution"], metadata["fps"]) == (2.0, "320x180", 24)
    assert metadata["file_size"] == made.stat().st_size
    assert "warnings" not in metadata
    logs = up.client.get(f"/api/v1/tasks/{task_id}/logs").json()["logs"]
    assert f"48 frames at 24 a second, 320x180, seed {metadata['seed']}" in logs[0]["message"]
