"""How an API key looks from outside (NS-012): never its digest, and its secret only in the answer that makes it."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.store.records import KeysSeen
from genfleet_service.access import Caller
from genfleet_service.keys import ApiKey, Made
from genfleet_service.views import maybe_timestamp


class KeyView(TypedDict):
    """A key. A limit that is null is that of the settings, and so is `projects`: all of them."""

    key_id: str
    name: str
    source: str
    """`redis`, or `settings`: then it is changed where the API gets its settings from."""
    scopes: list[str]
    projects: list[str] | None
    submissions_per_minute: int | None
    status_reads_per_minute: int | None
    project_tasks: int | None
    created_at: str | None
    last_used_at: str | None
    previous_valid_until: str | None
    """Until when the secret before the last rotation is good; null: it is not."""


class MadeKey(KeyView):
    """A key with its secret, which is shown this once."""

    api_key: str


class KeyList(TypedDict):
    """Every key."""

    keys: list[KeyView]
    total: int


class RevokedKey(TypedDict):
    """A key that is none any more."""

    key_id: str
    status: str
    message: str


def key_list(seen: KeysSeen, of_settings: tuple[Caller, ...]) -> KeyList:
    """Every key that can be read: those of the settings first, then by age."""
    read = {key_id: ApiKey.read_or_none(entry) for key_id, entry in seen.entries.items()}
    made = sorted(((key_id, key) for key_id, key in read.items() if key), key=lambda row: row[1].created_ms or 0)
    rows = [_of_settings(caller, seen.used_ms.get(caller.key_id)) for caller in of_settings]
    rows += [_view(key_id, key, seen.now_ms, seen.used_ms.get(key_id)) for key_id, key in made]
    return {"keys": rows, "total": len(rows)}


def made_key(made: Made, now_ms: int, used_ms: int | None = None) -> MadeKey:
    """A key that was just made, or given another secret."""
    return {**_view(made.id, made.key, now_ms, used_ms), "api_key": made.secret}


def _view(key_id: str, key: ApiKey, now_ms: int, used_ms: int | None) -> KeyView:
    return {
        "key_id": key_id,
        "name": key.name,
        "source": "redis",
        "scopes": sorted(key.scopes),
        "projects": sorted(key.projects) if key.projects is not None else None,
        "submissions_per_minute": key.submissions_per_minute,
        "status_reads_per_minute": key.status_reads_per_minute,
        "project_tasks": key.project_tasks,
        "created_at": maybe_timestamp(key.created_ms),
        "last_used_at": maybe_timestamp(used_ms),
        "previous_valid_until": maybe_timestamp(key.previous_valid_until_ms(now_ms)),
    }


def _of_settings(caller: Caller, used_ms: int | None) -> KeyView:
    return {
        "key_id": caller.key_id,
        "name": caller.name,
        "source": "settings",
        "scopes": sorted(caller.scopes),
        "projects": None,
        "submissions_per_minute": None,
        "status_reads_per_minute": None,
        "project_tasks": None,
        "created_at": None,
        "last_used_at": maybe_timestamp(used_ms),
        "previous_valid_until": None,
    }
