"""A take: a sound in a file that says itself what it is, so that no step has to be told."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genfleet.errors import InputError

_HEADER = struct.Struct(">4s5I")
"""Of Sun's .au: magic, where the samples begin, their size, their encoding, sample rate, channels."""
SIXTEEN_BIT, FLOAT = 3, 6
_BYTES = {SIXTEEN_BIT: 2, FLOAT: 4}
"""Of a sample, by encoding: 16-bit integers, as the speaker writes them, and 32-bit floats, as ffmpeg is told to.

Floats have no ceiling: what gets too loud in the middle of a chain is not cut off, and may be lowered again."""

_LOUDEST_SILENCE = 10 ** (-50 / 20)
"""-50 dBFS."""


@dataclass(frozen=True, slots=True)
class Take:
    """A finished .au file."""

    file: Path
    rate: int
    """Samples a second."""
    channels: int
    frames: int
    """Samples of each channel."""
    start: int
    """The byte at which they begin."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.rate

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
            raise InputError("There is no sound in it")
        _, start, _, encoding, rate, channels = _HEADER.unpack(head)
        frames = (file.stat().st_size - start) // (_BYTES[encoding] * channels)
        return cls(file, rate, channels, frames, start)


def audible(take: Take) -> tuple[float, float]:
    """From which second to which there is something to hear; twice 0 where there is nothing.

    Read second by second from both ends: ffmpeg's own filter would have to hold all of it, backwards.
    """
    seconds = range(0, take.frames, take.rate)
    first = next((at + heard[0] for at in seconds if (heard := _heard(take, at)).size), None)
    last = next((at + heard[-1] + 1 for at in reversed(seconds) if (heard := _heard(take, at)).size), None)
    return (0.0, 0.0) if first is None or last is None else (float(first) / take.rate, float(last) / take.rate)


def quietest(take: Take) -> float:
    """How strong it is where nobody speaks, in dBFS: a tenth of its moments, 50 ms each, are quieter."""
    moment = min(take.rate // 20, take.frames)
    powers = []
    for at in range(0, take.frames, take.rate):
        samples = _samples(take, at).astype(np.float64)
        whole = len(samples) // moment * moment
        powers.append(np.mean(samples[:whole].reshape(-1, moment * take.channels) ** 2, axis=1))
    return 10 * math.log10(max(float(np.percentile(np.concatenate(powers), 10)), 1e-12))


def _samples(take: Take, at: int) -> npt.NDArray[Any]:
    """A second of a take of floats, from a frame on."""
    size = _BYTES[FLOAT] * take.channels
    read = np.fromfile(take.file, ">f4", take.rate * take.channels, offset=take.start + at * size)
    return read.reshape(-1, take.channels)


def _heard(take: Take, at: int) -> npt.NDArray[np.intp]:
    """Which frames of a second are no silence."""
    return np.flatnonzero(np.abs(_samples(take, at)).max(axis=1) > _LOUDEST_SILENCE)


def header(encoding: int, rate: int, channels: int) -> bytes:
    """The beginning of a file whose length is not known yet."""
    return _HEADER.pack(b".snd", _HEADER.size, 0xFFFFFFFF, encoding, rate, channels)
