"""Who may call: API keys, kept as SHA-256 digests and compared in constant time (TS-005).

A key has 256 random bits, so one round of SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
import structlog

from genfleet.errors import StoreUnavailable
from genfleet.store import steps
from genfleet.store.client import AsyncStore

log = structlog.get_logger(__name__)

REFRESH_S = 5.0
"""A key that is made or taken away counts everywhere this soon."""


def digest(key: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key).digest()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is shown, once, and the entry that is kept."""

    id: str
    secret: str
    entry: bytes


def new_key(name: str, secret: str = "") -> NewKey:
    """Make a key, or an entry for a key that exists."""
    key_id = secrets.token_hex(6)
    shown = secret or f"gf_{key_id}_{secrets.token_urlsafe(32)}"
    return NewKey(key_id, shown, orjson.dumps({"name": name, "sha256": digest(shown.encode()).hex()}))


def _stored_digest(key_id: str, entry: bytes) -> bytes | None:
    """None for an entry that is not one of ours; it must not lock everyone else out."""
    try:
        return bytes.fromhex(orjson.loads(entry)["sha256"])
    except (ValueError, KeyError, TypeError):
        log.warning("key_entry_unreadable", key_id=key_id)
        return None


class KeyRing:
    """The digests of every valid key: those of the settings, and those in Redis."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._fixed = tuple(digest(key.encode()) for key in keys)
        self._stored: tuple[bytes, ...] = ()

    def accepts(self, key: bytes) -> bool:
        """Whether this is one of ours. Takes as long for any key: every digest is compared."""
        asked, found = digest(key), False
        for known in (*self._fixed, *self._stored):
            found |= hmac.compare_digest(asked, known)
        return found

    async def refresh(self, store: AsyncStore) -> None:
        """Read the stored keys. Raises StoreUnavailable; the keys that are known stay valid."""
        entries = await store.run(steps.api_keys())
        self._stored = tuple(filter(None, (_stored_digest(key_id, entry) for key_id, entry in entries.items())))

    async def follow(self, store: AsyncStore) -> None:
        """Refresh for as long as the program runs."""
        while True:
            try:
                await self.refresh(store)
            except StoreUnavailable as error:
                log.warning("keys_not_refreshed", reason=str(error))
            except Exception:
                log.exception("keys_not_refreshed")  # those that are known stay valid, and the next round may do better
            await asyncio.sleep(REFRESH_S)
