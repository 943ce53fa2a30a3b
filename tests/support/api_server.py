"""An API server over real HTTP that can be made to fail in ways in which a real one will not on demand.

HTTP and the discovery documents are kmock's; its emulator knows no resource versions, no server-side apply and no label
selectors, so objects are ours. It runs in a thread: tests, and the operators they start, just talk to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import kmock
import orjson
from aiohttp import web

from tests.support.api_objects import KINDS, Change, Json, Manager, Objects, Refused, has_labels
from tests.support.servers import free_port

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test, namespace: default}}}}]
clusters: [{{name: test, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: test, user: {{token: test}}}}]
"""
BACKBONE = {
    "namespaces": ("v1", "Namespace"),
    "customresourcedefinitions": ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
}
"""What kopf waits for in the discovery documents before it watches anything; with its default settings it watches them, too."""
SERVED = KINDS | BACKBONE


@dataclass(frozen=True)
class Ask:
    """A request, as faults and tests look at it."""

    verb: str
    """list, watch, get, create, replace, apply, patch or delete."""
    plural: str
    below: str
    """The subresource."""
    namespace: str | None
    name: str
    body: Any
    at: float
    """When it came (monotonic)."""

    @property
    def writes(self) -> bool:
        """Whether it is to change something."""
        return self.verb not in ("list", "watch", "get")

    @property
    def of_work(self) -> bool:
        """Whether it changes what runs, rather than a report or a lease."""
        return self.writes and self.plural in ("deployments", "pods")


Answer = Callable[[], web.Response]


@dataclass
class Fault:
    """What happens to requests instead of an answer."""

    picks: Callable[[Ask], bool]
    answer: Answer | None = None
    """In place of ours."""
    hangs: bool = False
    """It is never answered."""
    done: bool = False
    """It is carried out before. One that changes nothing is answered as ever."""
    times: float = float("inf")
    hits: list[Ask] = field(default_factory=list)


def refusal(code: int, message: str, reason: str = "", *causes: Json, retry_after: int | None = None) -> Answer:
    """A refusal in the server's own form."""
    body = {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": {"causes": list(causes)},
    }
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return lambda: _json(body, code, **headers)


def _json(body: Json, status: int = 200, **headers: str) -> web.Response:
    """As the real one says it: lightkube reads a refusal only if its type is this, without a charset."""
    return web.Response(body=orjson.dumps(body), status=status, headers={"Content-Type": "application/json", **headers})


class _Front(kmock.KubernetesScaffold):
    """Kmock's parsing of requests and its discovery, with our answers to all else."""

    server: ApiServer

    async def __call__(self, raw_request: web.BaseRequest) -> web.StreamResponse:
        """Kmock cannot read this one path, which only kopf's default settings ask for."""
        if raw_request.path == "/api/v1/namespaces":
            return await self.server.answer_namespaces(raw_request)
        answer: web.StreamResponse = await super().__call__(raw_request)
        return answer

    async def _handle(self, request: Any) -> web.StreamResponse:
        if request.resource is None or request.resource.plural not in SERVED:
            answer: web.StreamResponse = await super()._handle(request)
            return answer
        return await self.server.answer(request)


