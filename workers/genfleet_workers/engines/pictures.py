"""Opens the pictures that a task refers to."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageOps

from genfleet.errors import InputError, TaskError, TransientError
from genfleet_workers.engines.sources import Kind, Sources, shown

PICTURE = Kind(types=r"image/[\w.+-]+", limit_bytes=20_000_000)
PATIENCE = 60.0
"""Seconds after which no more pictures of one list are asked for: the work itself needs the rest of the time."""
LIMIT_PIXELS = 50_000_000
"""A small file can unfold to far more than memory holds; its header is read before its pixels."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow's decoders raise for data that is not a whole picture."""


@dataclass(frozen=True, slots=True)
class PictureSources:
    """From where pictures are opened."""

    sources: Sources

    def open(self, source: str) -> Image.Image:
        """The picture, upright, in RGB.

        Raises `PermanentError` when it can never be opened, `TransientError` when it cannot be opened now.
        """
        return decode(self.sources.read(source, PICTURE))

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


def decode(content: bytes) -> Image.Image:
    """The picture in a file of a common format, upright, in RGB."""
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as picture:
            if picture.width * picture.height > LIMIT_PIXELS:
                raise InputError(f"The picture has more than {LIMIT_PIXELS:,} pixels")
            return ImageOps.exif_transpose(picture).convert("RGB")
    except _BROKEN as error:
        raise InputError("Not a picture that can be read (PNG, JPEG, WebP, GIF, BMP, TIFF)") from error
