"""The steps that keep API keys: entries that only the API can read, and when each key was used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from genfleet.store import records
from genfleet.store.calls import Call, pairs
from genfleet.store.scripts import script


def read() -> Call[records.KeysSeen]:
    """Every API key that was made, and when each was used."""

    def seen(reply: list[Any]) -> records.KeysSeen:
        now_ms, entries, uses = reply
        return records.KeysSeen(
            now_ms,
            {key_id.decode(): entry for key_id, entry in pairs(entries).items()},
            {key_id.decode(): int(at) for key_id, at in pairs(uses).items()},
        )

    return Call(script("api_keys"), (), seen)


def save(key_id: str, entry: bytes, instead_of: bytes = b"") -> Call[bool]:
    """Keeps an API key: its digest and what it may do, never the key itself. False: somebody else changed it."""
    return Call(script("save_api_key"), (key_id, entry, instead_of), bool)


def remove(key_id: str) -> Call[bool]:
    """Revokes an API key. False: there is none."""
    return Call(script("remove_api_key"), (key_id,), bool)


def note_uses(key_ids: Iterable[str]) -> Call[int]:
    """These keys were used just now."""
    return Call(script("note_key_uses"), tuple(key_ids), int)