class ApiServer:
    """The server, its objects, and every request that came."""

    def __init__(self, folder: Path) -> None:
        self.objects = Objects(on_change=self._wake)
        self.asked: list[Ask] = []
        self.faults: list[Fault] = []
        self.silent = False
        """Watches stay open, and tell nothing."""
        self.repeats = False
        """Watches tell everything twice, and what was before it after it: as if they had been set back."""
        self.port = free_port()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(KUBECONFIG.format(port=self.port))
        self._front = _Front()
        self._front.server = self
        for plural, (version, kind) in SERVED.items():
            self._declare(plural, version, kind)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="api-server")
        self._listening: kmock.Server | None = None
        self._changed = asyncio.Event()
        self._over = asyncio.Event()

    def _declare(self, plural: str, version: str, kind: str) -> None:
        """For discovery."""
        about = kmock.ResourceInfo(
            kind=kind,
            singular=kind.lower(),
            verbs={"get", "list", "watch", "create", "patch", "delete"},
            subresources={"status"},
            namespaced=plural in KINDS,
        )
        self._front.resources[f"{version}/{plural}"] = about

    # -- for tests -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self) -> Iterator[ApiServer]:
        """Answer while the block runs."""
        self._thread.start()
        self._run(self._front.__aenter__())
        self.start()
        try:
            yield self
        finally:
            self.stop()
            self._run(self._front.__aexit__(None, None, None))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def start(self) -> None:
        """Take connections."""

        async def start() -> None:
            self._over.clear()
            self._listening = kmock.Server(self._front, "127.0.0.1", self.port)
            await self._listening.__aenter__()

        self._run(start())

    def stop(self) -> None:
        """Close every connection, and refuse new ones."""

        async def stop() -> None:
            self._over.set()
            self._changed.set()
            if self._listening:
                await self._listening.__aexit__(None, None, None)
            self._listening = None

        self._run(stop())

    def cut_watches(self) -> None:
        """End every watch that is open, as a server does after some minutes."""

        async def cut() -> None:
            self._over.set()
            self._changed.set()
            await asyncio.sleep(0)
            self._over = asyncio.Event()

        self._run(cut())

    @contextlib.contextmanager
    def fails(
        self,
        picks: Callable[[Ask], bool],
        answer: Answer | None = None,
        *,
        hangs: bool = False,
        done: bool = False,
        times: float = float("inf"),
    ) -> Iterator[Fault]:
        """Treat such requests so while the block runs. Without an answer: the connection is closed."""
        fault = Fault(picks, answer, hangs=hangs, done=done, times=times)
        self.faults.append(fault)
        try:
            yield fault
        finally:
            self.faults.remove(fault)

    def asked_for(self, picks: Callable[[Ask], bool], *, since: float = 0.0) -> list[Ask]:
        """The requests of a kind, since a moment."""
        return [ask for ask in list(self.asked) if ask.at >= since and picks(ask)]

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._changed.set)

    # -- for clients ---------------------------------------------------------------------------------------------------

    async def answer(self, request: Any) -> web.StreamResponse:
        """The answer to a request for objects, or what a fault makes of it."""
        ask = _ask(request)
        self.asked.append(ask)
        fault = next((fault for fault in self.faults if len(fault.hits) < fault.times and fault.picks(ask)), None)
        if fault is None:
            return await self._carry_out(ask, request)
        if fault.done:
            before = self.objects.version
            answer = await self._carry_out(ask, request)
            if self.objects.version == before:
                return answer
        fault.hits.append(ask)
        if fault.hangs:
            await self._over.wait()
        if fault.answer:
            return fault.answer()
        request._raw_request.transport.abort()
        return web.Response(status=500)

    async def _carry_out(self, ask: Ask, request: Any) -> web.StreamResponse:
        try:
            if ask.verb == "watch":
                return await self._watch(ask, request)
            return _json(self._do(ask, request.params))
        except Refused as refused:
            return refusal(refused.code, str(refused), refused.reason, *refused.causes)()

    async def answer_namespaces(self, raw_request: web.BaseRequest) -> web.StreamResponse:
        """There is one, and there never is any news of it."""
        if "watch" not in raw_request.query:
            one = {"metadata": {"name": "default", "uid": "default", "resourceVersion": "1"}}
            return _json(
                {"apiVersion": "v1", "kind": "NamespaceList", "metadata": {"resourceVersion": "1"}, "items": [one]}
            )
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(raw_request)
        await self._over.wait()
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response

    def _do(self, ask: Ask, params: Any) -> Json:
        key = (ask.plural, ask.namespace or "", ask.name)
        manager = Manager(params.get("fieldManager", "unknown"), "Update", ask.below)
        act = {
            "list": lambda: self._list(ask, params),
            "get": lambda: self.objects.get(*key),
            "create": lambda: self.objects.create(ask.plural, ask.body),
            "replace": lambda: self.objects.replace(ask.plural, ask.body),
            "patch": lambda: (
                self.objects.patch(key, ask.body)
                if isinstance(ask.body, list)
                else self.objects.merge(key, ask.body, manager)
            ),
            "apply": lambda: self.objects.apply(
                key, ask.body, replace(manager, operation="Apply"), force=params.get("force") == "true"
            ),
            "delete": lambda: self.objects.delete(*key),
        }
        return act[ask.verb]()

    def _list(self, ask: Ask, params: Any) -> Json:
        version, kind = SERVED[ask.plural]
        meta = {"resourceVersion": str(self.objects.version)}
        items = self.objects.find(ask.plural, ask.namespace, _labels(params))
        return {"apiVersion": version, "kind": f"{kind}List", "metadata": meta, "items": items}

    async def _watch(self, ask: Ask, request: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request._raw_request)
        with contextlib.suppress(ConnectionError):
            async for line in self._told(ask, int(request.params.get("resourceVersion") or 0), _labels(request.params)):
                await response.write(orjson.dumps(line) + b"\n")
            await response.write_eof()
        return response

    async def _told(self, ask: Ask, since: int, labels: Json) -> AsyncIterator[Json]:
        over = self._over
        while not over.is_set():
            self._changed.clear()
            if since < self.objects.forgotten:
                gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                yield {"type": "ERROR", "object": gone}
                return
            for change in [] if self.silent else [one for one in list(self.objects.history) if one.version > since]:
                since = change.version
                home = change.object["metadata"]["namespace"]
                if change.plural == ask.plural and ask.namespace in (None, home) and has_labels(change.object, labels):
                    for one in (change, *self._earlier(change), change) if self.repeats else (change,):
                        yield {"type": one.type, "object": one.object}
            await self._news(over)

    def _earlier(self, change: Change) -> list[Change]:
        """What was told of the same object before, the last few."""
        meta = change.object["metadata"]
        return [
            one
            for one in list(self.objects.history)
            if one.plural == change.plural
            and one.version < change.version
            and one.object["metadata"]["uid"] == meta["uid"]
        ][-3:]

    async def _news(self, over: asyncio.Event) -> None:
        """Several watches share one event, so each looks again after a moment anyway."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await (over if self.silent else self._changed).wait()


def _ask(request: Any) -> Ask:
    method, name, kind = request.method.value, request.name, request.headers.get("Content-Type", "")
    body = orjson.loads(request.body) if request.body else None
    if method == "GET":
        verb = "get" if name else "watch" if request.params.get("watch") == "true" else "list"
    elif method == "PATCH":
        verb = "apply" if "apply-patch" in kind else "patch"
    else:
        verb = {"POST": "create", "PUT": "replace", "DELETE": "delete"}[method]
    name = name or (body["metadata"].get("name", "") if isinstance(body, dict) else "")
    return Ask(
        verb, request.resource.plural, request.subresource or "", request.namespace, name, body, time.monotonic()
    )


def _labels(params: Any) -> Json:
    selector = params.get("labelSelector", "")
    return dict(part.split("=", 1) for part in selector.split(",") if "=" in part)
