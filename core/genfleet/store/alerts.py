"""Steps that remember which alerts hold, so that each is told once when it is raised and once when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

from genfleet.store.calls import Call, milliseconds
from genfleet.store.scripts import script


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that is raised, or raised to another severity, or over."""

    raised: bool
    name: str
    severity: str
    """When it is over: the severity that it had."""


def take_turn(who: str, period: timedelta) -> Call[bool]:
    """Whether the look of this period falls to the caller."""
    return Call(script("take_alerts_turn"), (who, milliseconds(period)), bool)


def note(holding: Mapping[str, str]) -> Call[tuple[Change, ...]]:
    """Remembers what holds now, severities by name. What has changed since the last look."""

    def read(reply: list[list[bytes]]) -> tuple[Change, ...]:
        return tuple(Change(what == b"raised", name.decode(), severity.decode()) for what, name, severity in reply)

    return Call(script("note_alerts"), tuple(chain.from_iterable(holding.items())), read)
