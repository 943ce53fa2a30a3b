"""Dead letters: messages and records that could not be judged, set aside with their reason, for people to look at.

Workers and chores set them aside; the API shows them, sends them again and removes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from genfleet.contract.keys import key
from genfleet.store.calls import Argument, Call, pairs
from genfleet.store.scripts import DEAD_LETTERS_MOST, script

MOST = DEAD_LETTERS_MOST
"""As many as are kept of each state."""
RAW_KEPT = 64 * 1024
"""Bytes kept of a message. Of a longer one it is the beginning, to look at: it cannot be sent again."""


class LetterState(StrEnum):
    """Whether somebody has seen to it."""

    WAITING = "waiting"
    RESENT = "resent"


class Resent(StrEnum):
    """What came of sending one again."""

    RESENT = "resent"
    UNKNOWN = "unknown"
    """There is no such letter, or no longer."""
    AGAIN = "again"
    """It was sent again before."""
    CUT = "cut"
    """It was too long to be kept whole."""
    RECORD = "record"
    """It is a broken record, and was never a message."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What was set aside."""

    id: int
    state: LetterState
    at_ms: int
    reason: str
    queue: str | None
    """Of the broker, whose workers it was for."""
    task_id: str | None
    task_type: str | None
    """What it said that it was, where it could be read."""
    worker: str | None
    """Who set it aside."""
    size: int | None
    """Of the message, in bytes. None: it is a record."""
    resent_ms: int | None
    by: str | None
    """Id of the API key by which it was sent again."""
    times: int
    """How often it came. More than once: a task of ours waits for a worker that can read its message."""
    last_ms: int
    """When it came last."""
    raw: bytes | None = None
    """The message as it came, or its beginning. Left out of lists."""

    @classmethod
    def read(cls, letter_id: int, fields: Mapping[bytes, bytes]) -> Letter:
        """From its hash."""

        def text(name: str) -> str | None:
            value = fields.get(name.encode())
            return value.decode(errors="replace") if value else None

        def number(name: str) -> int | None:
            value = fields.get(name.encode())
            return int(value) if value else None

        return cls(
            id=letter_id,
            state=LetterState(text("state") or ""),
            at_ms=number("at") or 0,
            reason=text("reason") or "",
            queue=text("queue"),
            task_id=text("task_id"),
            task_type=text("task_type"),
            worker=text("worker"),
            size=number("size"),
            resent_ms=number("resent"),
            by=text("by"),
            times=number("times") or 1,
            last_ms=number("last") or 0,
            raw=fields.get(b"raw"),
        )


@dataclass(frozen=True, slots=True)
class Letters:
    """One page of them, the newest first."""

    total: int
    letters: tuple[Letter, ...]


def set_aside(reason: str, **known: str) -> Call[int]:
    """Keeps why something could not be judged, and what is known of it: `task_id`, `task_type`, `queue`, `worker`."""
    args: list[Argument] = [reason]
    for name, value in known.items():
        args += (name, value)
    return Call(script("set_aside"), args, int)


def set_message_aside(reason: str, message: bytes, *, broker_list: str, **known: str) -> Call[int]:
    """The same with the message itself, and the list that it came from; `tag`: kombu's, which need not keep it any more."""
    call = set_aside(reason, **known)
    raw = ("raw", message[:RAW_KEPT], "size", len(message), "list", broker_list)
    return Call(call.what, (*call.args, *raw), int)


def page(state: LetterState, queue: str | None, offset: int, limit: int) -> Call[Letters]:
    """One page, without the messages themselves."""

    def read(reply: list[Any]) -> Letters:
        total, rows = reply
        return Letters(total, tuple(Letter.read(int(letter_id), pairs(row)) for letter_id, row in rows))

    return Call(script("letter_list"), (state, queue or "", offset, limit), read)


def read(letter_id: int) -> Call[Letter | None]:
    """One of them. None: there is none."""

    def read_hash(reply: Any) -> Letter | None:
        fields = pairs(reply)
        return Letter.read(letter_id, fields) if fields else None

    return Call("HGETALL", (key("dead_letter", letter_id),), read_hash)


def resend(letter_id: int, by: str) -> Call[Resent]:
    """Puts a message back in its list, as it was. It is judged anew, and set aside again if nothing has changed."""
    return Call(script("letter_resend"), (letter_id, by), lambda reply: Resent(reply.decode()))


def remove(letter_id: int) -> Call[bool]:
    """Forgets one. False: there is none."""
    return Call(script("letter_remove"), (letter_id,), bool)
