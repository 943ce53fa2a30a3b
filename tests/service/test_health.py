"""The three levels of health: the service, the system, the queues; and what workers and queues look like in detail."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from genfleet.contract.keys import key
from genfleet.store import capacity, steps
from genfleet.store.client import SyncStore
from tests.service.acts import UNAUTHORIZED, seconds_running, started, submitted
from tests.support.servers import Redis, Site

LOAD: dict[str, Any] = {
    "host": "gpu-1",
    "cpu_percent": 45.2,
    "memory_percent": 62.8,
    "gpu_utilization": [85.5, 72.1, 0.0, 0.0],
}
"""What a worker says of its machine, with the numbers of the documents' example."""


def beat(store: SyncStore, worker: str, queue: str = "gpu_heavy", **about: Any) -> None:
    """A worker beats, as the workers do it."""
    store.run(steps.renew(worker, queue, orjson.dumps(about), []))


def queue_health(api: httpx.Client) -> dict[str, Any]:
    """The answer of the queue health endpoint."""
    answer = api.get("/api/v1/tasks/health")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def count(redis_server: Redis, **counters: int) -> None:
    """Writes the lasting counters, which otherwise take weeks to get there."""
    for name, value in counters.items():
        redis_server.client.hset(key("counters"), name, str(value))


def test_the_basic_check_needs_nothing(api: httpx.Client) -> None:
    """TS-061, TS-004, PI-024: `/health` answers without a key, and with a wrong one."""
    for headers in ({}, {"X-API-Key": "wrong"}):
        answer = httpx.get(api.base_url.join("/health"), headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})


def test_the_system_check_with_the_documents_numbers(api: httpx.Client, store: SyncStore) -> None:
    """TS-056, TS-057, TS-058, TS-059, PI-005: every field of the documented body, the machine counted once."""
    for number in range(4):
        beat(store, f"worker-{number}@gpu-1", **LOAD)
    for priority in (1, 2, 3):
        submitted(api, task_type="generate_video", priority=priority)
    submitted(api, task_type="generate_image")
    body = api.get("/api/v1/health").json()
    assert isinstance(body.pop("uptime"), int)
    assert body == {
        "status": "healthy",
        "redis_status": "connected",
        "worker_count": 4,
        "queue_sizes": {"gpu_heavy": 3, "gpu_medium": 1, "cpu_intensive": 0, "default": 0},
        "system_load": {"cpu_percent": 45.2, "memory_percent": 62.8, "gpu_utilization": [85.5, 72.1, 0.0, 0.0]},
    }


def test_a_system_without_workers(api: httpx.Client) -> None:
    """TS-058: no worker and no GPU is a healthy answer with zeros and an empty list; the API host is not measured."""
    body = api.get("/api/v1/health").json()
    assert (body["status"], body["worker_count"]) == ("healthy", 0)
    assert body["system_load"] == {"cpu_percent": 0.0, "memory_percent": 0.0, "gpu_utilization": []}


def test_a_running_task_does_not_count_as_queue_size(api: httpx.Client, store: SyncStore) -> None:
    """TS-059: `queue_sizes` is what waits."""
    started(api, store)
    assert api.get("/api/v1/health").json()["queue_sizes"]["gpu_medium"] == 0


def test_the_system_check_takes_no_key_but_no_wrong_one_either(api: httpx.Client) -> None:
    """PI-008, TS-004: without a key 200, with a wrong key 401, so both of the documents' samples work."""
    url = api.base_url.join("/api/v1/health")
    assert httpx.get(url, trust_env=False).status_code == 200
    wrong = httpx.get(url, headers={"X-API-Key": "wrong"}, trust_env=False)
    assert (wrong.status_code, wrong.json()) == (401, UNAUTHORIZED)


def test_the_documented_commands_for_health(api: httpx.Client) -> None:
    """TS-180, TS-178, TS-062, TS-070: the basic check without a key; queue health and metrics with one, and not without."""
    assert httpx.get(api.base_url.join("/health"), trust_env=False).status_code == 200
    for path in ("/api/v1/tasks/health", "/api/v1/tasks/metrics", "/api/v1/health"):
        assert api.get(path).status_code == 200
    for path in ("/api/v1/tasks/health", "/api/v1/tasks/metrics"):
        bare = httpx.get(api.base_url.join(path), trust_env=False)
        assert (bare.status_code, bare.json()) == (401, UNAUTHORIZED)


def test_a_setting_makes_the_key_mandatory_there(site: Site) -> None:
    """PI-008: then no key is as bad as a wrong one; the basic check stays open."""
    with site.api(GENFLEET_HEALTH_NEEDS_KEY="true") as api:
        bare = httpx.get(api.base_url.join("/api/v1/health"), trust_env=False)
        assert (bare.status_code, bare.json()) == (401, UNAUTHORIZED)
        assert api.get("/api/v1/health").status_code == 200
        assert httpx.get(api.base_url.join("/health"), trust_env=False).status_code == 200


