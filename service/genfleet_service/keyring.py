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
from genfleet_service.access import Caller

log = structlog.get_logger(__name__)

REFRESH_S = 5.0
"""A key that is made or taken away counts everywhere this soon."""
_ROUNDS = 200_000
"""Of the derivation of an id; about 50 ms."""


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


def key_id_of_settings(key: str) -> str:
    """The id of a key of the settings: the same in every process and after every start.

    Ids are shown, and such a key may be a weak one that somebody made up: its id is derived slowly, so that nobody finds
    the key by trying words.
    """
    return "env-" + hashlib.pbkdf2_hmac("sha256", digest(key.encode()), b"genfleet key id", _ROUNDS, 6).hex()


def _stored(key_id: str, entry: bytes) -> tuple[bytes, Caller] | None:
    """None for an entry that is not one of ours; it must not lock everyone else out."""
    try:
        fields = orjson.loads(entry)
        return bytes.fromhex(fields["sha256"]), Caller(key_id, str(fields["name"]))
    except (ValueError, KeyError, TypeError):
        log.warning("key_entry_unreadable", key_id=key_id)
        return None


class KeyRing:
    """Every valid key, by its digest: those of the settings, and those in Redis."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._fixed = tuple((digest(key.encode()), Caller(key_id_of_settings(key), "environment")) for key in keys)
        self._stored: tuple[tuple[bytes, Caller], ...] = ()

    def find(self, key: bytes) -> Caller | None:
        """Whose key this is; None: it is none of ours. Takes as long for any key: every digest is compared."""
        asked, found = digest(key), None
        for known, caller in (*self._fixed, *self._stored):
            if hmac.compare_digest(asked, known):
                found = caller
        return found

    async def refresh(self, store: AsyncStore) -> None:
        """Read the stored keys. Raises StoreUnavailable; the keys that are known stay valid."""
        entries = await store.run(steps.api_keys())
        self._stored = tuple(filter(None, (_stored(key_id, entry) for key_id, entry in entries.items())))

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
