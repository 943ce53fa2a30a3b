"""Writes down every request that changes something: who asked, for what, from where, and what came of it.

A gate around all others, so that no route can forget it, and refusals are seen as well. An entry is a line of the log, and
is kept in Redis for `GET /api/v1/audit`, but for two kinds. Submissions come by the thousand and would push out all else;
their tasks name the key. A request without a valid key has nobody to name, and anybody could send them for ever.
Nothing of a body goes into an entry, nor of a query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genfleet import logs
from genfleet.errors import StoreUnavailable
from genfleet.store import audit
from genfleet_service.access import Caller, changes, is_protected
from genfleet_service.context import CALLER

log = structlog.get_logger(__name__)

NOT_KEPT = frozenset({"tasks-submit", "tasks-submit_batch"})
LONGEST = 200
"""Characters of what a client chose, such as the path of a request that is none of ours."""

_ABOUT = "genfleet.audit"


def about(request: Request, *, project: str = "", target: str = "") -> None:
    """What a request is about, where its path does not say so. For routes."""
    request.scope[_ABOUT] = {"project": project, "target": target}


class Audit:
    """Around the whole API."""

    def __init__(self, app: ASGIApp, api: FastAPI, actions: Mapping[Any, str]) -> None:
        """`actions`: what each endpoint does, in a word."""
        self.app = app
        self._api = api
        self._actions = actions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, and write down what came of it."""
        if scope["type"] != "http" or not changes(scope["method"]) or not is_protected(scope["path"]):
            await self.app(scope, receive, send)
            return
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            await self._write(scope, status)

    async def _write(self, scope: Scope, status: int) -> None:
        entry = self._entry(scope, status)
        logs.line("audit", **entry)
        if entry["key_id"] is None or entry["action"] in NOT_KEPT:
            return
        try:
            await self._api.state.service.store.run(audit.add(entry))
        except StoreUnavailable as error:
            log.warning("audit_not_kept", reason=str(error))
        except Exception:
            log.exception("audit_not_kept")  # the line above has it

    def _entry(self, scope: Scope, status: int) -> dict[str, Any]:
        caller: Caller | None = scope.get(CALLER)
        params, told = scope.get("path_params", {}), scope.get(_ABOUT, {})
        target = next((value for name, value in params.items() if name != "project_id"), None)
        return {
            "action": self._actions.get(scope.get("endpoint")) or f"{scope['method']} {scope['path']}"[:LONGEST],
            "key_id": caller.key_id if caller else None,
            "name": caller.name if caller else None,
            "project": (told.get("project") or params.get("project_id") or "")[:LONGEST] or None,
            "target": str(told.get("target") or target or "")[:LONGEST] or None,
            "address": scope["client"][0] if scope.get("client") else None,
            "status": status,
        }
