"""A receiver of webhooks as it should be: it checks the signature, answers at once, works later, and does nothing twice.

    pip install fastapi uvicorn
    export WEBHOOK_SECRET=whsec_…                   # GET /api/v1/webhooks/secret, with the key that submits
    uvicorn --app-dir examples webhook_example:app --port 3010

Submit a task with `"callback_url": "https://your-app.com/api/webhooks/task-complete"`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import JSONResponse

log = logging.getLogger("uvicorn.error")
app = FastAPI()

TOLERANCE_S = 300
"""An older request is a replay, or a clock is wrong."""

seen: set[str] = set()
"""Ids of webhooks that were taken on. A real receiver keeps them in its database, with a unique index, for two days."""


def is_genuine(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> bool:
    """Whether the body, as it came, was signed with this secret just now (Standard Webhooks)."""
    message, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    content = f"{message}.{timestamp}.".encode() + body
    digest = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256)
    expected = "v1," + base64.b64encode(digest).decode()
    # Two signatures while the secret is being changed: one that fits is enough.
    return any(hmac.compare_digest(each, expected) for each in headers.get("webhook-signature", "").split(" "))


@app.post("/api/webhooks/task-complete")
async def task_complete(request: Request, background: BackgroundTasks) -> JSONResponse:
    """Take a webhook on. Whatever takes time comes after the answer: after 30 seconds it would be sent again."""
    body = await request.body()
    if not is_genuine(request.headers, body, os.environ["WEBHOOK_SECRET"], time.time()):
        return JSONResponse({"error": "Forbidden"}, 403)
    payload = _read(body)
    if payload is None:
        return JSONResponse({"error": "Invalid payload"}, 400)
    log.info("Webhook received: %s - %s", payload["task_id"], payload["status"])
    webhook_id = request.headers["webhook-id"]
    if webhook_id in seen:
        return JSONResponse({"received": True, "duplicate": True})
    seen.add(webhook_id)
    background.add_task(work, payload)
    return JSONResponse({"received": True})


def _read(body: bytes) -> dict[str, Any] | None:
    """The payload, if it is one."""
    try:
        payload = json.loads(body)
    except ValueError:
        return None
    needed = ("task_id", "status", "project_id")
    return payload if isinstance(payload, dict) and all(payload.get(name) for name in needed) else None


def work(payload: dict[str, Any]) -> None:
    """What your application does with it."""
    if payload["status"] == "completed":
        log.info("%s: %s", payload["task_id"], payload["result"])
    else:
        log.info("%s: %s", payload["task_id"], payload["error"])
