"""TLS before a server that has none: certificates made for the test, and a terminator that asks its clients for theirs."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.servers import free_port

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl on the PATH to make certificates with"
)


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority, a server on loopback and a client, both signed by it."""

    ca: Path
    server: Path
    client: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Keys stand in the same files."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "client.pem")
        _openssl(
            "req", "-x509", *_NEW, "-keyout", folder / "ca.key", "-out", made.ca, "-subj", "/CN=tests", "-days", "2"
        )
        for name, file in (("server", made.server), ("client", made.client)):
            request, extra = folder / f"{name}.csr", folder / f"{name}.ext"
            extra.write_text("subjectAltName=DNS:localhost\n")
            _openssl("req", *_NEW, "-keyout", file, "-out", request, "-subj", f"/CN={name}")
            signed = ("-CA", made.ca, "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", extra)
            _openssl("x509", "-req", "-in", request, *signed, "-out", folder / f"{name}.crt")
            file.write_text(file.read_text() + (folder / f"{name}.crt").read_text())
        return made


_NEW = ("-newkey", "rsa:2048", "-nodes")


def _openssl(*arguments: str | Path) -> None:
    command = [shutil.which("openssl") or "openssl", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass(slots=True)
class Terminator:
    """Takes TLS on `port`, and speaks plainly to the server behind it."""

    port: int
    taken: int = 0
    """Connections whose client showed a certificate of the authority."""


@contextmanager
def terminated(certificates: Certificates, target: int) -> Iterator[Terminator]:
    """A terminator that runs, in a thread of its own."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates.ca))
    context.load_cert_chain(certificates.server)
    context.verify_mode = ssl.CERT_REQUIRED
    made, loop, up = Terminator(free_port()), asyncio.new_event_loop(), threading.Event()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.taken += 1
        with suppress(OSError):
            behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(_pass(reader, behind_writer), _pass(behind_reader, writer))

    async def serve() -> None:
        async with await asyncio.start_server(carry, "127.0.0.1", made.port, ssl=context):
            up.set()
            await asyncio.Event().wait()

    def run() -> None:
        asyncio.set_event_loop(loop)
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    task = loop.create_task(serve())
    thread = threading.Thread(target=run, name="terminator")
    thread.start()
    assert up.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
