"""A primary, its replicas, and the Sentinels that watch them: real ones, from the server that the other tests use."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from genfleet_local.redis_server import find
from tests.support.servers import free_port
from tests.support.waiting import wait_for

MASTER = "renders"
DOWN_AFTER_S = 1.0
"""When the Sentinels take a primary that is silent for gone."""


@contextmanager
def server(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis, or a Sentinel, once it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{port}.log"
    command: list[str | Path] = [find(), *options, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for(f"the server on {port} answers (log: {log})", lambda: answers(port))
        yield process
    finally:
        process.kill()
        process.wait(10)


def answers(port: int) -> bool:
    """Whether somebody is there."""
    with suppress(redis.RedisError), redis.Redis(port=port, socket_timeout=1) as client:
        return bool(client.ping())
    return False


@dataclass(slots=True)
class Watched:
    """Servers, one of which is the primary, and their Sentinels."""

    servers: dict[int, subprocess.Popen[bytes]]
    sentinels: Sequence[int]

    @property
    def url(self) -> str:
        """As kombu writes it."""
        return ";".join(f"sentinel://127.0.0.1:{port}" for port in self.sentinels) + f"/0?master_name={MASTER}"

    @property
    def primary(self) -> int:
        """The port of the one that the Sentinels call so."""
        for port in self.sentinels:
            with suppress(redis.RedisError), redis.Redis(port=port, socket_timeout=1) as client:
                return int(client.sentinel_get_master_addr_by_name(MASTER)[1])
        raise AssertionError("no Sentinel answers")

    @property
    def client(self) -> redis.Redis:
        """The primary, for looking at what is stored."""
        return redis.Redis(port=self.primary)

    def replicates(self) -> bool:
        """Whether every other server that lives is a replica of the primary, and up to date."""
        alive = sum(process.poll() is None for process in self.servers.values())
        with suppress(redis.RedisError), self.client as client:
            told = client.info("replication")
            states = [told[name]["state"] for name in told if name.startswith("slave") and name[5:].isdigit()]
            return told["role"] == "master" and states == ["online"] * (alive - 1)
        return False

    def promote(self) -> float:
        """Have the Sentinels make a replica the primary, orderly. Seconds that it took, as the Sentinels see it."""
        before, began = self.primary, time.monotonic()
        with redis.Redis(port=self.sentinels[0]) as client:
            client.execute_command("SENTINEL", "FAILOVER", MASTER)
        wait_for("another is the primary", lambda: self.primary != before, within=30)
        return time.monotonic() - began

    def kill_primary(self) -> float:
        """End it, as a machine that is gone. Seconds until the Sentinels name another."""
        before, began = self.primary, time.monotonic()
        self.servers[before].kill()
        self.servers[before].wait(10)
        wait_for("another is the primary", lambda: self.primary != before, within=60)
        return time.monotonic() - began


@contextmanager
def watched(folder: Path, *, replicas: int = 2, needed: int = 2, sentinels: int = 3) -> Iterator[Watched]:
    """A primary with so many replicas, watched by so many Sentinels. It writes only while `needed` of the replicas are there."""
    first, *others = (free_port() for _ in range(1 + replicas))
    ports = [free_port() for _ in range(sentinels)]
    kept = ("--appendonly", "yes", "--save", "", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")
    safe = ("--min-replicas-to-write", str(needed), "--min-replicas-max-lag", "3")
    with ExitStack() as stack:
        servers = {}
        for port in (first, *others):
            follows = ("--replicaof", "127.0.0.1", str(first)) if port != first else ()
            command = (*kept, *safe, *follows)
            servers[port] = stack.enter_context(server(folder / f"redis-{port}", port, *command))
        for port in ports:
            config = folder / f"sentinel-{port}.conf"
            config.write_text(
                f"sentinel monitor {MASTER} 127.0.0.1 {first} {sentinels // 2 + 1}\n"
                f"sentinel down-after-milliseconds {MASTER} {round(1000 * DOWN_AFTER_S)}\n"
                f"sentinel failover-timeout {MASTER} 5000\n"
            )
            stack.enter_context(server(folder / f"sentinel-{port}", port, str(config), "--sentinel"))
        made = Watched(servers, ports)
        wait_for("the replicas are up to date", made.replicates, within=30)
        wait_for("the Sentinels know all of them", lambda: _know_all(ports, replicas), within=30)
        yield made


def _know_all(ports: Sequence[int], replicas: int) -> bool:
    for port in ports:
        with redis.Redis(port=port) as client:
            told = client.sentinel_master(MASTER)
        if (told["num-slaves"], told["num-other-sentinels"]) != (replicas, len(ports) - 1):
            return False
    return True
