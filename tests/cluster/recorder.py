"""Stands between an operator and the API server: passes everything on, in the operator's name, and notes what was asked.

In an account's name by impersonation, so that the API server judges by that account's rights, and nobody needs its token.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx2
from aiohttp import web
from lightkube import KubeConfig
from lightkube.config.client_adapter import AsyncClient, ConnectionParams

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/[^/]+)?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+)(?P<sub>/[a-z]+)?)?"
)
CREATED = 201
OURS = {"authorization", "connection", "content-encoding", "content-length", "host", "transfer-encoding"}
"""Headers that are not passed on: of one connection, or set for the next."""


class Right(NamedTuple):
    """A verb on a resource of a group, as a rule of a Role grants it."""

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        """As in Kubernetes' refusals."""
        return f"{self.verb} {self.resource}.{self.group}".rstrip(".")


def rights(method: str, path: str, *, watching: bool, status: int) -> set[Right]:
    """What a request needs. An apply that made something (201) needed leave to create it, too."""
    match = PATH.fullmatch(path)
    if not match:
        return set()  # discovery, which is everybody's
    resource = match["plural"] + (match["sub"] or "")
    verb = VERBS.get(method) or ("watch" if watching else "get" if match["name"] else "list")
    verbs = {verb, "create"} if (verb, status) == ("patch", CREATED) else {verb}
    return {Right(each, match["group"] or "", resource) for each in verbs}


@dataclass(slots=True)
class Recorder:
    """The address for the operator, and what it used so far."""

    account: str
    port: int = 0
    used: set[Right] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in OURS}
        headers |= {"Impersonate-User": self.account, "Accept-Encoding": "identity"}
        body = await request.read()
        async with (
            _to_the_cluster() as client,
            client.stream(request.method, request.path_qs, content=body, headers=headers) as answer,
        ):
            watching = request.query.get("watch", "") in {"true", "1"}
            self.used |= rights(request.method, request.path, watching=watching, status=answer.status_code)
            if answer.status_code == web.HTTPForbidden.status_code:
                self.refused.append(f"{request.method} {request.path}")
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in OURS}
            response = web.StreamResponse(status=answer.status_code, headers=passed)
            with contextlib.suppress(ConnectionError):  # who watched has left
                await response.prepare(request)
                async for part in answer.aiter_bytes():
                    await response.write(part)
                await response.write_eof()
            return response

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        """Until told to stop."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        started.set()
        await stop.wait()
        await runner.cleanup()


def _to_the_cluster() -> httpx2.AsyncClient:
    """A client with whatever KUBECONFIG says of address, trust and identity."""
    config = KubeConfig.from_env().get()
    assert config, "KUBECONFIG has no current context"
    return AsyncClient(config, ConnectionParams(timeout=httpx2.Timeout(10, read=None)))


@contextlib.contextmanager
def recording(account: str) -> Iterator[Recorder]:
    """A recorder in front of whichever API server KUBECONFIG names."""
    recorder = Recorder(account)
    loop, started = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(recorder.serve(started, stop)))
    thread.start()
    try:
        assert started.wait(10), "the recorder did not start"
        yield recorder
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
