"""Reads the sources of a gathering: texts as they are, documents over the network, as far as limits allow.

What cannot be read is a warning, never the end of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from genfleet.contract.task_data import GatherSource
from genfleet.errors import InputError, TaskError, TransientError
from genfleet_workers.engines.base import Report
from genfleet_workers.engines.sources import Kind, Sources, shown
from genfleet_workers.engines.text.documents import decoded, plain_text
from genfleet_workers.engines.text.pieces import Piece, split

DOCUMENT = Kind(r"text/[\w.+-]+|application/json", limit_bytes=5_000_000, timeout=20.0)
LIMIT_TEXT = 10_000_000
"""Characters of all sources together: what memory and time bear."""
MOST_PIECES = 5_000
PATIENCE_S = 180.0
"""After which no more documents are asked for: the work itself needs the rest of the time."""


@dataclass(slots=True)
class Gathered:
    """What has been read so far."""

    pieces: list[Piece] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    characters: int = 0
    read: int = 0


def gathered(listed: Sequence[GatherSource], sources: Sources, report: Report) -> Gathered:
    """The pieces of all sources. What could not be fetched for a passing reason is tried once more at the end."""
    found, reader = Gathered(), _Reader(sources, time.monotonic() + PATIENCE_S)
    again = list[int]()
    for number, source in enumerate(listed):
        report(number / len(listed), "reading_sources")
        try:
            reader.read(number, source, found)
        except TransientError:
            again.append(number)
        except TaskError as error:
            found.warnings.append(_unread(number, source, error))
    for number in again:
        try:
            reader.read(number, listed[number], found)
        except TaskError as error:
            found.warnings.append(_unread(number, listed[number], error))
    found.pieces.sort(key=lambda piece: piece.source)
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    sources: Sources
    late: float
    """When no more is fetched, by the monotonic clock."""

    def read(self, number: int, source: GatherSource, found: Gathered) -> None:
        """Add the pieces of a source, or raise TaskError and add none."""
        text = self._text(source)
        if found.characters + len(text) > LIMIT_TEXT:
            raise InputError(f"with it there would be more than {LIMIT_TEXT:,} characters in all")
        pieces = list(split(text, number))
        if not pieces:
            raise InputError("there is no text in it")
        if len(found.pieces) + len(pieces) > MOST_PIECES:
            raise InputError(f"with it there would be more than {MOST_PIECES:,} pieces in all")
        found.pieces += pieces
        found.characters += len(text)
        found.read += 1

    def _text(self, source: GatherSource) -> str:
        """The plain text of a source: of both, where it has a text and an address."""
        parts = [plain_text(source.text, source.format)] if source.text.strip() else []
        if source.url:
            parts.append(plain_text(decoded(self._fetched(source.url)), source.format, _path(source.url)))
        return "\n".join(parts)

    def _fetched(self, url: str) -> bytes:
        left = self.late - time.monotonic()
        if left <= 0:
            raise InputError("not tried, because those before it took too long")
        return self.sources.read(url, replace(DOCUMENT, timeout=min(DOCUMENT.timeout, left)))


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        raise InputError("it is not a URL") from None


def _unread(number: int, source: GatherSource, error: TaskError) -> str:
    what = f" ({shown(source.url)})" if source.url else ""
    return f"sources[{number}]{what} could not be read and was left out: {error}"
