"""`/metrics`: what really happened to tasks, counted once, whoever dies; and the numbers of the API itself."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families as parsed

from genfleet.contract import measures
from genfleet.contract.keys import key
from genfleet.contract.measures import Cause, Kind, Measure, Source
from genfleet.contract.states import State
from genfleet.store import scripts, steps
from genfleet.store.client import SyncStore
from tests.service.acts import post, submission
from tests.support.servers import KEY, Redis, Site, free_port
from tests.support.tasks import record, running, submitted
from tests.support.waiting import wait_for

OURS = {"queue": "gpu_medium", "type": "generate_image"}
Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(api: httpx.Client) -> Numbers:
    """Every number, by its name and labels."""
    answer = api.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parsed(answer.text)
        for sample in family.samples
    }


def number(numbers: Numbers, name: str, **labels: str) -> float | None:
    """One of them. None: it is not there."""
    return numbers.get((name, frozenset(labels.items())))


def test_what_happens_to_tasks_is_counted_once(api: httpx.Client, store: SyncStore) -> None:
    """Also when a step is repeated because its reply was lost, and when a worker comes up with a stale result."""
    done, again, lost = (running(store, name) for name in ("done", "again", "lost"))
    for _ in range(2):
        assert store.run(steps.complete("done", done.token, b"{}"))
        assert store.run(steps.retry_later("again", again.token, timedelta(minutes=1), "busy", cause=Cause.CONNECTION))
    assert store.run(steps.lose("lost", lost.token, "killed"))
    assert not store.run(steps.complete("lost", lost.token, b"{}"))  # the zombie
    assert store.run(steps.claim("lost", "2", "w", "n2")).lease
    assert store.run(steps.fail("lost", 2, "no", cause=Cause.INPUT))

    seen = scraped(api)

    def ours(name: str, **labels: str) -> float | None:
        return number(seen, name, **OURS, **labels)

    assert ours("genfleet_tasks_submitted_total") == 3
    assert ours("genfleet_tasks_total", state="completed") == 1
    assert ours("genfleet_tasks_total", state="failed") == 1
    for outcome in ("completed", "retried", "lost", "failed"):
        assert ours("genfleet_attempts_total", outcome=outcome) == 1, outcome
    assert ours("genfleet_failures_total", cause="connection") == ours("genfleet_failures_total", cause="input") == 1
    assert ours("genfleet_stale_results_total") == 1
    assert ours("genfleet_queue_wait_seconds_count") == ours("genfleet_run_seconds_count") == 4
    assert ours("genfleet_queue_wait_seconds_bucket", le="+Inf") == 4
    assert ours("genfleet_task_start_seconds_count") == 3
    assert number(seen, "genfleet_tasks_waiting", queue="gpu_medium", priority="2") == 0
    assert number(seen, "genfleet_tasks_scheduled", queue="gpu_medium") == 1


def test_a_result_that_comes_after_the_task_was_given_up_is_counted(api: httpx.Client, store: SyncStore) -> None:
    """Its third worker was lost, as it seemed, and was at work. What comes after a person cancelled is no loss."""
    given_up, cancelled = running(store, "given up").token, running(store, "cancelled").token
    for again in range(scripts.CRASHES_ALLOWED):
        if again:
            given_up += 1
            assert store.run(steps.claim("given up", str(given_up), "w", f"n{again}")).lease
        assert store.run(steps.lose("given up", given_up, "its worker stopped answering"))
    store.run(steps.cancel("cancelled"))

    assert not store.run(steps.complete("given up", given_up, b"{}"))
    assert not store.run(steps.complete("cancelled", cancelled, b"{}"))

    assert number(scraped(api), "genfleet_stale_results_total", **OURS) == 1


def test_the_wait_is_that_of_each_attempt(api: httpx.Client, store: SyncStore) -> None:
    """From when it was due: the hour that a task was to be delayed, or the minute before a retry, is nobody's wait."""
    submitted(store, "handed back")
    assert store.run(steps.claim("handed back", "1", "w", "n")).lease
    assert store.run(steps.hand_back("handed back", 1, "its worker had to stop"))
    assert store.run(steps.claim("handed back", "2", "w", "n2")).lease

    seen = scraped(api)

    assert number(seen, "genfleet_queue_wait_seconds_count", **OURS) == 2
    assert number(seen, "genfleet_task_start_seconds_count", **OURS) == 1
    assert number(seen, "genfleet_attempts_total", **OURS, outcome="handed_back") == 1


def test_what_a_killed_worker_did_is_not_lost(site: Site, store: SyncStore, tmp_path: Path) -> None:
    """Real workers: the first is killed at its second task, with all its processes; a second one ends what it began."""
    marks = tmp_path / "marks"
    first = submitted(store)
    with site.api() as api:
        with site.worker(name="one") as worker:
            wait_for("it ends", lambda: record(store, first).state is State.COMPLETED)
            second = submitted(store, seconds=600, later=0, marks=str(marks))
            wait_for("it runs", marks.exists)
            os.killpg(worker.pid, signal.SIGKILL)
        with site.worker(name="two"):
            wait_for("it ends", lambda: record(store, second).state is State.COMPLETED, within=40)
            seen = scraped(api)

    assert number(seen, "genfleet_attempts_total", **OURS, outcome="completed") == 2
    assert number(seen, "genfleet_attempts_total", **OURS, outcome="lost") == 1
    there = number(seen, "genfleet_fleet_workers", queue="gpu_medium", state="ready") or 0
    assert there >= 1  # the one that was killed is listed for a while
    assert number(seen, "genfleet_fleet_slots", queue="gpu_medium") == there
    assert (number(seen, "genfleet_worker_memory_bytes", queue="gpu_medium") or 0) > 10_000_000


