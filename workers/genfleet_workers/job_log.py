"""Passes on what an engine says of its work, so much and no more. Used by an attempt; read at `GET /tasks/{id}/logs`."""

from __future__ import annotations

import time

from genfleet.errors import StoreUnavailable
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet.store.records import Lease
from genfleet_workers.engines.base import Level

LINES, CHARACTERS = 200, 500
"""Kept of one attempt, and of one line."""
AGAIN_S = 2.0
"""Lines wait this long when Redis could not be reached: the work itself must not wait for them."""

_TOO_MANY = f"The log of an attempt has {LINES} lines; what else was said is left out"


class JobLog:
    """The log of one attempt. Never raises: work goes on whether or not it can be told of."""

    def __init__(self, store: SyncStore, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._said = 0
        """Lines so far, with those that wait."""
        self._waiting: list[tuple[str, str]] = []
        self._not_before = 0.0

    def __call__(self, message: str, level: Level = "info") -> None:
        """Say a line."""
        if self._said > LINES:
            return
        self._said += 1
        self._waiting.append((level, readable(message)) if self._said <= LINES else ("warning", _TOO_MANY))
        if time.monotonic() >= self._not_before:
            self.flush()

    def flush(self) -> None:
        """Pass on what waits. A line that arrives twice, because a reply was lost, is kept once."""
        if not self._waiting:
            return
        first = self._said - len(self._waiting) + 1
        try:
            self._store.run(steps.log(self._lease.task_id, self._lease.token, first, self._waiting))
        except StoreUnavailable:
            self._not_before = time.monotonic() + AGAIN_S
        else:
            self._waiting.clear()  # also if the task is no longer ours: who reports progress is told so


def readable(message: str) -> str:
    """A line as it is kept: not too long, and nothing in it that moves a terminal's cursor."""
    shown = "".join(letter if letter.isprintable() else " " for letter in message.strip()[: CHARACTERS + 1])
    return shown if len(shown) <= CHARACTERS else shown[: CHARACTERS - 1] + "…"
