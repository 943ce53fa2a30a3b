"""The documents' own clients and patterns, as they are printed, against a real API and real workers.

Both editions of the documents print the same code. It is in `tests/clients/documents`, to the letter.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.clients.node import compiler, node
from tests.support.servers import KEY, Redis, Site, clean_environment

DOCUMENTS = Path(__file__).parent / "documents"


@pytest.fixture(scope="module")
def _films(_redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with Site(_redis, tmp_path_factory.mktemp("films")).worker("gpu_heavy", "films", concurrency=4):
        yield


@pytest.fixture
def films(redis_server: Redis, _films: None) -> None:
    """A worker of gpu_heavy."""


def where(api: httpx.Client) -> dict[str, str]:
    """The environment that the documents' clients read."""
    url = str(api.base_url).rstrip("/")
    return {"NEXT_PUBLIC_TASK_SERVICE_URL": url, "TASK_SERVICE_URL": url, "CELERY_TASK_API_KEY": KEY}


def test_the_typescript_client_and_its_patterns(api: httpx.Client, store: SyncStore, worker: None, films: None) -> None:
    """TS-159, TS-160, TS-164 to TS-167, TS-169: fire and forget, progress, a batch, retries, the load, and every error."""
    done = subprocess.run(
        [node(), str(DOCUMENTS / "run.mjs"), str(compiler())],
        env=clean_environment() | where(api),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    ((project, update),) = found["kept"]
    assert (project, update["pending_tasks"][0]) == ("my_project", "earlier")
    assert [task.id for task in of_project(store, "my_project")] == update["pending_tasks"][1:]
    assert found["bars"] == sorted(found["bars"], key=lambda progress: progress or 0)
    assert {"first_half", "second_half"} & set(found["steps"])
    ((said, media_url),) = found["logged"]
    assert said == "Video generated:"
    assert media_url.endswith(".txt")
    assert [status["status"] for status in found["batch"]] == ["completed"] * 3
    assert found["first"]["status"] == "completed"
    assert found["last"] == "Error: Video generation failed after 3 attempts"
    assert len(found["attempts"]) == 3
    assert all("no such scene" in message for message in found["attempts"])
    assert found["waits"] == [2000, 4000]
    assert len(of_project(store, "retried")) == 3
    assert found["load"]["queue_sizes"].keys() >= {"gpu_heavy", "gpu_medium", "cpu_intensive"}
    failed = found["errors"].pop("failed")
    assert "no such scene" in failed
    assert found["errors"] == {
        "submission": "Task submission failed: Bad Request",
        "status": "Failed to get task status: Not Found",
        "cancelled": "Task was cancelled",
    }


def of_project(store: SyncStore, project: str) -> list[Any]:
    """The tasks of a project."""
    return list(store.run(steps.project_tasks(project, offset=0, limit=20)).tasks)


def test_the_python_client(api: httpx.Client, worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """TS-161, TS-162: submit, status, wait and close, and each of its errors, word for word."""
    for name, value in where(api).items():
        monkeypatch.setenv(name, value)
    module: dict[str, Any] = {}
    exec((DOCUMENTS / "task_client.py.txt").read_text(), module)  # noqa: S102  the documents' own code
    client = module["TaskServiceClient"]()

    async def outcome(task_type: str = "generate_image", wait: float = 30, **data: Any) -> Any:
        task = await client.submit_task("documents", task_type, data)
        assert task["status"] == "queued"
        return await client.wait_for_completion(task["task_id"], timeout=wait, poll_interval=0.1)

    async def cancelled() -> None:
        task = await client.submit_task("documents", "generate_image", {"seconds": 60}, 1, {"user_id": "u"})
        waiting = asyncio.create_task(client.wait_for_completion(task["task_id"], poll_interval=0.1))
        await asyncio.to_thread(api.delete, f"/api/v1/tasks/{task['task_id']}")
        await waiting

    async def use() -> None:
        assert (await outcome(seconds=0.2))["result"]["media_url"].endswith(".txt")
        with pytest.raises(Exception, match=r"^Task failed: .*no such style"):
            await outcome(fail="PermanentError", message="no such style")
        with pytest.raises(Exception, match=r"^Task was cancelled$"):
            await cancelled()
        with pytest.raises(Exception, match=r"^Task timeout after 0.3 seconds$"):
            await outcome("process_audio", wait=0.3)
        with pytest.raises(httpx.HTTPStatusError, match="404 Not Found"):
            await client.get_task_status("abc123")
        with pytest.raises(httpx.HTTPStatusError, match="400 Bad Request"):
            await client.submit_task("", "generate_image", {})
        await client.close()

    asyncio.run(use())
