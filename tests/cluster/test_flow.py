"""The whole product on a cluster, as a user meets it: install, declare queues, submit, get files, pay for nothing more."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from tests.cluster.film import GPU, Film, gpus
from tests.cluster.installation import Installation, gpus_of, installed, values
from tests.cluster.kubectl import Kubectl
from tests.support.servers import ROOT
from tests.support.waiting import wait_for

Note = Callable[[str], None]

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.timeout(400)]

COOLDOWN = 5
MORE_THAN_THERE_ARE = 2
"""Workers with a GPU beyond the GPUs of the node."""


@pytest.fixture
def site(kubectl: Kubectl, namespace: str) -> Iterator[Installation]:
    """genfleet with its own engines."""
    with installed(kubectl, namespace, values) as made:
        yield made


def queue(name: str, concurrency: int, most: int, pool: dict[str, Any], site: Installation) -> dict[str, Any]:
    """A queue whose workers run on the node of this test."""
    here = {"name": "here", "nodeSelector": {site.label: "here"}} | pool
    scaling = {"maxReplicas": most, "target": {"tasksPerWorker": concurrency}, "cooldownSeconds": COOLDOWN}
    return {"queue": name, "concurrency": concurrency, "scaling": scaling, "pools": [here]}


def example(kind: str) -> dict[str, Any]:
    """The documents' own payload."""
    body: dict[str, Any] = json.loads((ROOT / "examples" / f"{kind}.json").read_text())
    return body


def test_queues_are_applied_and_files_come_back(
    kubectl: Kubectl, site: Installation, film: Film, tmp_path: Path, note: Note
) -> None:
    """Four queues from zero, the documents' payloads through the Service, real files; GPUs as far as they go; back to zero."""
    offered = gpus_of(kubectl, site.node)
    gpu = {"class": "gpu", "gpus": 1} if offered else {"class": "cpu"}
    most = offered + MORE_THAN_THERE_ARE if offered else 2
    site.declare("gpu-heavy", **queue("gpu_heavy", 1, 1, gpu, site))
    site.declare("gpu-medium", **queue("gpu_medium", 1, most, gpu, site))
    site.declare("cpu-intensive", **queue("cpu_intensive", 4, 2, {}, site))
    site.declare("default", **queue("default", 8, 1, {}, site))
    wait_for("all four are followed", lambda: _reasons(site) == ["ScaledToZero"] * 4, within=20)
    assert list(site.deployments().values()) == [0] * 4
    assert not site.workers()

    image = example("generate_image")
    pictures = [
        site.submit(image | {"task_data": image["task_data"] | {"seed": seed, "resolution": "512x512"}})
        for seed in range(3 * most)
    ]
    video = site.submit(_shorter(example("generate_video")))
    if offered:
        wait_for("the status says which workers find no node", lambda: _unschedulable(site), within=60)
    wait_for("a worker is ready", lambda: site.status("gpu-medium").get("ready"), within=60)
    note(site.run("get", "gq"))
    note(site.run("describe", "gq", "gpu-medium"))
    original = site.submit(image)
    site.completed(*pictures, video, original, within=180)

    for task_id, side in ((pictures[0], 512), (original, 1024)):
        with Image.open(io.BytesIO(_file(site, task_id).content)) as picture:
            assert (picture.format, picture.size) == ("PNG", (side, side))
    made = tmp_path / "made.mp4"
    made.write_bytes(_file(site, video).content)
    with av.open(str(made)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 320, 180)
        assert sum(1 for _ in container.decode(stream)) == 48
    wait_for("all are back at zero", lambda: not any(site.deployments().values()), within=60)
    wait_for("no worker is left", lambda: not site.workers(), within=60)
    wait_for("the status says so", lambda: _reasons(site) == ["ScaledToZero"] * 4, within=20)
    note(site.run("get", "gq"))
    film.stop()
    workers = film.seen()
    assert {pod["spec"]["nodeSelector"].get(site.label) for pod in workers} == {"here"}
    assert {pod["spec"].get("nodeName") for pod in workers} <= {site.node, None}
    if offered:
        assert {pod["spec"]["containers"][0]["resources"]["limits"][GPU] for pod in workers} == {"1"}
        assert film.most(gpus) == offered, "GPUs in use at once"
    assert site.metric("genfleet_busy_workers_stopped_total") == 0


def _shorter(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"task_data": body["task_data"] | {"resolution": "320x180", "duration": 2}}


def _reasons(site: Installation) -> list[str]:
    """Why each queue is ready, or is not."""
    documents = site.found("gq")
    conditions = [one for each in documents for one in each.get("status", {}).get("conditions", [])]
    return [one["reason"] for one in conditions if one["type"] == "Ready"]


def _unschedulable(site: Installation) -> bool:
    """Whether the status tells of workers that find no node, and of GPUs as the cause."""
    conditions = {one["type"]: one for one in site.status("gpu-medium").get("conditions", [])}
    degraded = conditions.get("Degraded", {})
    return degraded.get("reason") == "Unschedulable" and GPU in degraded["message"]


def _file(site: Installation, task_id: str) -> httpx.Response:
    """The finished file, by the address that the task's result gives, seen from outside the cluster."""
    address = httpx.URL(site.task(task_id)["result"]["media_url"])
    return site.api.get(address.path)
