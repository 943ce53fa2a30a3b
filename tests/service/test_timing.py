"""Submissions that are to run later, or to start by a deadline."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.service.acts import look, post, submission
from tests.support.waiting import wait_for


def accepted(api: httpx.Client, **times: Any) -> dict[str, Any]:
    """The answer to a submission with these times."""
    answer = post(api, submission(**times))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ahead(**length: float) -> str:
    """A time so far ahead, as clients write it."""
    return (datetime.now(UTC) + timedelta(**length)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_delayed_task_says_when_it_will_run(api: httpx.Client) -> None:
    """TS-014, TS-160: it is queued, not in line yet, and shows its time."""
    body = accepted(api, delay_seconds=600)
    task = look(api, body["task_id"])
    assert (body["status"], body["queue_position"], task["status"]) == ("queued", 0, "queued")
    waits = datetime.fromisoformat(task["next_attempt_at"]) - datetime.fromisoformat(task["created_at"])
    assert waits == timedelta(minutes=10)
    rows = {row["queue"]: row for row in api.get("/api/v1/queues").json()["queues"]}
    assert (rows["gpu_medium"]["waiting"], rows["gpu_medium"]["scheduled"]) == (0, 1)


@pytest.mark.parametrize("written", ["{}Z", "{}", "{}+00:00"])
def test_a_time_may_be_written_in_every_usual_way(api: httpx.Client, written: str) -> None:
    """TS-007: ISO 8601; without a zone it is UTC."""
    run_at, deadline = ahead(hours=1), ahead(hours=2)
    times = {name: written.format(at.removesuffix("Z")) for name, at in (("run_at", run_at), ("deadline", deadline))}
    task = look(api, accepted(api, **times)["task_id"])
    assert (task["next_attempt_at"], task["deadline"]) == (run_at, deadline)


def test_a_task_that_misses_its_deadline_fails_within_two_seconds(api: httpx.Client) -> None:
    """TS-160, TS-026: nobody was there to run it; its state and its error say so, and it is counted as failed."""
    task_id = accepted(api, deadline_seconds=0.05)["task_id"]
    began = time.monotonic()
    task = wait_for("it has failed", lambda: (seen := look(api, task_id))["status"] == "failed" and seen)
    assert time.monotonic() - began < 3
    assert task["error"] == "Its deadline passed before it could start"
    assert (task["started_at"], task["processing_time"]) == (None, None)
    assert api.get("/api/v1/tasks/metrics").json()["metrics"]["failed_tasks"] == 1


BOTH_DELAYS, BOTH_DEADLINES = "Give delay_seconds or run_at, not both", "Give deadline_seconds or deadline, not both"
NO_TIME = "Must be a time in ISO 8601, such as 2026-01-31T10:00:00Z"
TOO_LATE = "Must be in the future, after the task may run, and at most 30 days ahead"


@pytest.mark.parametrize(
    ("times", "details"),
    [
        pytest.param(
            {"delay_seconds": 5, "run_at": "2026-01-31T10:00:00Z"},
            {"delay_seconds": BOTH_DELAYS, "run_at": BOTH_DELAYS},
            id="two delays",
        ),
        pytest.param(
            {"deadline_seconds": 5, "deadline": "2026-01-31T10:00:00Z"},
            {"deadline_seconds": BOTH_DEADLINES, "deadline": BOTH_DEADLINES},
            id="two deadlines",
        ),
        pytest.param({"run_at": 1769853600}, {"run_at": NO_TIME}, id="a number for a time"),
        pytest.param({"run_at": "1769853600"}, {"run_at": NO_TIME}, id="a number in quotes"),
        pytest.param(
            {"delay_seconds": -1}, {"delay_seconds": "Input should be greater than or equal to 0"}, id="negative"
        ),
        pytest.param({"delay_seconds": "5"}, {"delay_seconds": "Input should be a valid number"}, id="a text"),
        pytest.param(
            {"delay_seconds": 31 * 86400}, {"delay_seconds": "Input should be less than or equal to 2592000"}, id="long"
        ),
        pytest.param({"run_at": "9999-12-31T23:59:59Z"}, {"run_at": "Must be at most 30 days ahead"}, id="too far"),
        pytest.param({"deadline": "2025-01-31T10:00:00Z"}, {"deadline": TOO_LATE}, id="a deadline that has passed"),
        pytest.param(
            {"delay_seconds": 60, "deadline_seconds": 60}, {"deadline_seconds": TOO_LATE}, id="due after its deadline"
        ),
    ],
)
def test_times_that_cannot_be_kept_are_refused(
    api: httpx.Client, times: dict[str, Any], details: dict[str, str]
) -> None:
    """TS-146: each wrong field by name, with the remedy."""
    answer = post(api, submission(**times))
    assert answer.status_code == 400, answer.text
    assert answer.json() == {"error": "validation_error", "message": "Invalid task data", "details": details}
