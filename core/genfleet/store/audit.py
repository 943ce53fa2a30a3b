"""The audit log that is kept in Redis: who changed what, the newest of it. Written by the API, read by those with the scope `admin`.

Each entry is a line of the program's log as well, and that is the one to keep for long: this one is capped, and as safe as
Redis is.
"""

from __future__ import annotations

from typing import Any

import orjson

from genfleet.store.calls import Call
from genfleet.store.scripts import script

KEPT = 10_000
"""Entries, about."""


def add(entry: dict[str, Any]) -> Call[str]:
    """Appends an entry; its id, which begins with the time in ms."""
    return Call(script("audit_add"), (KEPT, orjson.dumps(entry)), bytes.decode)


def read(limit: int, before: str = "") -> Call[list[tuple[str, dict[str, Any]]]]:
    """The newest entries with their ids, or those before an id."""

    def entries(reply: list[Any]) -> list[tuple[str, dict[str, Any]]]:
        return [(number.decode(), orjson.loads(fields[1])) for number, fields in reply]

    return Call(script("audit_read"), (limit, before), entries)
