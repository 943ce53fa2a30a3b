"""Who calls, and what the caller may do. Pure: `gates.KeyGate` asks it for every request, routes for what they are about.

A request needs a scope by its method and path, so that a new route is guarded before anybody thinks of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from genfleet.contract.limits import NO_LIMITS, Limits


class Scope(StrEnum):
    """What a key may be used for. None contains another."""

    SUBMIT = "submit"
    """Submit, retry and cancel tasks."""
    READ = "read"
    """Look at tasks, projects, queues and workers."""
    ADMIN = "admin"
    """Keys, the audit log, the state of the whole installation, and whatever changes what belongs to everybody, such as a queue."""


EVERYTHING = frozenset(Scope)

_PREFIX = "/api/v1"
_HEALTH = f"{_PREFIX}/health"
_LOOKS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request came with."""

    key_id: str
    """Stable, and no secret: tasks and logs name the key by it."""
    name: str
    """Whose key it is, for people."""
    scopes: frozenset[Scope] = EVERYTHING
    projects: frozenset[str] | None = None
    """The projects that it may use and see. None: all."""
    limits: Limits = NO_LIMITS

    def may_use(self, project: str) -> bool:
        """Whether it may submit to this project, and see its tasks."""
        return self.projects is None or project in self.projects


def is_protected(path: str) -> bool:
    """Whether this path is for callers with a key."""
    return path.startswith(_PREFIX) and (len(path) == len(_PREFIX) or path[len(_PREFIX)] == "/")


def is_health(path: str) -> bool:
    """The one path there that may be open (PI-008)."""
    return path == _HEALTH


def changes(method: str) -> bool:
    """Whether a request of this method may change something."""
    return method not in _LOOKS


def scope_needed(method: str, path: str) -> Scope | None:
    """The scope that a request needs; None: any key will do. Changes need `admin`, except those of tasks."""
    match path.split("/")[3:]:
        case ["health"]:
            return None
        case ["keys" | "audit" | "dead-letters" | "doctor", *_]:  # of all projects; dead letters hold what was sent
            return Scope.ADMIN
        case ["webhooks", "secret", *_]:  # the one that the key's own tasks are signed with
            return Scope.SUBMIT
        case _ if not changes(method):
            return Scope.READ
        case ["tasks" | "projects" | "quarantine", *_]:
            return Scope.SUBMIT
        case _:
            return Scope.ADMIN
