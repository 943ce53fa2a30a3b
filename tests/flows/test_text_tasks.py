"""The text types through the real service and real workers with the engines that they ship with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.chat_server import chat_server, says
from tests.support.servers import ROOT, Site
from tests.support.waiting import wait_for

REAL = "genfleet_workers.engines:engines"
KEY = "sk-of-the-model"


def submitted(api: httpx.Client, body: dict[str, Any]) -> str:
    """The id of a task that was accepted."""
    answer = api.post("/api/v1/tasks/submit", json=body)
    assert answer.is_success, answer.text
    task_id: str = answer.json()["task_id"]
    return task_id


def completed(api: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    """The result of a task."""
    task_id = submitted(api, body)
    wait_for("the task ends", lambda: _status(api, task_id)["completed_at"], within=20)
    status = _status(api, task_id)
    assert status["status"] == "completed", status
    result: dict[str, Any] = status["result"]
    return result


def _status(api: httpx.Client, task_id: str) -> dict[str, Any]:
    status: dict[str, Any] = api.get(f"/api/v1/tasks/{task_id}/status").json()
    return status


@pytest.fixture
def worker(site: Site) -> Iterator[None]:
    """A worker of `cpu_intensive`, without a model."""
    with site.worker("cpu_intensive", GENFLEET_ENGINES=REAL):
        yield


def test_the_documents_acceptance_run(api: httpx.Client, worker: None) -> None:
    """TS-158, TS-091, TS-096: an evaluation of nothing is in the list within 10 seconds, completed, and counted."""
    data = {"department_slug": "story", "department_number": 1, "gather_data": [], "threshold": 80}
    task_id = submitted(api, {"project_id": "test-project", "task_type": "evaluate_department", "task_data": data})

    def listed() -> dict[str, Any] | None:
        tasks = api.get("/api/v1/projects/test-project/tasks").json()["tasks"]
        return next((task for task in tasks if task["task_id"] == task_id and task["status"] == "completed"), None)

    task = wait_for("it is in the list", listed, within=10)
    assert {name: value for name, value in task["result"].items() if name != "processing_time"} == {
        "department": "story",
        "rating": 0,
        "evaluation_result": "fail",
        "evaluation_summary": "Insufficient data provided for evaluation",
        "issues": ["No gather data provided"],
        "suggestions": ["Gather content for department"],
        "iteration_count": 1,
        "metadata": {"model": "none (rule-based)", "tokens_used": 0, "confidence_score": 1.0},
    }
    metrics = api.get("/api/v1/tasks/metrics").json()["metrics"]
    assert (metrics["total_tasks"], metrics["completed_tasks"], metrics["success_rate"]) == (1, 1, 100)

    # What is gathered is rated as it is.
    gathered = completed(api, json.loads((ROOT / "examples" / "automated_gather_creation.json").read_text()))
    assert [each["department_slug"] for each in gathered["departments"]] == ["story", "production", "audio"]
    rated = completed(
        api, {"project_id": "p", "task_type": "evaluate_department", "task_data": gathered["departments"][0]}
    )
    assert (rated["department"], "media_url" in rated) == ("story", False)
    assert 0 < rated["rating"] < 80


def test_a_model_is_asked_and_its_key_stays_with_the_worker(api: httpx.Client, site: Site, tmp_path: Path) -> None:
    """TS-085, TS-105: a prompt goes to the endpoint by the light queue; the key is in no result, log or record."""
    with chat_server() as server:
        server.plays(says(f"A librarian. My key is {len(KEY)} characters long."))
        with site.worker(
            "default",
            GENFLEET_ENGINES=REAL,
            GENFLEET_LOG_LEVEL="debug",
            GENFLEET_LLM_URL=server.url,
            GENFLEET_LLM_NAME="gpt-test",
            GENFLEET_LLM_KEY=KEY,
        ):
            result = completed(api, json.loads((ROOT / "examples" / "test_prompt.json").read_text()))

    assert result["output"].startswith("A librarian.")
    assert result["metadata"] == {"model": "gpt-test", "tokens_used": 30, "truncated": False}
    assert server.keys == [f"Bearer {KEY}"]
    assert KEY not in (site.folder / "worker.log").read_text()
    records = site.redis.client
    assert not [name for name in records.scan_iter() if KEY.encode() in (records.dump(name) or b"")]
