"""Webhooks as services make them themselves: a Celery task that posts, as the first answers to "celery webhook" have it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.chaos.stock import app


@app.task(name="home_made.notify", bind=True, autoretry_for=(httpx.HTTPError,), max_retries=3, retry_backoff=True)  # type: ignore[untyped-decorator]  # Celery ships no types
def notify(_self: Any, url: str, body: dict[str, Any]) -> None:
    """Tell whoever asked for it how a task ended."""
    httpx.post(url, json=body, timeout=30, follow_redirects=True).raise_for_status()
