"""A worker for each file of tests of clients: quick, with engines that do what a test's data says."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from genfleet_client import Client, Retries
from tests.clients.front import Front, front_of
from tests.support.servers import KEY, Redis, Site

QUICK = Retries(attempts=3, patience=2.0, limit_patience=4.0)
"""As patient as a test can be."""


@pytest.fixture(scope="module")  # no longer: in the Redis that all share, it would take the tasks of other tests
def _worker(_redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with Site(_redis, tmp_path_factory.mktemp("worker")).worker(concurrency=4):
        yield


@pytest.fixture
def worker(redis_server: Redis, _worker: None) -> None:
    """A worker of gpu_medium; tests that want a task to wait submit a video."""


@pytest.fixture
def front(api: httpx.Client) -> Iterator[Front]:
    """A front of the API that plays tricks."""
    with front_of(api) as front:
        yield front


@pytest.fixture
def client(front: Front) -> Iterator[Client]:
    """A client of the API behind the front."""
    with Client(front.url, KEY, retries=QUICK) as client:
        yield client
