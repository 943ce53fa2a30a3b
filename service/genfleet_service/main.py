"""`genfleet-api`: serves the API. `genfleet-api create-key NAME`: makes an API key and shows it, once."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys

import uvicorn

from genfleet import logs
from genfleet.errors import ConfigurationError, GenfleetError
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet_service.app import create_app
from genfleet_service.keyring import new_key
from genfleet_service.settings import ServiceSettings


def main() -> int:
    """Parse the command line, read the settings, and do what was asked."""
    parser = argparse.ArgumentParser(prog="genfleet-api", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    create = commands.add_parser("create-key", help="make an API key and show it, once")
    create.add_argument("name", help="whose key it is, e.g. auto-movie")
    asked = parser.parse_args()
    try:
        settings = ServiceSettings.load()
        return _create_key(settings, asked.name) if asked.command == "create-key" else _serve(settings)
    except GenfleetError as error:
        sys.stderr.write(f"genfleet-api: {error}\n")
        return 2


def _create_key(settings: ServiceSettings, name: str) -> int:
    made, store = new_key(name), SyncStore(settings.redis_url)
    store.run(steps.save_api_key(made.id, made.entry))
    sys.stdout.write(f"{made.secret}\n")
    return 0


class _Server(uvicorn.Server):
    """Says that it stops before it waits for its connections: event streams would keep it waiting."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what goes on for long, then as usual."""
        self._stopping.set()
        await super().shutdown(sockets)


def _serve(settings: ServiceSettings) -> int:
    logs.set_up("api", level=settings.log_level, style=settings.log_format)
    stopping = asyncio.Event()
    with _listen(settings.host, settings.port) as listener:
        config = uvicorn.Config(
            create_app(settings, stopping),
            log_config=None,
            access_log=False,  # one line a request would cost more than the request
            server_header=False,
            proxy_headers=False,  # nothing here depends on the caller's address
            timeout_graceful_shutdown=10,
        )
        server = _Server(config, stopping)
        server.run(sockets=[listener])
    return 0


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
