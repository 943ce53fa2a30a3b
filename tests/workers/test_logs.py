"""What the programs write to their logs about tasks: who and which, one line for each fact, and nothing of what was submitted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from genfleet.store.client import SyncStore
from tests.support.servers import Site
from tests.support.tasks import record
from tests.support.waiting import wait_for

SECRET = "the detective's name is Vivian Marlowe"
PROMPT = f'A "noir" portrait, {SECRET}\nin the rain'


def lines(log: Path) -> list[dict[str, Any]]:
    """Those that are JSON. Celery's goodbye is not."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def test_what_was_submitted_is_in_no_log(site: Site, store: SyncStore) -> None:
    """TS-185: not in the API's and not in the worker's, whatever an engine says and raises, and however it ends.

    The submitter is told: the error is a sentence of the task's status. Each fact about a task is one line, with its task,
    project, type, queue and attempt.
    """
    wanted: dict[str, dict[str, Any]] = {
        "completed": {},
        "failed": {"fail": "ValueError", "message": f"cannot draw {PROMPT}"},
        "retried": {"fail": "ConnectionError", "message": PROMPT},
        "killed": {"seconds": 60, "stubborn": True},
        "died": {"die": True},
    }
    limits = '{"generate_image": [1, 2]}'
    with (
        site.api(GENFLEET_LOG_FORMAT="json", GENFLEET_WEBHOOK_CONCURRENCY="0") as api,
        site.worker(GENFLEET_LOG_FORMAT="json", GENFLEET_TIME_LIMITS=limits),
    ):
        ids = {}
        for name, more in wanted.items():
            body = {"project_id": "p", "task_type": "generate_image"}
            body["task_data"] = {"prompt": PROMPT, "aloud": PROMPT, **more}  # type: ignore[assignment]
            ids[name] = task_id = api.post("/api/v1/tasks/submit", json=body).json()["task_id"]
            wait_for(name, lambda: record(store, task_id).finished_ms or record(store, task_id).due_ms, within=20)  # noqa: B023
        refused = {"project_id": [PROMPT], "task_type": PROMPT, "task_data": PROMPT, "callback_url": PROMPT}
        assert api.post("/api/v1/tasks/submit", json=refused).is_client_error
        assert api.post("/api/v1/tasks/submit", content=PROMPT).is_client_error
        failed = api.get(f"/api/v1/tasks/{ids['failed']}/status").json()
    assert SECRET in failed["error"]

    for log in ("api.log", "worker.log"):
        assert "Marlowe" not in (site.folder / log).read_text(), log
    said = lines(site.folder / "worker.log")
    others = [
        line for line in (site.folder / "worker.log").read_text().splitlines() if line and not line.startswith("{")
    ]
    assert [line for line in others if not line.startswith("worker: ")] == []  # nor the warning to who runs it as root
    aloud = [line for line in said if "asked for" in line["event"] or line["event"] == "it is not there"]
    assert len(aloud) >= 2 * len(wanted)
    assert all("[hidden]" in str(line) for line in aloud)

    about = [line for line in said if line.get("task_id")]
    whose = {"project_id": "p", "task_type": "generate_image", "queue": "gpu_medium", "worker": "worker@test"}
    assert [line for line in about if line.items() >= whose.items() and line["attempt"] == 1] == about
    told = {name: Counter(line["event"] for line in about if line["task_id"] == ids[name]) for name in ids}
    library = {line["event"] for line in aloud}
    assert {name: {event: n for event, n in of.items() if event not in library} for name, of in told.items()} == {
        "completed": {"claimed": 1, "attempt": 1},
        "failed": {"claimed": 1, "attempt": 1},
        "retried": {"claimed": 1, "attempt": 1},
        "killed": {"claimed": 1, "process_lost": 1},
        "died": {"claimed": 3, "process_lost": 3},
    }
    ended = {line["task_id"]: line for line in about if line["event"] == "attempt"}
    assert [
        (ended[ids[name]]["outcome"], ended[ids[name]].get("cause")) for name in ("completed", "failed", "retried")
    ] == [
        ("completed", None),
        ("failed", "engine"),
        ("retried", "connection"),
    ]
    assert not [line for line in said if line["event"].startswith("Task ")]