def test_healthy_queues_with_the_documents_numbers(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-070, TS-071: the documented body, with six numbers and no alerts."""
    for _ in range(4):
        started(api, store)
    count(redis_server, total_tasks=1523, completed_tasks=1398, failed_tasks=89, retried_tasks=36)
    body = queue_health(api)
    assert body == {
        "status": "healthy",
        "metrics": {
            "total_tasks": 1523,
            "completed_tasks": 1398,
            "failed_tasks": 89,
            "success_rate": 91.8,
            "failure_rate": 5.8,
            "currently_running": 4,
        },
        "alerts": [],
        "timestamp": body["timestamp"],
    }


def test_alerts_as_documented(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-072, TS-073, TS-074: an elevated failure rate and a task of 485 seconds, in the documents' own words."""
    task_id = started(api, store)
    seconds_running(redis_server, task_id, 485)
    count(redis_server, total_tasks=1000, completed_tasks=885, failed_tasks=115)
    body = queue_health(api)
    assert body["status"] == "warning"
    assert (body["metrics"]["success_rate"], body["metrics"]["failure_rate"]) == (88.5, 11.5)
    rate, duration = body["alerts"]
    assert rate == {
        "severity": "warning",
        "message": "Elevated failure rate: 11.50%",
        "metric": "failure_rate",
        "value": 11.5,
    }
    seconds = duration["value"]
    assert 485 <= seconds < 500
    assert duration == {
        "severity": "warning",
        "message": f"Task {task_id} running for {seconds} seconds",
        "metric": "task_duration",
        "value": seconds,
        "task_id": task_id,
    }


def test_worker_memory_comes_from_the_workers(api: httpx.Client, store: SyncStore) -> None:
    """TS-077, TS-075: each process of a worker is reported through Redis; the one over its limit is named."""
    beat(store, "worker@gpu-1", memory_bytes={"7": 300_000_000, "8": 2_000_000_000})
    body = queue_health(api)
    assert body["status"] == "critical"
    assert body["alerts"] == [
        {
            "severity": "critical",
            "message": "Process 8 of worker worker@gpu-1 uses 2.00GB of memory",
            "metric": "memory_usage",
            "value": 2_000_000_000,
        }
    ]


def test_a_fresh_outage_shows_behind_old_successes(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """TS-076: 6 of the last 6 failed; the documented rate hides that, so an alert of its own says it."""
    for _ in range(6):
        assert store.run(steps.fail(started(api, store), 1, "out of memory"))
    count(redis_server, total_tasks=100_000, completed_tasks=99_000)
    body = queue_health(api)
    assert (body["status"], body["metrics"]["failure_rate"]) == ("critical", 0.0)
    assert [(alert["metric"], alert["value"]) for alert in body["alerts"]] == [("recent_failure_rate", 100.0)]


@pytest.mark.parametrize("name", ["metrics", "health"])
def test_fixed_paths_are_no_task_ids(api: httpx.Client, redis_server: Redis, name: str) -> None:
    """TS-069: even a task of that name does not hide them."""
    redis_server.client.hset(key("task", name), "state", "queued")
    assert api.get(f"/api/v1/tasks/{name}").json()["metrics"]["total_tasks"] == 0


def test_queues_in_detail(api: httpx.Client, store: SyncStore) -> None:
    """NS-008, TS-078, TS-177: what waits in each queue and priority, what runs, its workers, the decision on its fleet."""
    beat(store, "worker@gpu-1")
    beat(store, "worker@gpu-2", queue="gpu_medium")
    started(api, store)
    for priority in (1, 3, 3):
        submitted(api, priority=priority)
    store.run(capacity.report("gpu_medium", orjson.dumps({"reason": "DemandRose", "wanted": 1})))
    rows = {row.pop("queue"): row for row in api.get("/api/v1/queues").json()["queues"]}
    assert list(rows) == ["gpu_heavy", "gpu_medium", "cpu_intensive", "default"]
    assert rows["gpu_medium"].pop("oldest_wait_seconds") in (0, 1, 2)
    assert rows["gpu_medium"] == {
        "waiting": 3,
        "waiting_by_priority": {"1": 1, "2": 0, "3": 2},
        "running": 1,
        "scheduled": 0,
        "mean_run_seconds": None,
        "workers": 1,
        "paused": None,
        "fleet": {"reason": "DemandRose", "wanted": 1},
    }


def test_workers_in_detail(api: httpx.Client, store: SyncStore) -> None:
    """NS-008: every worker that beats, its queue, whether it is to take nothing new, and what it says of itself."""
    beat(store, "worker@gpu-1", **LOAD)
    store.run(capacity.drain("worker@gpu-1"))
    body = api.get("/api/v1/workers").json()
    assert 0 <= body["workers"][0].pop("silent_seconds") < 10
    assert body == {
        "workers": [{"worker_id": "worker@gpu-1", "queue": "gpu_heavy", "draining": True, **LOAD}],
        "total": 1,
    }