def test_requests_are_counted_by_route_and_nothing_else_makes_a_series(api: httpx.Client) -> None:
    """Neither an id nor an unknown path, nor a method that nobody has heard of, can make new ones."""
    before = scraped(api)
    made = post(api, submission()).json()["task_id"]
    for name in (made, "none", "../x"):
        api.get(f"/api/v1/tasks/{name}/status")
        api.get(f"/nowhere/{name}")
        api.request("BREW", f"/coffee/{name}")

    seen = scraped(api)

    def more(**labels: str) -> float:
        name = "genfleet_api_requests_total"
        return (number(seen, name, **labels) or 0) - (number(before, name, **labels) or 0)

    assert more(method="POST", route="/api/v1/tasks/submit", status="200") == 1
    assert more(method="GET", route="/api/v1/tasks/{task_id}/status", status="200") == 1
    assert more(method="GET", route="/api/v1/tasks/{task_id}/status", status="404") == 1
    assert more(method="GET", route="other", status="404") >= 3
    assert made not in api.get("/metrics").text
    assert (number(seen, "genfleet_api_redis_round_trips_total") or 0) > 0


def test_what_is_not_known_is_not_zero(tmp_path: Path) -> None:
    """While Redis is away the numbers of the fleet are missing, and it is said why; they come back by themselves."""
    redis = Redis(tmp_path, free_port())
    redis.start()
    with Site(redis, tmp_path).api() as api:
        assert number(scraped(api), "genfleet_tasks_running", queue="default") == 0
        redis.stop()
        seen = scraped(api)
        assert number(seen, "genfleet_api_redis_up") == 0
        assert number(seen, "genfleet_tasks_running", queue="default") is None
        assert (number(seen, "genfleet_api_redis_errors_total") or 0) > 0
        redis.start()
        wait_for("it is back", lambda: number(scraped(api), "genfleet_api_redis_up") == 1)
    redis.stop()


def test_everything_exported_is_in_the_contract(api: httpx.Client, store: SyncStore) -> None:
    """With its kind and its labels; and of the contract everything is there that can be without GPUs or a cluster."""
    lease = running(store, "one")
    store.run(steps.retry_later("one", lease.token, timedelta(minutes=1), "busy"))
    assert not store.run(steps.complete("one", lease.token, b"{}"))
    store.run(steps.cancel("one"))
    post(api, submission())
    families = {family.name: family for family in parsed(api.get("/metrics").text)}
    known = {_family_name(measure): measure for measure in measures.EVERY if measure.source is not Source.OPERATOR}

    assert families.keys() <= known.keys()
    assert known.keys() - families.keys() <= {"genfleet_gpu_utilization_percent", "genfleet_webhook_attempts"}
    for name, family in families.items():
        assert family.type == known[name].kind.value
        assert family.documentation == known[name].means
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels <= set(known[name].labels), name


def _family_name(measure: Measure) -> str:
    return measure.name.removesuffix("_total") if measure.kind is Kind.COUNTER else measure.name


def test_metrics_need_no_key(api: httpx.Client) -> None:
    """As health does not: scrapers have none. A wrong one does not matter."""
    assert httpx.get(f"{api.base_url}/metrics", trust_env=False).status_code == httpx.codes.OK
    assert api.headers["X-API-Key"] == KEY


def test_a_worker_that_tells_nonsense_costs_the_others_nothing(api: httpx.Client, store: SyncStore) -> None:
    """As one of another version may: it is counted, and what it says of itself is left out."""
    good = b'{"concurrency": 2, "memory_bytes": {"1": 1000}, "gpu_memory_bytes": [[1, 2]]}'
    for name, about in (("good", good), ("null", b'{"memory_bytes": null}'), ("half", b'{"gpu_memory_bytes": [[1]]}')):
        store.run(steps.renew(name, "gpu_medium", about, []))

    seen = scraped(api)

    assert number(seen, "genfleet_fleet_workers", queue="gpu_medium", state="ready") == 3
    assert number(seen, "genfleet_worker_memory_bytes", queue="gpu_medium") == 1000
    assert number(seen, "genfleet_gpus", queue="gpu_medium") == 1


def test_a_broken_record_is_refused_and_not_counted(store: SyncStore, redis_server: Redis) -> None:
    """Without its queue or type nobody can say what to count it as."""
    lease = running(store, "broken")
    redis_server.client.hdel(key("task", "broken"), "queue")
    assert not store.run(steps.complete("broken", lease.token + 1, b"{}"))
    assert not store.run(steps.retry_later("broken", lease.token + 1, timedelta(seconds=1), "late"))
