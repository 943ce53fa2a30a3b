"""The step that reads what a project used. It is counted in `lua/prelude.lua`, where an attempt or a task ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from genfleet.store.calls import Call
from genfleet.store.scripts import script

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Used:
    """What a project used in some days (UTC)."""

    first: date
    last: date
    days: Mapping[date, Mapping[str, Mapping[str, int]]]
    """By day, by task type: `completed`, `failed`, `cancelled`, `attempts`, `run_ms` and `gpu_ms`, where not 0."""


def usage(project: str, first: date | None = None, last: date | None = None) -> Call[Used]:
    """What a project used, both days included, and no longer ago than is kept."""
    return Call(script("usage"), (project, _day(first), _day(last)), _used)


def _day(day: date | None) -> str:
    return "" if day is None else str((day - EPOCH).days)


def _used(reply: list[Any]) -> Used:
    first, last, days = reply
    return Used(_date(first), _date(last), {_date(day): _types(flat) for day, flat in days})


def _date(day: int) -> date:
    return EPOCH + timedelta(days=int(day))


def _types(flat: list[bytes]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        kind, _, what = name.decode().rpartition(":")
        found.setdefault(kind, {})[what] = int(value)
    return found
