"""What holds for the tests of the core."""

from __future__ import annotations

import pytest

from genfleet.contract.keys import key
from tests.support.servers import Redis


@pytest.fixture
def redis_server(redis_server: Redis) -> Redis:
    """An empty Redis whose chores nobody does but the test: the API that other tests share may be up, and takes turns at it."""
    redis_server.client.set(key("upkeep"), "test", px=60_000)
    return redis_server
