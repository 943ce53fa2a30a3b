"""A take: a sound in a file that says itself what it is, so that no step has to be told."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genfleet.errors import PermanentError

_HEADER = struct.Struct(">4s5I")
"""Of Sun's .au: magic, where the samples begin, their size, their encoding, sample rate, channels."""
_BYTES = {3: 2, 6: 4}
"""Of a sample, by encoding: 16-bit integers, as the speaker writes them, and 32-bit floats, as ffmpeg is told to.

Floats have no ceiling: what gets too loud in the middle of a chain is not cut off, and may be lowered again."""

_HEARD = 10 ** (-50 / 20)
"""What is below is silence: -50 dBFS."""


@dataclass(frozen=True, slots=True)
class Take:
    """A finished .au file."""

    file: Path
    rate: int
    """Samples a second."""
    channels: int
    seconds: float

    @property
    def read(self) -> list[str]:
        """The arguments by which ffmpeg reads it. Named: what it guesses from samples may be another format."""
        return ["-f", "au", "-i", str(self.file)]

    @classmethod
    def of(cls, file: Path) -> Take:
        """Read from the file's header, and from its size: a header that was written first cannot know the length."""
        with file.open("rb") as opened:
            head = opened.read(_HEADER.size)
        if len(head) < _HEADER.size:
            raise PermanentError("There is no sound in it")
        _, start, _, encoding, rate, channels = _HEADER.unpack(head)
        frames = (file.stat().st_size - start) // (_BYTES[encoding] * channels)
        return cls(file, rate, channels, frames / rate)


def audible(take: Take) -> tuple[float, float]:
    """From which second to which there is something to hear; twice 0 where there is nothing.

    Read second by second from both ends: ffmpeg's own filter would have to hold all of it, backwards.
    """
    frames = _frames(take)
    first = _first_heard(frames, take.rate)
    last = len(frames) - _first_heard(frames[::-1], take.rate)
    return (first / take.rate, last / take.rate) if first < last else (0.0, 0.0)


def quietest(take: Take) -> float:
    """How strong it is where nobody speaks, in dBFS: a tenth of its moments, 50 ms each, are quieter."""
    frames, moment = _frames(take), take.rate // 20
    powers = [_power(frames[start : start + moment]) for start in range(0, max(len(frames) - moment, 1), moment)]
    return 10 * math.log10(max(float(np.percentile(powers, 10)), 1e-12))


def _frames(take: Take) -> npt.NDArray[Any]:
    """The floats of a take, read from the file as they are used."""
    with take.file.open("rb") as opened:
        start = _HEADER.unpack(opened.read(_HEADER.size))[1]
    return np.memmap(take.file, np.dtype(">f4"), "r", start).reshape(-1, take.channels)


def _first_heard(frames: npt.NDArray[Any], rate: int) -> int:
    for start in range(0, len(frames), rate):
        heard = np.flatnonzero(np.abs(frames[start : start + rate]).max(axis=1) > _HEARD)
        if heard.size:
            return start + int(heard[0])
    return len(frames)


def _power(frames: npt.NDArray[Any]) -> float:
    return float(np.mean(np.square(frames, dtype=np.float64)))


def header(encoding: int, rate: int, channels: int) -> bytes:
    """The beginning of a file whose length is not known yet."""
    return _HEADER.pack(b".snd", _HEADER.size, 0xFFFFFFFF, encoding, rate, channels)
