"""`genfleet doctor`: what it sees of an installation that is well and of one that is not, and that programs refuse the latter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.clients.command import genfleet
from tests.support.api_server import KUBECONFIG
from tests.support.sentinels import server
from tests.support.servers import Redis, Site, free_port, program
from tests.support.waiting import wait_for


@pytest.fixture
def evicting(tmp_path: Path) -> Iterator[str]:
    """A Redis that would throw tasks away."""
    port = free_port()
    with server(tmp_path / "evicting", port, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"):
        yield f"redis://127.0.0.1:{port}/0"


def checks(done: Any) -> dict[tuple[str, str], str]:
    """Severities by subject and check."""
    return {(one["subject"], one["check"]): one["severity"] for one in done.json["findings"]}


def test_an_installation_is_examined_by_its_api(api: httpx.Client, tmp_path: Path) -> None:
    """XC-009: over HTTP, with a key that may; it needs nothing else. A queue that nobody serves is told."""
    done = genfleet(api, "doctor", "--json")
    found = checks(done)

    assert done.status == 0, done.err
    assert found["api", "key"] == found["redis", "eviction"] == found["redis", "persistence"] == "ok"
    assert found["queue", "gpu_heavy"] == "warning"

    shown = genfleet(api, "doctor")
    assert "nobody serves it" in shown.out
    assert "noeviction" in shown.out


def test_a_redis_is_examined_directly(evicting: str) -> None:
    """Before there is an API: what is wrong, what it leads to, what to do, and exit status 1."""
    done = genfleet(None, "doctor", "--redis-url", evicting)

    assert done.status == 1
    assert "maxmemory-policy is allkeys-lru" in done.out
    assert "set maxmemory-policy noeviction" in done.out
    assert f"{evicting}" in done.out


def test_what_is_away_or_refused_is_told(api: httpx.Client, redis_server: Redis) -> None:
    """An API that does not answer, a key that it does not know, and one that may not look."""
    away = genfleet(None, "doctor", "--json", GENFLEET_URL=f"http://127.0.0.1:{free_port()}", GENFLEET_API_KEY="x")
    assert (away.status, checks(away)) == (1, {("api", "address"): "failure"})

    wrong = genfleet(api, "doctor", "--json", GENFLEET_API_KEY="wrong")
    assert (wrong.status, checks(wrong)) == (1, {("api", "key"): "failure"})

    limited = api.post("/api/v1/keys", json={"name": "looks", "scopes": ["read"]}).json()["api_key"]
    wait_for("it is known", lambda: api.get("/api/v1/queues", headers={"X-API-Key": limited}).is_success)
    assert api.get("/api/v1/doctor", headers={"X-API-Key": limited}).status_code == 403
    some = genfleet(api, "doctor", "--json", GENFLEET_API_KEY=limited)
    assert (some.status, checks(some)) == (0, {("api", "key"): "unknown"})


@pytest.mark.parametrize("module", ["genfleet_service", "genfleet_workers", "genfleet_operator.main"])
def test_no_program_starts_on_a_redis_that_evicts(evicting: str, site: Site, module: str) -> None:
    """XC-009, M13: exit status 2, the reason and the remedy; no traceback."""
    log = site.folder / "refused.log"
    cluster = site.folder / "kubeconfig"  # of the operator, whose other settings have to be good
    cluster.write_text(KUBECONFIG.format(port=free_port()))
    environment = site.environment(REDIS_URL=evicting, POD_NAMESPACE="x", KUBECONFIG=str(cluster))
    with program(module, log=log, environment=environment) as process:
        assert process.wait(30) == 2

    said = log.read_text()
    assert "maxmemory-policy is allkeys-lru: when memory is full" in said
    assert "set maxmemory-policy noeviction" in said
    assert "Traceback" not in said


def test_a_redis_that_is_set_up_otherwise_later_is_told(site: Site, tmp_path: Path) -> None:
    """XC-009: as after a failover to a replica with another configuration; by an alert, in the log, and until it is mended."""
    port = free_port()
    with server(tmp_path / "redis", port, "--appendonly", "yes") as _:
        url = f"redis://127.0.0.1:{port}/0"
        with site.api(REDIS_URL=url, GENFLEET_ALERT_PERIOD_SECONDS="0.1") as api, redis.Redis(port=port) as client:
            assert api.get("/api/v1/tasks/health").json()["alerts"] == []

            client.config_set("maxmemory-policy", "volatile-lru")

            health = api.get("/api/v1/tasks/health").json()
            assert health["status"] == "critical"
            assert [alert["metric"] for alert in health["alerts"]] == ["redis_eviction"]
            assert "set maxmemory-policy noeviction" in health["alerts"][0]["message"]
            log = site.folder / "api.log"
            wait_for("it is logged", lambda: "alert_raised alert=redis_eviction" in log.read_text())
            client.config_set("maxmemory-policy", "noeviction")
            wait_for("it is over", lambda: "alert_cleared alert=redis_eviction" in log.read_text())
