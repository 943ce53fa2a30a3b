"""Who may call: the keys that are valid now, compared by their digests in constant time (TS-005).

Asked by `gates.KeyGate` for every request; it looks into Redis beside that, every other second.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterable, Iterator

import structlog

from genfleet.contract.limits import NO_LIMITS, Limits
from genfleet.errors import StoreUnavailable
from genfleet.store import api_keys
from genfleet.store.client import AsyncStore
from genfleet.store.records import KeysSeen
from genfleet_service.access import Caller
from genfleet_service.keys import ApiKey, digest

log = structlog.get_logger(__name__)

REFRESH_S = 2.0
"""A key that is made, rotated or revoked counts everywhere within 5 s, the time that Redis has for its answer included."""
_ROUNDS = 200_000
"""Of the derivation of an id; about 50 ms."""


def key_id_of_settings(key: str) -> str:
    """The id of a key of the settings: the same in every process and after every start.

    Ids are shown, and such a key may be a weak one that somebody made up: its id is derived slowly, so that nobody finds
    the key by trying words.
    """
    return "env-" + hashlib.pbkdf2_hmac("sha256", digest(key.encode()), b"genfleet key id", _ROUNDS, 6).hex()


class KeyRing:
    """Every valid key, by its digest: those of the settings, and those in Redis."""

    def __init__(self, keys: Iterable[str], limits: Limits = NO_LIMITS) -> None:
        self._limits = limits
        self._fixed = tuple(
            (digest(key.encode()), Caller(key_id_of_settings(key), "environment", limits=limits)) for key in keys
        )
        self._stored: tuple[tuple[bytes, Caller], ...] = ()
        self._ids = self._known_ids()
        self._used: set[str] = set()

    @property
    def of_settings(self) -> tuple[Caller, ...]:
        """Those whose keys are in the settings."""
        return tuple(caller for _, caller in self._fixed)

    def find(self, key: bytes) -> Caller | None:
        """Whose key this is; None: it is none of ours. Takes as long for any key: every digest is compared."""
        asked, found = digest(key), None
        for known, caller in (*self._fixed, *self._stored):
            if hmac.compare_digest(asked, known):
                found = caller
        if found is not None:
            self._used.add(found.key_id)
        return found

    def still_has(self, key_id: str) -> bool:
        """Whether this key has not been revoked, for what goes on for longer than a request."""
        return key_id in self._ids

    async def refresh(self, store: AsyncStore) -> None:
        """Read the stored keys, and write down which were used. Raises StoreUnavailable; known keys stay valid."""
        self._stored = tuple(self._valid(await store.run(api_keys.read())))
        self._ids = self._known_ids()
        used, self._used = self._used, set()
        if used:
            await store.run(api_keys.note_uses(used))

    def _known_ids(self) -> frozenset[str]:
        return frozenset(caller.key_id for _, caller in (*self._fixed, *self._stored))

    def _valid(self, seen: KeysSeen) -> Iterator[tuple[bytes, Caller]]:
        for key_id, entry in seen.entries.items():
            try:
                key = ApiKey.read(entry)
                caller = key.caller(key_id, self._limits)
                yield from ((known, caller) for known in key.digests(seen.now_ms))
            except ValueError:  # not one of ours; it must not lock everyone else out
                log.warning("key_entry_unreadable", key_id=key_id)

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
