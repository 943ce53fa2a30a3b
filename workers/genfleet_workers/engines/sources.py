"""Reads what a task refers to: from the web, from this installation's media, or from the request itself.

Pictures, sounds and voice profiles all come this way, so there is one place that decides what may be read.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from genfleet import egress
from genfleet.errors import InputError

TIMEOUT = 10.0
"""Seconds for one file from the web, from the first byte asked to the last received."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is expected, and how much of it is accepted."""

    types: str
    """The media types that a data: URI of it may name, as a regular expression."""
    limit_bytes: int
    timeout: float = TIMEOUT


@dataclass(frozen=True, slots=True)
class Sources:
    """From where files are read."""

    media_dir: Path
    """The folder behind `media_url_base`."""
    media_url_base: str
    """How URLs of this installation's own media begin. They are read from the folder, not over the network."""
    allow_private: bool = False
    """Whether URLs may lead into private networks."""

    def read(self, source: str, kind: Kind) -> bytes:
        """The content of an https URL, of a media_url of this installation, or of a data: URI.

        Raises `PermanentError` when it can never be read, `TransientError` when it cannot be read now.
        """
        header = re.match(rf"data:(?:{kind.types})(?:;[\w=.+-]+)*;base64,", source, re.IGNORECASE)
        if header:
            return _embedded(source[header.end() :], kind.limit_bytes)
        path = self._media_path(source)
        if path is not None:
            return _file(path, kind.limit_bytes)
        return egress.fetch(
            source, limit_bytes=kind.limit_bytes, timeout=kind.timeout, allow_private=self.allow_private
        )

    def _media_path(self, source: str) -> Path | None:
        """The file of a URL of this installation. None for any other URL."""
        base = self.media_url_base.rstrip("/") + "/"
        if not source.startswith(base):
            return None
        folder = self.media_dir.resolve()
        try:
            path = (folder / unquote(urlsplit(source[len(base) :]).path)).resolve()
        except (ValueError, OSError) as error:
            raise InputError("Not the name of a media file") from error
        if not path.is_relative_to(folder):
            raise InputError("The URL leads out of the media folder")
        return path


def shown(source: str) -> str:
    """A source as a message shows it: the start of a data: URI, a URL without its query, which may hold a secret."""
    readable = source.partition(",")[0] if source.startswith("data:") else source.partition("?")[0]
    return readable if len(readable) <= 120 else readable[:117] + "..."


def _embedded(text: str, limit_bytes: int) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InputError("The data: URI is not valid base64") from error
    if len(content) > limit_bytes:
        raise InputError(_too_large(limit_bytes))
    return content


def _file(path: Path, limit_bytes: int) -> bytes:
    try:
        if not path.is_file():
            raise InputError("There is no such media file")
        if path.stat().st_size > limit_bytes:
            raise InputError(_too_large(limit_bytes))
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"The media file cannot be read: {error.strerror}") from error


def _too_large(limit_bytes: int) -> str:
    return f"Larger than the {limit_bytes:,} bytes that are accepted"
