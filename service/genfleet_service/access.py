"""Who calls, and what the caller may do. `KeyGate` finds out by the key, and every route may ask (`context.caller_of`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a key may be used for."""

    SUBMIT = "submit"
    """Submit, retry and cancel tasks."""
    READ = "read"
    """Look at tasks, projects, queues and workers."""
    ADMIN = "admin"
    """Keys, and what concerns everybody."""


EVERYTHING = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request came with."""

    key_id: str
    """Stable, and no secret: tasks and logs name the key by it."""
    name: str
    """Whose key it is, for people."""
    scopes: frozenset[Scope] = EVERYTHING
