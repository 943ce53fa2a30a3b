"""Coming from Celery: the programs of that page are taken from it as they are printed, and run against real parts."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
from celery import Celery, chain, group
from PIL import Image

from genfleet.contract.measures import EVERY
from genfleet.store.client import SyncStore
from tests.support.servers import KEY, ROOT, Site, clean_environment
from tests.support.tasks import queue_seen
from tests.support.waiting import wait_for

PAGE = (ROOT / "docs" / "from-celery.md").read_text()
ENDED = ("completed", "failed", "cancelled")


def program(name: str) -> str:
    """The indented block of the page whose first line is a comment with this name."""
    (lines,) = re.findall(rf"^    # {re.escape(name)}\n(?:    .*\n|\n)+", PAGE, re.MULTILINE)
    return dedent(lines)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The folder with the engine of the page, and its two producers."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("my_engines.py", "submit.py", "producer.py"):
        (folder / name).write_text(program(name))
    return folder


@pytest.fixture
def service(site: Site) -> Iterator[httpx.Client]:
    """An API of its own: its address is in that of each file."""
    with site.api() as api:
        yield api


def address(service: httpx.Client) -> str:
    """Where it is, as settings have it."""
    return str(service.base_url).rstrip("/")


def painter(site: Site, service: httpx.Client, mine: Path) -> Any:
    """A worker that has the engine of the page, and nothing of the tests."""
    return site.worker(
        name="painter",
        GENFLEET_ENGINES="my_engines:engines",
        PYTHONPATH=os.pathsep.join((str(ROOT), str(mine))),
        GENFLEET_MEDIA_URL=f"{address(service)}/media",
    )


def said(script: Path, **environment: str) -> str:
    """What a program of the page prints, which has to end well."""
    done = subprocess.run(
        [sys.executable, str(script)],
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def ended(service: httpx.Client, task_id: str) -> dict[str, Any]:
    """All that is kept of a task, when it has ended."""

    def look() -> dict[str, Any] | None:
        answer = service.get(f"/api/v1/tasks/{task_id}")
        task: dict[str, Any] = answer.json()
        return task if answer.is_success and task["status"] in ENDED else None

    return wait_for(f"{task_id} ends", look, within=20)


def test_the_engine_does_what_is_submitted(site: Site, service: httpx.Client, mine: Path) -> None:
    """The engine of the page makes the file that the program of the page submits, and tells how it went."""
    with painter(site, service, mine):
        printed = said(mine / "submit.py", GENFLEET_URL=address(service), GENFLEET_API_KEY=KEY)
        task_id, media_url = printed.split()
        task = ended(service, task_id)

    with Image.open(io.BytesIO(service.get(media_url).content)) as picture:
        assert picture.size == (1024, 1024)
    assert task["metadata"] == {"row": 17}
    assert task["result"]["metadata"].items() >= {"generation_model": "gradient", "steps": 5}.items()
    (line,) = service.get(f"/api/v1/tasks/{task_id}/logs").json()["logs"]
    assert line["message"] == "5 steps, 1024x1024"


def test_the_engine_refuses_what_it_cannot_paint(site: Site, service: httpx.Client, mine: Path) -> None:
    """Its `InputError` is the end of the task: the sentence is the error, and there is no second attempt."""
    body = {"project_id": "p", "task_type": "generate_image", "task_data": {}}
    task_id = service.post("/api/v1/tasks/submit", json=body).json()["task_id"]
    with painter(site, service, mine):
        task = ended(service, task_id)

    assert (task["status"], task["attempt"]) == ("failed", 1)
    assert task["error"] == "There is nothing to paint: the prompt is empty"


def test_a_message_becomes_a_task(site: Site, service: httpx.Client, store: SyncStore, mine: Path) -> None:
    """What the producer of the page sends counts as no task until a worker has taken it, and then is one like any other."""
    task_id = said(mine / "producer.py", FLEET_REDIS_URL=site.redis.url)
    assert service.get(f"/api/v1/tasks/{task_id}").status_code == httpx.codes.NOT_FOUND
    assert queue_seen(store).waiting == 0

    with painter(site, service, mine):
        task = ended(service, task_id)

    assert (task["status"], task["project_id"], task["priority"]) == ("completed", "my_project", 2)
    assert (task["task_data"], task["metadata"]) == ({"prompt": "a red fox", "steps": 5}, {"row": 17})
    assert service.get("/api/v1/projects/my_project/tasks").json()["pagination"]["total"] == 1


def old_producer(site: Site) -> Celery:
    """A producer of the old kind, as Celery comes."""
    producer = Celery("old", broker=site.redis.url, set_as_current=False)
    producer.conf.task_default_queue = "gpu_medium"
    return producer


def test_arguments_are_found_as_the_page_says(site: Site, service: httpx.Client, mine: Path) -> None:
    """`task_data`, else the first argument that is an object, else all keywords; a wrong one fails at its start."""
    producer = old_producer(site)
    sent: dict[str, dict[str, Any]] = {
        "named": {"kwargs": {"task_data": {"prompt": "named"}, "project_id": "p"}},
        "by-place": {"args": ["x", {"prompt": "by place"}]},
        "all": {"kwargs": {"prompt": "all"}},
        "wrong": {"kwargs": {"task_data": {"prompt": 7}}},
    }
    for task_id, arguments in sent.items():
        producer.send_task("generate_image", task_id=task_id, **arguments)
    with painter(site, service, mine):
        tasks = {task_id: ended(service, task_id) for task_id in sent}

    assert [tasks[task_id]["task_data"]["prompt"] for task_id in sent] == ["named", "by place", "all", 7]
    assert [tasks[task_id]["project_id"] for task_id in sent] == ["p", "unknown", "unknown", "unknown"]
    assert [tasks[task_id]["status"] for task_id in sent] == ["completed", "completed", "completed", "failed"]
    assert tasks["wrong"]["error"].startswith("Invalid task data")


def test_of_a_chain_the_first_runs_and_of_a_group_all(site: Site, service: httpx.Client, mine: Path) -> None:
    """What a producer wants to happen afterwards does not; a name that is no task type is a dead letter."""
    producer = old_producer(site)

    def paint(name: str) -> Any:
        arguments = {"task_data": {"prompt": name}, "project_id": "canvas"}
        return producer.signature("generate_image", kwargs=arguments, immutable=True).set(task_id=name)

    chain(paint("first"), paint("second"), app=producer).apply_async()
    group([paint("left"), paint("right")], app=producer).apply_async()
    producer.send_task("studio.paint", task_id="own-name")
    with painter(site, service, mine):
        for task_id in ("first", "left", "right"):
            assert ended(service, task_id)["status"] == "completed"
        (letter,) = wait_for("it is set aside", lambda: service.get("/api/v1/dead-letters").json()["dead_letters"])

    assert (letter["task_id"], letter["task_type"]) == ("own-name", "studio.paint")
    assert letter["reason"].startswith("Unknown task type 'studio.paint'")
    assert service.get("/api/v1/projects/canvas/tasks").json()["pagination"]["total"] == 3
    assert "canvas_ignored" in (site.folder / "painter.log").read_text()


def test_every_priority_runs_where_no_steps_are_set(site: Site, service: httpx.Client, mine: Path) -> None:
    """With Celery's own steps all are run, and have priority 2 then; a step of the producer's own may be read by nobody."""
    paint: dict[str, Any] = {"kwargs": {"task_data": {"prompt": "x"}}}
    sent = {f"priority-{priority}": priority for priority in (0, 4, 6, 7, 9)}
    for task_id, priority in sent.items():
        old_producer(site).send_task("generate_image", task_id=task_id, priority=priority, **paint)
    other = old_producer(site)
    other.conf.broker_transport_options = {"priority_steps": list(range(10))}
    other.send_task("generate_image", task_id="unread", priority=7, **paint)
    with painter(site, service, mine):
        tasks = [ended(service, task_id) for task_id in sent]

        def lists() -> object:
            return site.redis.client.keys("gpu_medium*")

        wait_for("one list alone is left", lambda: lists() == [b"gpu_medium\x06\x167"])

    assert {(task["status"], task["priority"]) for task in tasks} == {("completed", 2)}


def test_celerys_own_revoke_ends_no_task(site: Site, service: httpx.Client) -> None:
    """What is revoked in Flower goes on, and what is terminated there starts again: neither is cancelled."""
    works = ({"seconds": 2}, {"seconds": 30, "later": 0})
    bodies = [{"project_id": "p", "task_type": "generate_image", "task_data": data} for data in works]
    ids = [service.post("/api/v1/tasks/submit", json=body).json()["task_id"] for body in bodies]
    revoked, terminated = ids

    def runs(task_id: str) -> bool:
        step: str | None = service.get(f"/api/v1/tasks/{task_id}").json()["current_step"]
        return step == "first_half"

    with site.worker(GENFLEET_REMOTE_CONTROL="true"):
        control = old_producer(site).control
        wait_for("it runs", lambda: runs(revoked))
        control.revoke(revoked)
        wait_for("the next one runs", lambda: runs(terminated))
        control.revoke(terminated, terminate=True)
        ends = [ended(service, task_id) for task_id in ids]

    assert [task["status"] for task in ends] == ["completed", "completed"]
    assert [[chapter["how"] for chapter in task["story"]] for task in ends] == [[], ["handed_back"]]


def test_every_metric_of_the_page_is_one() -> None:
    """Each `genfleet_…` in its last table is a number that the API tells."""
    _, _, watching = PAGE.partition("## Watching")
    named = set(re.findall(r"`(genfleet_\w+)`", watching))

    assert len(named) >= 5
    assert named <= {measure.name for measure in EVERY}
