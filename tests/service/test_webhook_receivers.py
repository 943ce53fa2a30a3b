"""Receivers get along with our webhooks: the documents' own, taken as they are, and the examples that we ship."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from genfleet.contract.states import State
from genfleet.store import steps
from tests.service.acts import EVALUATION, PROJECT, VIDEO_RESULT, claim, settled, submitted
from tests.service.conftest import Calling
from tests.support.servers import ROOT, clean_environment, free_port
from tests.support.waiting import wait_for

METADATA = {"userId": "user-123", "testResultId": "result-456", "sessionId": "session-789"}
ERROR = "Task execution failed: no face in the picture"
EVALUATED = {
    "department": "story",
    "rating": 85,
    "evaluation_result": "pass",
    "evaluation_summary": "The story demonstrates strong structure.",
    "issues": ["Character backstory needs more depth"],
    "suggestions": ["Add flashback scenes to establish character motivation"],
    "iteration_count": 1,
    "processing_time": 45.2,
    "metadata": {"model": "gpt-4", "tokens_used": 1500, "confidence_score": 0.85},
}
"""The documents' own example of a result."""
DOCUMENTS = Path(__file__).parent / "documents"
NODE = shutil.which("node")

APPLICATION = """
import json

def _noted(name):
    async def note(**given):
        print(json.dumps([name, given]), flush=True)
    return note

update_task_status, notify_user = _noted("update_task_status"), _noted("notify_user")
"""
"""What the documents' Python receiver calls of its application."""


@dataclass(frozen=True, slots=True)
class Program:
    """A receiver that runs as a program of its own."""

    url: str
    output: Path

    @property
    def noted(self) -> list[Any]:
        """What it called of its application: the lines of JSON that it wrote."""
        return [json.loads(line) for line in self.output.read_text().splitlines() if line.startswith("[")]


@contextmanager
def running(command: list[str], port: int, folder: Path, **environment: str) -> Iterator[Program]:
    """Start a receiver, and wait until it answers."""
    url, output = f"http://127.0.0.1:{port}/api/webhooks/task-complete", folder / "output"
    with output.open("wb") as to:
        process = subprocess.Popen(
            command, cwd=folder, env=clean_environment() | environment, stdout=to, stderr=subprocess.STDOUT
        )
    try:
        wait_for(f"{command} answers (see {output})", lambda: _answers(url), within=30)
        yield Program(url, output)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return bool(httpx.get(url, trust_env=False).status_code)
    return False


def uvicorn(app: str, folder: Path, port: int) -> list[str]:
    """The command that serves an application in a folder."""
    return [sys.executable, "-m", "uvicorn", "--app-dir", str(folder), "--port", str(port), app]


def told(calling: Calling, url: str, state: State) -> tuple[str, dict[str, Any]]:
    """A task that ended so, with its delivery once that is over."""
    task_id = settled(calling.api, calling.store, state, callback_url=url, metadata=METADATA)
    return task_id, calling.over(task_id)


def answers(found: dict[str, Any]) -> list[tuple[int, Any]]:
    """Status and body of each answer."""
    return [(attempt["status_code"], json.loads(attempt["response"])) for attempt in found["attempts"]]


def heard(completed: str, failed: str) -> list[Any]:
    """What the application of the documents' receiver hears of two tasks."""
    media = {name: VIDEO_RESULT[name] for name in ("media_url", "payload_media_id", "metadata")}
    about = {"project_id": PROJECT, "error": ERROR}
    return [
        ["updateProjectMedia", PROJECT, {"task_id": completed} | media],
        ["notifyUser", "user-123", _notice("task_completed", completed, project_id=PROJECT, result=VIDEO_RESULT)],
        ["updateTestResult", "result-456", {"status": "completed", "media_url": media["media_url"]}],
        ["logTaskFailure", failed, about | {"metadata": METADATA}],
        ["notifyUser", "user-123", _notice("task_failed", failed, **about)],
        ["updateTestResult", "result-456", {"status": "failed", "error": ERROR}],
    ]


def heard_by_the_first_edition(completed: str, failed: str) -> list[Any]:
    """The same of the receiver of the first edition."""
    media = {name: VIDEO_RESULT[name] for name in ("media_url", "payload_media_id")}
    return [
        ["updateProjectMedia", PROJECT, {"task_id": completed} | media],
        ["notifyUser", PROJECT, _notice("task_completed", completed, result=VIDEO_RESULT)],
        ["logTaskFailure", failed, ERROR],
        ["notifyUser", PROJECT, _notice("task_failed", failed, error=ERROR)],
    ]


def _notice(kind: str, task_id: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "task_id": task_id} | more


