"""Connections that were reset while nobody used them."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from tests.chaos.proxy import Proxy, proxy
from tests.support.servers import Redis

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_reset_of_an_idle_connection_is_no_error(redis_server: Redis, loop: str) -> None:
    """T6: the next step is made on a new connection, on the loop of the API, too, which says it in its own way."""

    async def resets(link: Proxy) -> None:
        store = AsyncStore(link.url)
        for number in range(20):
            await store.run(capacity.observe(["default"]))
            link.reset_all()
            await asyncio.sleep(0.001 * (number % 5))
            await store.run(capacity.observe(["default"]))
        await store.close()

    with proxy(redis_server.port) as link, asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(resets(link))
