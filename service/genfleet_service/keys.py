"""An API key as it is made, kept and changed: values.

`keyring.py` knows which are valid; people make and change them by `routes/keys.py` and `key_commands.py`. Only the SHA-256 of a key is kept. A key has 256 random bits, so one round is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, WithJsonSchema, field_validator

from genfleet.contract.limits import Limits
from genfleet_service.access import Caller, Scope

GRACE = timedelta(days=1)
"""How long the old key is good after a rotation, if nobody says otherwise."""
LONGEST_GRACE = timedelta(days=30)

Limit = Annotated[int, Field(ge=0, strict=True)]
OneScope = Annotated[Scope, WithJsonSchema({"type": "string", "enum": [*Scope]})]
"""Written out where it is used: the body of a request is described in one piece."""
ProjectName = Annotated[str, Field(min_length=1, max_length=255)]
"""As a submission may name it (TS-009)."""
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def digest(key: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key).digest()


_TWICE_IS_ONCE: dict[str, JsonValue] = {"uniqueItems": False}
"""What is named twice is not refused, so the document does not forbid it."""


class KeyTerms(BaseModel):
    """What a key is to be good for: the body of a request for one. A limit that is not given is that of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["auto-movie"])]
    """Whose it is."""
    scopes: Annotated[frozenset[OneScope], Field(min_length=1, json_schema_extra=_TWICE_IS_ONCE)] = frozenset(
        {Scope.SUBMIT, Scope.READ}
    )
    projects: Annotated[frozenset[ProjectName], Field(min_length=1, json_schema_extra=_TWICE_IS_ONCE)] | None = None
    """The only projects that it may use and see."""
    submissions_per_minute: Limit | None = None
    """0: as many as it likes; and so for the others."""
    status_reads_per_minute: Limit | None = None
    project_tasks: Limit | None = None

    @field_validator("projects")
    @classmethod
    def _no_way_around(cls, projects: frozenset[str] | None, info: ValidationInfo) -> frozenset[str] | None:
        if projects is not None and Scope.ADMIN in info.data.get("scopes", ()):
            raise ValueError("must not be given with the scope admin: such a key could make one for every project")
        return projects


class ApiKey(KeyTerms):
    """A key as Redis keeps it. An entry with no more than `name` and `sha256` is an older one, and good."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: Digest
    created_ms: int | None = None
    previous_sha256: Digest | None = None
    previous_until_ms: int | None = None
    """Until then, the key before the last rotation is good as well."""

    @classmethod
    def read(cls, entry: bytes) -> Self:
        """Raises ValueError for what is no entry of ours."""
        return cls.model_validate_json(entry)

    @classmethod
    def read_or_none(cls, entry: bytes) -> Self | None:
        """None for what is no entry of ours."""
        try:
            return cls.read(entry)
        except ValueError:
            return None

    def entry(self) -> bytes:
        """As it is kept."""
        return self.model_dump_json(exclude_none=True).encode()

    def digests(self, now_ms: int) -> tuple[bytes, ...]:
        """Of the keys that are good now."""
        until_ms = self.previous_valid_until_ms(now_ms)
        valid = (self.sha256, self.previous_sha256) if until_ms else (self.sha256,)
        return tuple(bytes.fromhex(known) for known in valid if known)

    def previous_valid_until_ms(self, now_ms: int) -> int | None:
        """Until when the secret before the last rotation is good. None: it is not."""
        until_ms = self.previous_until_ms
        return until_ms if until_ms is not None and now_ms < until_ms else None

    def caller(self, key_id: str, limits: Limits) -> Caller:
        """Who calls with it; `limits` are those of the settings."""
        per_minute, looks, tasks = self.submissions_per_minute, self.status_reads_per_minute, self.project_tasks
        return Caller(
            key_id,
            self.name,
            self.scopes,
            self.projects,
            replace(
                limits,
                submissions=limits.submissions.at(per_minute),
                reads=limits.reads.at(looks),
                project_tasks=limits.project_tasks if tasks is None else tasks,
            ),
        )


@dataclass(frozen=True, slots=True)
class Made:
    """A key as it is shown, once, and the entry that is kept."""

    id: str
    secret: str
    key: ApiKey


def make(terms: KeyTerms, now_ms: int) -> Made:
    """A new key. Its id is in it, so that people can tell which one they hold."""
    key_id = secrets.token_hex(6)
    secret = _secret(key_id)
    return Made(key_id, secret, ApiKey(**terms.model_dump(), sha256=_hex(secret), created_ms=now_ms))


def rotate(key_id: str, key: ApiKey, now_ms: int, grace: timedelta) -> Made:
    """The same key with another secret. The present one is good for as long as `grace` says; one before it no more."""
    secret = _secret(key_id)
    until = now_ms + round(grace.total_seconds() * 1000)
    changes = {"sha256": _hex(secret), "previous_sha256": key.sha256, "previous_until_ms": until}
    return Made(key_id, secret, key.model_copy(update=changes))


def _secret(key_id: str) -> str:
    return f"gf_{key_id}_{secrets.token_urlsafe(32)}"


def _hex(secret: str) -> str:
    return digest(secret.encode()).hex()
