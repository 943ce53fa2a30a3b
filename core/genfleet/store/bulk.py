"""Steps on many tasks of a project at once, so many in each, so that no one of them holds up Redis. Called by the API.

Each chunk is a step of its own, and may be repeated: what was cancelled fits no more, and what was retried is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genfleet.contract.states import State
from genfleet.store.calls import Call
from genfleet.store.scripts import script


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks: those that fit all of it."""

    project: str
    state: State
    task_type: str | None = None
    since_ms: int | None = None
    """Only those created later."""
    before_ms: int | None = None
    """Only those created earlier. None: up to now."""

    def args(self) -> tuple[str | int, ...]:
        """As the scripts read them."""
        since = "-inf" if self.since_ms is None else f"({self.since_ms}"
        return (
            self.project,
            self.state.value,
            self.task_type or "*",
            since,
            "" if self.before_ms is None else self.before_ms,
        )


@dataclass(frozen=True, slots=True)
class Swept:
    """What came of one chunk."""

    done: int
    left: int
    before_ms: int
    """For the next chunk: tasks that came meanwhile are left alone."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A task that fits, as far as it takes to submit it again."""

    id: str
    type: str
    queue: str
    priority: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class Selected:
    """The next tasks that fit, oldest first."""

    tasks: tuple[Chosen, ...]
    left: int
    """Those after them."""
    before_ms: int


def cancel_some(wanted: Filter, limit: int) -> Call[Swept]:
    """Cancels the oldest tasks that fit, so many at most."""
    return Call(script("cancel_some"), (*wanted.args(), limit), lambda reply: Swept(*reply))


def select(wanted: Filter, after: Chosen | None, limit: int) -> Call[Selected]:
    """The next tasks that fit, after one of them."""
    place = (after.id, after.created_ms) if after else ("", 0)

    def read(reply: list[Any]) -> Selected:
        left, rows, before_ms = reply
        return Selected(tuple(map(_chosen, rows)), left, before_ms)

    return Call(script("select"), (*wanted.args(), *place, limit), read)


def _chosen(row: list[bytes]) -> Chosen:
    task_id, kind, queue, priority, created = (field.decode() for field in row)
    return Chosen(task_id, kind, queue, int(priority), int(created))
