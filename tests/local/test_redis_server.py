"""The embedded Redis: where it listens, what it keeps, and what is said when it cannot start."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import redis

from genfleet.errors import ConfigurationError
from genfleet_local.home import Home
from genfleet_local.processes import Parts
from genfleet_local.redis_server import RedisServer
from tests.local.installation import processes_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home for a Redis."""
    made = Home(tmp_path / "home")
    made.make()
    return made


@asynccontextmanager
async def started(home: Home) -> AsyncIterator[redis.Redis]:
    """A connection to the Redis of this home, which runs meanwhile."""
    server = RedisServer(home, Parts())
    await server.start(dict(os.environ))
    try:
        with redis.Redis.from_url(server.url) as client:
            yield client
    finally:
        await server.stop()


def test_it_loses_nothing_and_listens_on_no_port(home: Home) -> None:
    """TS-157, XC-009: append-only file on, nothing is evicted, and only its owner can connect, by a socket."""

    async def test() -> None:
        async with started(home) as client:
            settings = client.config_get()
            assert settings["appendonly"] == "yes"
            assert settings["maxmemory-policy"] == "noeviction"
            assert stat.S_IMODE(home.socket.stat().st_mode) == 0o700
            (process,) = processes_of(home.folder)
            assert [
                each for each in process.net_connections() if each.status == psutil.CONN_LISTEN and each.laddr
            ] == []

    asyncio.run(test())


def test_data_survives_a_restart(home: Home) -> None:
    """NS-010: what was written is there again; between the two no socket and no process is left."""

    async def test() -> None:
        async with started(home) as client:
            client.set("kept", "yes")
        assert not home.socket.exists()
        assert processes_of(home.folder) == []
        async with started(home) as client:
            assert client.get("kept") == b"yes"

    asyncio.run(test())


def test_a_home_with_a_long_path_works_as_well(tmp_path: Path) -> None:
    """Its socket is elsewhere, in a folder that only its owner can enter and that is gone afterwards."""
    home = Home(tmp_path / ("d" * 100))
    home.make()

    async def test() -> None:
        for _ in range(2):
            async with started(home) as client:
                assert client.ping()
                assert home.socket.is_relative_to(tempfile.gettempdir())
                assert stat.S_IMODE(home.socket.parent.stat().st_mode) == 0o700
            assert not home.socket.parent.exists()

    asyncio.run(test())


def test_a_program_that_cannot_start_is_reported_with_its_log(home: Home) -> None:
    """Its own last words say why, and nobody has to look for them. Here its folder is gone."""
    home.redis.rmdir()

    async def test() -> None:
        with pytest.raises(ConfigurationError, match=rf"(?s)-server did not start:\n.*Can't chdir to '{home.redis}'"):
            async with started(home):
                pass

    asyncio.run(test())
    assert processes_of(home.folder) == []
