"""Real parts for every test: one Redis for the session, emptied for each test, and programs started as they are asked for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from genfleet.store.client import SyncStore
from tests.support.servers import Redis, Site, free_port


@pytest.fixture(scope="module", autouse=True)
def _leaks_are_told_where_they_were_made() -> Iterator[None]:
    """Whatever a file of tests leaves open fails there, and not in a test of another file that collects it."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"), free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(_redis: Redis) -> Redis:
    """A real Redis, empty."""
    if _redis.process is None:  # a test stopped it, and failed before it could start it again
        _redis.start()
    _redis.client.flushall()
    return _redis


@pytest.fixture
def store(redis_server: Redis) -> Iterator[SyncStore]:
    """The store on that Redis."""
    opened = SyncStore(redis_server.url)
    yield opened
    opened.close()


@pytest.fixture
def site(redis_server: Redis, tmp_path: Path) -> Site:
    """An installation that starts API and workers when a test asks for them."""
    return Site(redis_server, tmp_path)


@pytest.fixture(scope="session")
def _api(_redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    # It delivers no webhooks and looks for no alerts: those tests run their own, on the same Redis.
    with Site(_redis, tmp_path_factory.mktemp("api")).api(
        GENFLEET_WEBHOOK_CONCURRENCY="0", GENFLEET_ALERT_PERIOD_SECONDS="600"
    ) as client:
        yield client


@pytest.fixture
def api(redis_server: Redis, _api: httpx.Client) -> httpx.Client:
    """A real API over HTTP, with an empty Redis behind it. Shared: tests that change it start their own by `site`."""
    return _api
