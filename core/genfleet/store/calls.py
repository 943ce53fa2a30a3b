"""What a step is as a value, and how replies are read. Every module of steps builds on this; the clients carry them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from genfleet.contract.limits import Left, Reason, Refused
from genfleet.store.scripts import Script

T = TypeVar("T")

Argument = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One round trip: a script, or a plain command, with its arguments and how to read the reply."""

    what: Script | str
    args: Sequence[Argument]
    read: Callable[[Any], T]


def milliseconds(duration: timedelta) -> int:
    """As the scripts count."""
    return round(duration.total_seconds() * 1000)


def info(reply: Any) -> dict[str, str]:
    """What INFO and CONFIG GET answer, raw or as a client has read it already."""
    if isinstance(reply, bytes | str):
        lines = (reply.decode() if isinstance(reply, bytes) else reply).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)
    flat = reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    return {text_of(name): text_of(value) for name, value in flat}


def text_of(value: Any) -> str:
    """A word of a reply, whoever has read it."""
    return value.decode() if isinstance(value, bytes) else str(value)


def pairs(flat: Any) -> dict[bytes, bytes]:
    """A hash as a script returns it: RESP2 gives names and values in turn."""
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))


def refused(reply: list[Any]) -> Refused:
    """The reply of a step that a limit kept from being done."""
    _, reason, wait_ms, found = reply
    return Refused(Reason(reason.decode()), wait_ms, left(found))


def left(reply: list[int]) -> Left:
    """What is left after a step. -1 stands for what a script did not look at, or what has no limit."""
    of_rate, more_in_ms, in_progress = reply
    return Left(of_rate if of_rate >= 0 else None, more_in_ms, in_progress if in_progress >= 0 else None)
