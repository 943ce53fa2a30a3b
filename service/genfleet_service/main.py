"""`genfleet-api`: serves the API. Its subcommands make, list, rotate and revoke API keys."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import socket
import sys
import time

import uvicorn

from genfleet import logs, traces
from genfleet.errors import ConfigurationError, GenfleetError
from genfleet.store.client import SyncStore
from genfleet.store.redis_check import look_at_start
from genfleet.store.rights import Program
from genfleet_service import key_commands
from genfleet_service.app import create_app
from genfleet_service.connections import Connection, Patience, end_late
from genfleet_service.settings import ServiceSettings

MACOS_MOST = 10_240
"""Files that macOS lets a program open, although it names no limit."""


def main() -> int:
    """Parse the command line, read the settings, and do what was asked."""
    parser = argparse.ArgumentParser(prog="genfleet-api", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    key_commands.add_to(commands)
    asked = parser.parse_args()
    try:
        settings = ServiceSettings.load()
        if asked.command is None:
            return _serve(settings)
        asked.act(SyncStore(settings.redis), asked)
    except GenfleetError as error:
        sys.stderr.write(f"genfleet-api: {error}\n")
        return 2
    return 0


class _Server(uvicorn.Server):
    """Hangs up on who is too slow, and says that it stops before it waits for its connections: event streams would keep it waiting."""

    def __init__(self, config: uvicorn.Config, patience: Patience, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._patience, self._stopping = patience, stopping

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; nobody may take for ever to say what they want."""
        if counter % 10 == 0:
            end_late(self.server_state.connections, asyncio.get_running_loop().time(), self._patience)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what goes on for long, then as usual."""
        self._stopping.set()
        await super().shutdown(sockets)


def _serve(settings: ServiceSettings) -> int:
    logs.set_up("api", level=settings.log_level, style=settings.log_format, errors_apart=settings.log_errors_apart)
    traces.set_up("api", os.environ)
    look_at_start(settings.redis, Program.API, time.time())
    stopping = asyncio.Event()
    _take_connections()
    with _listen(settings.host, settings.port) as listener:
        config = uvicorn.Config(
            create_app(settings, stopping),
            log_config=None,
            access_log=False,  # one line a request would cost more than the request
            server_header=False,
            http=Connection,
            ws="none",
            # Who called is written down, see `audit.py`; a header says that only if a proxy of ours wrote it.
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=10,
        )
        server = _Server(config, Patience(settings.head_seconds, settings.request_seconds), stopping)
        server.run(sockets=[listener])
    return 0


def _take_connections() -> None:
    """As many as the system allows us: most start programs with 1,024, which a few hundred listeners would use up."""
    some, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if some == resource.RLIM_INFINITY:
        return
    wanted = max(some, MACOS_MOST) if most == resource.RLIM_INFINITY else most
    with contextlib.suppress(ValueError, OSError):  # then it goes on with those that it has
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _listen(host: str, port: int) -> socket.socket:
    """Take the port, or say who is to blame. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"PORT: cannot listen on {host}:{port} ({error.strerror}). "
            f"Another program may have it (`ss -ltnp 'sport = :{port}'`); stop that or set PORT to a free one"
        ) from error
    return listener


if __name__ == "__main__":
    raise SystemExit(main())
