"""Redis as others run it: behind TLS with certificates on both sides, and behind Sentinels that promote a replica."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from genfleet.errors import StoreUnavailable
from genfleet.redis_address import RedisAddress, Tls
from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.support.sentinels import Watched, watched
from tests.support.servers import Redis, Site, free_port, program
from tests.support.tls import Certificates, needs_openssl, terminated
from tests.support.waiting import wait_for


def submitted(api: httpx.Client, **says: object) -> str:
    """The id of a task that was accepted; asked again, as clients do, while the service is away."""
    body = {"project_id": "p", "task_type": "generate_image", "task_data": {"prompt": "x", **says}}

    def accepted() -> str | None:
        answer = api.post("/api/v1/tasks/submit", json=body)
        assert answer.status_code in (200, 201, 202, 503), answer.text
        return answer.json()["task_id"] if answer.is_success else None

    return wait_for("it is accepted", accepted, within=30) or ""


def completed(api: httpx.Client, task_id: str, within: float = 30) -> bool:
    """Whether it is, at last."""

    def over() -> str | None:
        answer = api.get(f"/api/v1/tasks/{task_id}/status")
        return answer.json()["status"] if answer.is_success and answer.json()["completed_at"] else None

    return wait_for(f"{task_id} ends", over, within=within) == "completed"


@needs_openssl
def test_everything_works_over_tls_with_a_client_certificate(redis_server: Redis, tmp_path: Path) -> None:
    """S10: API, event streams, worker and kombu speak TLS, show their certificate, and believe only the right authority."""
    made = Certificates.make(tmp_path / "certificates")
    with terminated(made, redis_server.port) as end:
        url = f"rediss://localhost:{end.port}/0"
        trusted = {"GENFLEET_REDIS_CA": str(made.ca), "GENFLEET_REDIS_CERT": str(made.client)}
        site = Site(redis_server, tmp_path)
        environment = {"REDIS_URL": url, **trusted}
        with site.api(**environment) as api, site.worker("gpu_medium", "worker", 1, **environment):
            task_id = submitted(api)
            with api.stream("GET", f"/api/v1/tasks/{task_id}/events") as events:  # heard over a subscription
                assert any("completed" in line for line in events.iter_lines())
            assert completed(api, task_id)
            assert "defaulting to insecure SSL" not in (tmp_path / "worker.log").read_text()
        # Each of the programs has connections of its own; kombu's are among the worker's.
        assert end.taken >= 6

        stranger = SyncStore(RedisAddress.of(url))
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            stranger.run(steps.task("x"))
        stranger.close()
        misnamed = SyncStore(RedisAddress.of(f"rediss://127.0.0.1:{end.port}", tls=Tls(made.ca, made.client)))
        with pytest.raises(StoreUnavailable, match="certificate is not valid for"):
            misnamed.run(steps.task("x"))
        misnamed.close()


@needs_openssl
def test_a_worker_does_not_take_any_certificate_for_that_of_redis(redis_server: Redis, tmp_path: Path) -> None:
    """S10: kombu by itself would: a worker that is not told the authority connects neither its store nor its broker."""
    made = Certificates.make(tmp_path / "certificates")
    with terminated(made, redis_server.port) as end:
        environment = Site(redis_server, tmp_path).environment(
            REDIS_URL=f"rediss://localhost:{end.port}/0", GENFLEET_REDIS_CERT=str(made.client)
        )
        log = tmp_path / "worker.log"
        with program("genfleet_workers", "--queue", "gpu_medium", log=log, environment=environment):
            wait_for(
                "kombu refuses it",
                lambda: any(
                    "broker_unreachable" in line and "verify failed" in line for line in log.read_text().splitlines()
                ),
                within=30,
            )


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Watched]:
    """Three servers and three Sentinels."""
    with watched(tmp_path, needed=1) as made:
        yield made


def test_everybody_follows_the_promotion_of_a_replica(sentinels: Watched, tmp_path: Path) -> None:
    """F23, F24: API, listeners, worker and kombu go on with the new primary, although the old one still answers for a while."""
    site = Site(Redis(tmp_path, free_port()), tmp_path)
    environment = {"REDIS_URL": sentinels.url}
    with site.api(**environment) as api, _worker(site, environment):
        assert completed(api, submitted(api))
        marks = tmp_path / "marks"
        running = submitted(api, seconds=4, marks=str(marks))
        wait_for("it runs", lambda: api.get(f"/api/v1/tasks/{running}/status").json()["status"] == "processing")

        sentinels.promote()

        assert completed(api, running)
        assert marks.read_text().count("end") == 1, "what ran through the promotion was settled, once"
        assert completed(api, submitted(api))
        listened = submitted(api, seconds=1)
        with api.stream("GET", f"/api/v1/tasks/{listened}/events") as events:
            assert any("completed" in line for line in events.iter_lines())


def _worker(site: Site, environment: dict[str, str]) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Known to be there by what it does: `Site.worker` would look for it in a Redis of its own."""
    more = site.environment(GENFLEET_ENGINES="tests.support.engines:engines", **environment)
    return program("genfleet_workers", "--queue", "gpu_medium", log=site.folder / "worker.log", environment=more)
