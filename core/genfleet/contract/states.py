"""The states of a task and the moves between them. The Lua scripts read this very table (see `genfleet.store.scripts`)."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a task is in its life (TS-025). Clients stop polling on the three final ones; no state may be added (TS-160)."""

    QUEUED = "queued"
    """Waiting for a worker, for its time, or for the time of its next attempt."""
    PROCESSING = "processing"
    """A worker holds its lease."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


MOVES: dict[State, frozenset[State]] = {
    # Failed without having run: its deadline passed first.
    State.QUEUED: frozenset({State.PROCESSING, State.FAILED, State.CANCELLED}),
    # Back to queued: an automatic retry, a lost worker, or a worker that hands its work back when it has to stop.
    State.PROCESSING: frozenset({State.QUEUED, State.COMPLETED, State.FAILED, State.CANCELLED}),
}
"""Every allowed move. A state without moves is final."""


def is_final(state: State) -> bool:
    """Whether nothing can happen to the task any more."""
    return state not in MOVES
