"""Answers that go on for long: a key may have its part of a process, and no more."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import httpx

from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.service.acts import started, submission, submitted
from tests.support.listener import listening
from tests.support.servers import Site
from tests.support.waiting import wait_for


def test_a_key_has_its_part_of_a_process(site: Site) -> None:
    """TS-154: one stream too many is 429 in the documented shape, until another is closed; other keys do not notice."""
    with site.api(GENFLEET_KEY_LISTENERS="2") as api:
        path = f"/api/v1/tasks/{submitted(api)}/events"
        other = api.post("/api/v1/keys", json={"name": "other"}).json()["api_key"]
        with listening(api, path):
            with listening(api, path):
                refused = api.get(path)
                assert (refused.status_code, refused.json()["error"]) == (429, "rate_limit_exceeded")
                assert refused.headers["retry-after"] == str(refused.json()["retry_after"])
                answer, seconds = waited(api)
                assert (answer.status_code, answer.json()["status"], seconds < 3) == (200, "queued", True)
                assert "preference-applied" not in answer.headers
                with api.stream("GET", path, headers={"X-API-Key": other}) as theirs:
                    assert theirs.status_code == 200
            wait_for("a place is free", lambda: waited(api, "0")[0].headers.get("preference-applied"))
            with listening(api, path):
                assert api.get(path).status_code == 429


def test_a_revoked_key_hears_nothing_more(site: Site, store: SyncStore) -> None:
    """NS-012: its streams end with the next event or heartbeat, and the result of the task does not go out to it."""
    with site.api(GENFLEET_HEARTBEAT_SECONDS="0.2") as api:
        made = api.post("/api/v1/keys", json={"name": "other"}).json()
        task_id = started(api, store)
        path, headers = f"/api/v1/tasks/{task_id}/events", {"X-API-Key": made["api_key"]}
        with listening(api, path) as ours, api.stream("GET", path, headers=headers) as theirs:
            lines = theirs.iter_lines()
            assert next(lines).startswith("retry"), "they listen"
            assert api.delete(f"/api/v1/keys/{made['key_id']}").status_code == 200
            assert not any("completed" in line for line in lines), "the stream ended"
            assert not ours.ended
            store.run(steps.complete(task_id, 1, b"{}"))
            ours.wait_for_end()


def test_a_process_takes_all_the_connections_that_it_may_have(site: Site) -> None:
    """A thousand listeners need more than what a shell or systemd gives to begin with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 512), hard))
    try:
        with site.api_process() as (_, process):
            found = (Path("/proc") / str(process.pid) / "limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (line,) = (line for line in found.splitlines() if line.startswith("Max open files"))
    assert line.split()[3:5] == [str(hard), str(hard)]


def waited(api: httpx.Client, seconds: str = "5") -> tuple[httpx.Response, float]:
    """A submission that would rather wait, and how long its answer took."""
    began = time.monotonic()
    answer = api.post("/api/v1/tasks/submit", json=submission(), headers={"Prefer": f"wait={seconds}"})
    return answer, time.monotonic() - began
