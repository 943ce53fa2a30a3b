"""Reads a stream of server-sent events, line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

FINAL = frozenset({"completed", "failed", "cancelled"})
"""States that a task does not leave."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task."""

    id: str | None
    """Where in the stream it is: a stream that is opened with it goes on behind it."""
    type: str
    data: dict[str, Any]

    @property
    def is_final(self) -> bool:
        """Whether nothing can come after it."""
        return self.type in FINAL or self.data.get("status") in FINAL


@dataclass(slots=True)
class Parser:
    """Lines in, events out. Comments, which keep the connection alive, and events that are not ours are passed over."""

    last_id: str | None = None
    """Of the last event that is whole: after a cut in the middle of one, that one has to come again."""
    _id: str | None = None
    _type: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, line: str) -> Event | None:
        """The event that this line ends, if it does."""
        if line:
            self._take(line)
            return None
        kind, data = self._type, "\n".join(self._data)
        self.last_id, self._id, self._type, self._data = self._id or self.last_id, None, "", []
        try:
            content = json.loads(data)
        except ValueError:
            return None
        return Event(self.last_id, kind or "message", content) if isinstance(content, dict) else None

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