@pytest.mark.skipif(NODE is None, reason="there is no node on the PATH to run these receivers with")
@pytest.mark.parametrize(
    ("page", "expected"),
    [("task-complete.ts", heard), ("task-complete.first-edition.ts", heard_by_the_first_edition)],
)
def test_the_documents_next_js_receivers(
    calling: Calling, tmp_path: Path, page: str, expected: Callable[[str, str], list[Any]]
) -> None:
    """TS-134, TS-126, PR-012, PR-013, PR-015: both editions take both outcomes at once, with all that they read."""
    port = free_port()
    command = [str(NODE), str(DOCUMENTS / "serve.mjs"), str(DOCUMENTS / page), str(port)]
    with running(command, port, tmp_path) as receiver:
        completed, found = told(calling, receiver.url, State.COMPLETED)
        assert answers(found) == [(200, {"received": True})]
        failed, found = told(calling, receiver.url, State.FAILED)
        assert answers(found) == [(200, {"received": True})]
        assert receiver.noted == expected(completed, failed)
        refused = httpx.get(receiver.url, trust_env=False)
    assert (refused.status_code, refused.json()) == (405, {"error": "Method not allowed"})


@pytest.mark.skipif(NODE is None, reason="there is no node on the PATH to run this receiver with")
def test_the_documents_receiver_of_evaluations(calling: Calling, tmp_path: Path) -> None:
    """TS-098, TS-092, TS-134: it hears of the department and the user by `metadata`, and of the rating by `result`."""
    port = free_port()
    command = [str(NODE), str(DOCUMENTS / "serve.mjs"), str(DOCUMENTS / "evaluation-complete.ts"), str(port)]
    with running(command, port, tmp_path) as receiver:
        task_id = submitted(calling.api, **EVALUATION | {"callback_url": receiver.url})
        claim(calling.store, task_id)
        assert calling.store.run(steps.complete(task_id, 1, json.dumps(EVALUATED).encode()))
        assert answers(calling.over(task_id)) == [(200, {"received": True})]
        noted = receiver.noted
    shown = {name: EVALUATED[name] for name in ("rating", "issues", "suggestions")}
    words = {"status": EVALUATED["evaluation_result"], "summary": EVALUATED["evaluation_summary"]}
    notice = {"type": "evaluation_complete", "department": "story", "rating": 85, "result": "pass"}
    assert noted == [
        ["updateDepartment", {"id": "dept-story-001"} | shown | words],
        ["notifyUser", "user123", notice],
    ]


def test_the_documents_fastapi_receiver(calling: Calling, tmp_path: Path) -> None:
    """TS-134, TS-127: its model takes both bodies, and its application hears all that it asks for."""
    (tmp_path / "receiver.py").write_text(APPLICATION + (DOCUMENTS / "task_complete.py.txt").read_text())
    port = free_port()
    with running(uvicorn("receiver:app", tmp_path, port), port, tmp_path) as receiver:
        completed, found = told(calling, receiver.url, State.COMPLETED)
        assert answers(found) == [(200, {"received": True})]
        failed, found = told(calling, receiver.url, State.FAILED)
        assert answers(found) == [(200, {"received": True})]
        noted = receiver.noted
    assert noted[0][1].pop("processing_time") >= 0
    assert noted == [
        ["update_task_status", {"task_id": completed, "status": "completed", "result": VIDEO_RESULT}],
        ["notify_user", {"user_id": "user-123", "message": _notice("task_completed", completed, result=VIDEO_RESULT)}],
        ["update_task_status", {"task_id": failed, "status": "failed", "error": ERROR}],
        ["notify_user", {"user_id": "user-123", "message": _notice("task_failed", failed, error=ERROR)}],
    ]


def test_the_example_receiver(calling: Calling, tmp_path: Path) -> None:
    """TS-142, TS-133, TS-128, NS-003: it takes what is signed with its secret, once, and nothing else."""
    secret, port = calling.api.get("/api/v1/webhooks/secret").json()["secret"], free_port()
    command = uvicorn("webhook_example:app", ROOT / "examples", port)
    with running(command, port, tmp_path, WEBHOOK_SECRET=secret) as receiver:
        task_id, found = told(calling, receiver.url, State.COMPLETED)
        assert answers(found) == [(200, {"received": True})]
        calling.api.post(f"/api/v1/tasks/{task_id}/deliveries/resend")
        assert answers(calling.over(task_id))[1:] == [(200, {"received": True, "duplicate": True})]
        forged = httpx.post(receiver.url, json={"task_id": task_id}, trust_env=False)
        assert (forged.status_code, forged.json()) == (403, {"error": "Forbidden"})
        calling.api.post("/api/v1/webhooks/secret/rotate", json={"grace_seconds": 0})
        _, found = told(calling, receiver.url, State.FAILED)
        assert answers(found) == [(403, {"error": "Forbidden"})] * 4
        assert f"Webhook received: {task_id} - completed" in receiver.output.read_text()


def test_the_mock_receiver(calling: Calling, tmp_path: Path) -> None:
    """TS-139: it prints the body, and answers that it was received; port 3010 unless told otherwise."""
    script, port = ROOT / "examples" / "mock_webhook_server.py", free_port()
    assert "else 3010" in script.read_text()
    with running([sys.executable, str(script), str(port)], port, tmp_path) as receiver:
        task_id, found = told(calling, receiver.url, State.COMPLETED)
        assert answers(found) == [(200, {"received": True})]
        assert f'"task_id": "{task_id}"' in receiver.output.read_text()
