"""A page of a project of 100,000 tasks beside the same page of one of 100 tasks, by the API over HTTP.

Pages are read in turns, so that a machine that is slower for a while is slower for both. Read the ratios. The last row
is a page of 100 tasks with 1 MB of data each: a list moves what it shows, and says what it leaves out.

    python -m bench.lists [TASKS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx
import redis

from bench.report import table
from genfleet.store import steps
from genfleet.store.records import NewTask
from genfleet.store.scripts import script
from tests.support.servers import Redis, Site, free_port
from tests.support.tasks import new_task

Query = Mapping[str, str | int]
LARGE, SMALL = 100_000, 100
LOOKS = 60
PAGES: tuple[tuple[str, Query, int], ...] = (
    ("first page of 20", {"limit": 20}, 1),
    ("first page of 100", {"limit": 100}, 1),
    ("last page of 20", {"limit": 20}, -1),
    ("queued, of one type", {"limit": 20, "status": "queued", "task_type": "generate_image"}, 1),
    ("newer than a moment", {"limit": 20, "since": "2020-01-01T00:00:00Z"}, 1),
)


def fill(client: redis.Redis, tasks: Iterable[NewTask]) -> None:
    """Submit many tasks, a thousand at a time."""
    client.script_load(script("submit").text)
    pipeline = client.pipeline(transaction=False)
    for task in tasks:
        call = steps.submit(task)
        pipeline.evalsha(script("submit").sha, 0, *map(_argument, call.args))
        if len(pipeline) >= 1000:
            pipeline.execute()
    pipeline.execute()


def _argument(value: str | bytes | float) -> str | bytes:
    return value if isinstance(value, str | bytes) else str(value)


def look(api: httpx.Client, project: str, query: Query, page: int) -> tuple[float, int]:
    """Seconds and bytes of a page."""
    began = time.perf_counter()
    answer = api.get(f"/api/v1/projects/{project}/tasks", params={**query, "page": page})
    took = time.perf_counter() - began
    answer.raise_for_status()
    assert answer.json()["tasks"], "an empty page says nothing"
    return took, len(answer.content)


def last_page(api: httpx.Client, project: str, query: Query) -> int:
    """Its number."""
    answer = api.get(f"/api/v1/projects/{project}/tasks", params=query).raise_for_status()
    return int(answer.json()["pagination"]["total_pages"])


def compare(api: httpx.Client, large: str, query: Query, page: int) -> tuple[float, float]:
    """Medians, in ms, of the small project and the large one."""
    pages = {name: last_page(api, name, query) if page < 0 else page for name in ("small", large)}
    times: dict[str, list[float]] = {"small": [], large: []}
    for _ in range(LOOKS):
        for name, number in pages.items():
            times[name].append(look(api, name, query, number)[0])
    small, big = (1000 * statistics.median(times[name]) for name in ("small", large))
    return small, big


def main(tasks: int = LARGE) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        server = Redis(Path(folder), free_port())
        server.start()
        try:
            with server.client as client, Site(server, Path(folder)).api() as api:
                fill(client, (new_task(project="small", prompt="a fox") for _ in range(SMALL)))
                fill(client, (new_task(project="large", prompt="a fox") for _ in range(tasks)))
                fill(client, (new_task(project="heavy", prompt="x" * 1_000_000) for _ in range(SMALL)))
                rows = []
                for name, query, page in PAGES:
                    small, big = compare(api, "large", query, page)
                    rows.append((name, f"{small:.1f}", f"{big:.1f}", f"{big / small:.2f}"))
                small, big = compare(api, "heavy", {"limit": 100}, 1)
                rows.append(("first page of 100, 1 MB each", f"{small:.1f}", f"{big:.1f}", f"{big / small:.2f}"))
        finally:
            server.stop()
    sys.stdout.write(table(("page", f"ms of {SMALL} tasks", f"ms of {tasks} tasks", "ratio"), rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
