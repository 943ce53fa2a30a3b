"""An operator as a process of its own, shared by the tests of a file that it has to live through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.operators import Operator, Place, place, queue
from tests.support.servers import Redis, free_port


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Operator]]:
    folder = tmp_path_factory.mktemp("operator")
    redis = Redis(folder, free_port())
    redis.start()
    with place(redis, folder) as made, made.operator() as operator:
        yield made, operator
    redis.stop()


@pytest.fixture
def there(_shared: tuple[Place, Operator]) -> Iterator[Place]:
    """A cluster with one queue and an operator, which has to live through all of these tests."""
    made, operator = _shared
    made.objects.create("generationqueues", queue())
    yield made
    made.pods.silent = False
    made.clear()
    assert operator.alive, "the operator ended"
