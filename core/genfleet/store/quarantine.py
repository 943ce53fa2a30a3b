"""The quarantine: tasks that took too many workers with them. They have failed, and are kept where people find them.

One leaves it when it is submitted again (`lua/submit.lua`), when somebody lets it go, or when its time is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genfleet.store.calls import Call
from genfleet.store.scripts import script


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A task in quarantine, as a list shows it. Its record has its story."""

    id: str
    project: str
    type: str
    queue: str
    priority: int
    created_ms: int
    since_ms: int
    error: str


@dataclass(frozen=True, slots=True)
class Ward:
    """Some of them, and how many there are that fit."""

    total: int
    tasks: tuple[Quarantined, ...]


def newest(project: str | None, task_type: str | None, offset: int, limit: int) -> Call[Ward]:
    """One page: of a project or of all, of a type or of every one."""
    return _list("newest", project, task_type, offset, limit)


def oldest(project: str | None, task_type: str | None, offset: int, limit: int) -> Call[Ward]:
    """Those that came first, to be dealt with in their order."""
    return _list("oldest", project, task_type, offset, limit)


def _list(order: str, project: str | None, task_type: str | None, offset: int, limit: int) -> Call[Ward]:
    def read(reply: list[Any]) -> Ward:
        total, rows = reply
        return Ward(total, tuple(map(_quarantined, rows)))

    return Call(script("quarantine_list"), (order, project or "", task_type or "", offset, limit), read)


def _quarantined(row: list[bytes]) -> Quarantined:
    task_id, project, kind, queue, priority, created, since, error = (field.decode(errors="replace") for field in row)
    return Quarantined(task_id, project, kind, queue, int(priority), int(created), int(since), error)


def release(task_id: str, by: str) -> Call[bool]:
    """Lets a task go, as the failed task that it is. False: it was not in quarantine."""
    return Call(script("quarantine_release"), (task_id, by), bool)
