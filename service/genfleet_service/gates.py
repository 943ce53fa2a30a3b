"""What every request passes before its route: the size of its body, its key, and a net for what nobody caught.

Plain ASGI: these run for every request, and the framework's own middleware would cost as much as the whole route.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

import structlog
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genfleet.errors import StoreUnavailable
from genfleet_service import access, replies
from genfleet_service.context import CALLER
from genfleet_service.keyring import KeyRing

log = structlog.get_logger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),  # caches on the way do not know that our answers depend on the key
)
"""What an answer says unless it says otherwise: it is data for whoever asked, and no page, script or frame."""


class KeyGate:
    """Everything under /api/v1 needs a key with the scope for it.

    /api/v1/health takes none, but refuses a wrong one (PI-008, TS-144, NS-012). Whose key it is goes along with the request: see `context.caller_of`.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, *, health_needs_key: bool) -> None:
        self.app = app
        self._keys = keys
        self._health_needs_key = health_needs_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or answer 401 or 403."""
        if scope["type"] == "http" and access.is_protected(scope["path"]):
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal.reply()(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> replies.Refusal | None:
        key = next((value for name, value in scope["headers"] if name == b"x-api-key"), None)
        if key is None:
            is_open = access.is_health(scope["path"]) and not self._health_needs_key
            return None if is_open else replies.unauthorized()
        caller = self._keys.find(key)
        if caller is None:
            return replies.unauthorized()
        scope[CALLER] = caller
        needed = access.scope_needed(scope["method"], scope["path"])
        if needed is not None and needed not in caller.scopes:
            return replies.forbidden(f"This API key lacks the scope '{needed}'")
        return None


class BodyGate:
    """Refuses bodies over the limit, by what they announce or else by what arrives."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or answer 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._limit:
                await replies.too_large(self._limit).reply()(scope, receive, send)
                return
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > self._limit:
                raise replies.too_large(self._limit)
            return message

        await self.app(scope, counted, send)


class Express:
    """Answers the two busiest requests without the framework: they are matched here, and their routes called at once.

    The same functions are registered as routes, for the document and for whoever calls the framework's app alone.
    Measured: routing, dependencies and the framework's middleware cost more than validation and Redis together.
    """

    def __init__(self, api: FastAPI, routes: Sequence[tuple[str, re.Pattern[str], Endpoint]]) -> None:
        self.app = api
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it here, or pass it on."""
        if scope["type"] == "http":
            for method, path, endpoint in self._routes:
                if scope["method"] == method and (found := path.fullmatch(scope["path"])):
                    scope["app"], scope["endpoint"], scope["path_params"] = self.app, endpoint, found.groupdict()
                    response = await endpoint(Request(scope, receive))
                    await response(scope, receive, send)
                    return
        await self.app(scope, receive, send)


class Net:
    """Turns what was raised into the documented body, and gives every answer its headers. Outermost, so nothing leaves bare."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer whatever was not answered."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in _HEADERS if each[0] not in given)]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if scope["type"] != "http":
                raise
            refusal = refusal_of(error)
            if not started:
                await refusal.reply()(scope, receive, noted)


def refusal_of(error: Exception) -> replies.Refusal:
    """The documented answer to an error; what is our fault is logged."""
    match error:
        case replies.Refusal():
            return error
        case ClientDisconnect():
            return replies.incomplete()  # nobody hears it
        case StoreUnavailable():
            log.warning("store_unavailable", reason=str(error))
            return replies.unavailable()
        case _:
            log.error("unexpected", exc_info=error)
            return replies.broken()
