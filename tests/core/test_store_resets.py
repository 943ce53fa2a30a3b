"""Connections that were reset while nobody used them."""

from __future__ import annotations

import asyncio

import pytest
import redis
import redis.asyncio
import uvloop

from genfleet.redis_address import RedisAddress
from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from genfleet.store.connections import async_client
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


@pytest.mark.parametrize("loop", LOOPS)
def test_a_reset_in_the_middle_of_a_greeting_is_one_of_the_connection(redis_server: Redis, loop: str) -> None:
    """T6: while a connection is made several words are written to it, and a reset may come before any of them."""

    async def writes() -> None:
        client = async_client(RedisAddress.of(redis_server.url))
        connection = await client.connection_pool.get_connection()
        connection._writer.transport.abort()
        await asyncio.sleep(0.01)
        with pytest.raises(redis.ConnectionError):
            await _say(connection)
        await client.connection_pool.release(connection)
        await client.aclose()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(writes())


async def _say(connection: redis.asyncio.Connection) -> None:
    await connection.send_packed_command(connection.pack_command("SELECT", 0), check_health=False)
    await connection.read_response()
