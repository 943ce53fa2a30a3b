"""Redis away: the API says so, does nothing by half, and is well again by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from genfleet.contract.keys import key
from tests.service.acts import in_line, look, post, submission, submitted
from tests.support.servers import Redis, Site, free_port
from tests.support.waiting import wait_for

AWAY = {
    "error": "service_unavailable",
    "message": "Redis cannot be reached, please try again later",
    "retry_after": 5,
}


def site_of_its_own(folder: Path) -> Site:
    """An installation whose Redis may be stopped: nobody else uses it."""
    (folder / "redis").mkdir()
    return Site(Redis(folder / "redis", free_port()), folder)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """One for each test, with a Redis that runs."""
    site = site_of_its_own(tmp_path)
    site.redis.start()
    yield site
    site.redis.stop()


@pytest.fixture(scope="module")
def stranded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An API whose Redis was never there."""
    with site_of_its_own(tmp_path_factory.mktemp("stranded")).api() as api:
        yield api


def is_well(api: httpx.Client) -> bool:
    """Whether the API has found its Redis."""
    return api.get("/api/v1/health").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/api/v1/tasks/abc123/status", id="status"),
        pytest.param("GET", "/api/v1/tasks/abc123", id="the full record"),
        pytest.param("DELETE", "/api/v1/tasks/abc123", id="cancel"),
        pytest.param("DELETE", "/api/v1/tasks/abc123/cancel", id="cancel by the old path"),
        pytest.param("POST", "/api/v1/tasks/abc123/retry", id="retry"),
        pytest.param("GET", "/api/v1/projects/p/tasks", id="a project's tasks"),
        pytest.param("GET", "/api/v1/tasks/metrics", id="metrics"),
        pytest.param("GET", "/api/v1/tasks/health", id="queue health"),
        pytest.param("GET", "/api/v1/queues", id="queues"),
        pytest.param("GET", "/api/v1/workers", id="workers"),
    ],
)
def test_every_route_says_that_redis_is_away(stranded: httpx.Client, method: str, path: str) -> None:
    """TS-147, NS-010: 503 with the documented body and a `Retry-After` header; never "not found" for what is unknown."""
    answer = stranded.request(method, path)
    assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (503, "5", AWAY)


def test_a_submission_says_that_redis_is_away(stranded: httpx.Client) -> None:
    """TS-147, SI-010: a valid submission gets 503, and a wrong one is still told what is wrong with it."""
    answer = post(stranded, submission())
    assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (503, "5", AWAY)
    assert post(stranded, submission(priority=9)).status_code == 400


def test_the_basic_check_does_not_need_redis(stranded: httpx.Client) -> None:
    """TS-061: the service is alive, so nobody restarts it for what is not its fault."""
    answer = stranded.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})


def test_the_system_check_tells_what_is_wrong(stranded: httpx.Client) -> None:
    """TS-060: still an answer: 503, unhealthy and disconnected; what cannot be seen is null, not zero."""
    answer = stranded.get("/api/v1/health")
    body = answer.json()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert isinstance(body.pop("uptime"), int)
    assert body.pop("message").startswith("Redis did not answer: ")
    assert body == {
        "status": "unhealthy",
        "redis_status": "disconnected",
        "worker_count": None,
        "queue_sizes": None,
        "system_load": None,
        "error": "service_unavailable",
        "retry_after": 5,
    }


def test_keys_of_the_settings_stay_valid_and_others_stay_wrong(stranded: httpx.Client) -> None:
    """TS-144, NS-010: without Redis a wrong key is still a 401, not a way in."""
    assert stranded.get("/api/v1/tasks/metrics", headers={"X-API-Key": "wrong"}).status_code == 401


def test_it_starts_before_its_redis(own: Site) -> None:
    """NS-010: programs may start in any order; the API waits for Redis and then works, without a restart."""
    own.redis.stop()
    with own.api() as api:
        assert not is_well(api)
        own.redis.start()
        wait_for("the API has found Redis", lambda: is_well(api))
        assert look(api, submitted(api))["status"] == "queued"


def test_it_is_well_again_by_itself_and_nothing_is_half_done(own: Site) -> None:
    """NS-010, TS-147, TS-067, TS-156: what was refused left no trace, what was taken before is there, and all of it works."""
    with own.api() as api:
        kept = submitted(api)
        before = api.get("/api/v1/tasks/metrics").json()["metrics"]
        own.redis.stop()
        assert post(api, submission()).status_code == 503
        assert api.delete(f"/api/v1/tasks/{kept}").status_code == 503
        own.redis.start()
        wait_for("the API is well again", lambda: is_well(api))
        assert look(api, kept)["status"] == "queued"
        assert list(own.redis.client.scan_iter(key("task", "*"))) == [key("task", kept).encode()]
        assert in_line(own.redis) == 1
        assert api.get("/api/v1/tasks/metrics").json()["metrics"] == before
        assert api.delete(f"/api/v1/tasks/{kept}").json()["previous_state"] == "queued"


def test_the_chores_go_on_after_redis_was_away(own: Site) -> None:
    """NS-010: the API takes its turn at the chores again, for late retries and lost workers depend on them."""
    with own.api():
        own.redis.stop()
        own.redis.start()
        wait_for("the API does the chores", lambda: own.redis.client.get(key("upkeep")) == b"api")


def test_a_full_redis_is_not_our_mistake(own: Site) -> None:
    """TS-147, NS-010: a Redis that takes nothing more is 503 too, nothing is there by half, and the chores go on meanwhile."""
    client = own.redis.client
    with own.api() as api:
        late = submitted(api, delay_seconds=5)
        overdue = submitted(api, deadline_seconds=5, priority=1)
        before = api.get("/api/v1/tasks/metrics").json()["metrics"]
        client.config_set("maxmemory", "1")
        assert (post(api, submission()).status_code, in_line(own.redis)) == (503, 0)
        assert set(client.scan_iter(key("task", "*"))) == {key("task", id_).encode() for id_ in (late, overdue)}
        assert api.get("/api/v1/tasks/metrics").json()["metrics"] == before
        wait_for("the delayed task is in line", lambda: in_line(own.redis) == 1, within=20)
        wait_for("the overdue task has ended", lambda: look(api, overdue)["status"] == "failed", within=20)
        assert (client.config_get("maxmemory"), post(api, submission()).status_code) == ({"maxmemory": "1"}, 503)
        client.config_set("maxmemory", "0")
        assert post(api, submission()).status_code == 200
        assert in_line(own.redis) == 2
