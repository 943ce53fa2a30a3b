"""What harms a process, for stock Celery: the same acts as `tests/support/poison.py`, as a task of its app."""

from __future__ import annotations

from typing import Any

from tests.chaos.stock import app, note
from tests.support.poison import ACTS


@app.task(name="stock.harm", bind=True)  # type: ignore[untyped-decorator]  # Celery ships no types
def harm(self: Any, act: str) -> None:
    """Note the start, and do it."""
    note("start", self.request.id)
    ACTS[act](None)  # type: ignore[arg-type]  # those that need no job
