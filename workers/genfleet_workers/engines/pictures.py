"""Opens the pictures that a task refers to: from the web, from this installation's media, from the request itself."""

from __future__ import annotations

import base64
import re
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image, ImageOps

from genfleet import egress
from genfleet.errors import PermanentError, TaskError, TransientError

LIMIT_BYTES = 20_000_000
TIMEOUT = 10.0
"""Seconds for one picture from the web, from the first byte asked to the last received."""
PATIENCE = 60.0
"""Seconds after which no more pictures of one list are asked for: the work itself needs the rest of the time."""
LIMIT_PIXELS = 50_000_000
"""A small file can unfold to far more than memory holds; its header is read before its pixels."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_DATA_URI = re.compile(r"^data:image/[\w.+-]+;base64,", re.IGNORECASE)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow's decoders raise for data that is not a whole picture."""


@dataclass(frozen=True, slots=True)
class PictureSources:
    """From where pictures are opened."""

    media_dir: Path
    """The folder behind `media_url_base`."""
    media_url_base: str
    """How URLs of this installation's own media begin. They are read from the folder, not over the network."""
    allow_private: bool = False
    """Whether URLs may lead into private networks."""

    def open(self, source: str) -> Image.Image:
        """The picture, upright, in RGB.

        Raises `PermanentError` when it can never be opened, `TransientError` when it cannot be opened now.
        """
        return decode(self._read(source))

    def open_each(self, sources: Iterable[str], name: str, warnings: list[str]) -> Iterator[Image.Image | None]:
        """Each picture, or None and a new line in `warnings` (`name` is the field they came from)."""
        late = time.monotonic() + PATIENCE
        for number, source in enumerate(sources):
            try:
                yield self._open_before(late, source)
            except TaskError as error:
                warnings.append(f"{name}[{number}] could not be opened and was left out: {shown(source)}: {error}")
                yield None

    def _open_before(self, late: float, source: str) -> Image.Image:
        if time.monotonic() > late:
            raise TransientError("not tried, because those before it took too long")
        return self.open(source)

    def _read(self, source: str) -> bytes:
        header = _DATA_URI.match(source)
        if header:
            return _embedded(source[header.end() :])
        path = self._media_path(source)
        if path is not None:
            return _file(path)
        return egress.fetch(source, limit_bytes=LIMIT_BYTES, timeout=TIMEOUT, allow_private=self.allow_private)

    def _media_path(self, source: str) -> Path | None:
        """The file of a URL of this installation. None for any other URL."""
        base = self.media_url_base.rstrip("/") + "/"
        if not source.startswith(base):
            return None
        folder = self.media_dir.resolve()
        try:
            path = (folder / unquote(urlsplit(source[len(base) :]).path)).resolve()
        except (ValueError, OSError) as error:
            raise PermanentError("Not the name of a media file") from error
        if not path.is_relative_to(folder):
            raise PermanentError("The URL leads out of the media folder")
        return path


def decode(content: bytes) -> Image.Image:
    """The picture in a file of a common format, upright, in RGB."""
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as picture:
            if picture.width * picture.height > LIMIT_PIXELS:
                raise PermanentError(f"The picture has more than {LIMIT_PIXELS:,} pixels")
            return ImageOps.exif_transpose(picture).convert("RGB")
    except _BROKEN as error:
        raise PermanentError("Not a picture that can be read (PNG, JPEG, WebP, GIF, BMP, TIFF)") from error


def shown(source: str) -> str:
    """A source as a message shows it: the start of a data: URI, a URL without its query, which may hold a secret."""
    readable = source.partition(",")[0] if source.startswith("data:") else source.partition("?")[0]
    return readable if len(readable) <= 120 else readable[:117] + "..."


def _embedded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise PermanentError("The data: URI is not valid base64") from error


def _file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise PermanentError("There is no such media file")
        if path.stat().st_size > LIMIT_BYTES:
            raise PermanentError(f"Larger than the {LIMIT_BYTES:,} bytes that are accepted")
        return path.read_bytes()
    except OSError as error:
        raise PermanentError(f"The media file cannot be read: {error.strerror}") from error
