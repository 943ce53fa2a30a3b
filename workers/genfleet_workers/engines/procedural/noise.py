"""Noise: the irregularity of clouds, rock, waves and fog. Everything is drawn from the generator that is passed in."""

from __future__ import annotations

import numpy as np

from genfleet_workers.engines.procedural.canvas import Plane

Random = np.random.Generator


def tile(random: Random, size: int, slope: float) -> Plane:
    """A square of noise that wraps at its edges: mean 0, deviation 1. `slope`: 1 is rough, 2 is smooth hills.

    The spectrum of white noise is bent to fall as frequency to the minus `slope`, as it does in nature.
    """
    spectrum = np.fft.rfft2(random.standard_normal((size, size), dtype=np.float32))
    down, across = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum * frequency**-slope, s=(size, size))
    level: Plane = (field / field.std()).astype(np.float32)
    return level


def sample(texture: Plane, x: Plane, y: Plane) -> Plane:
    """The wrapping texture at fractional pixel positions, smoothly between its pixels. Its size is a power of two."""
    last = texture.shape[0] - 1
    left, top = np.floor(x), np.floor(y)
    right_share, lower_share = _eased(x - left), _eased(y - top)
    column, row = left.astype(np.int32) & last, top.astype(np.int32) & last
    next_column, next_row = (column + 1) & last, (row + 1) & last
    upper = texture[row, column] * (1 - right_share) + texture[row, next_column] * right_share
    lower = texture[next_row, column] * (1 - right_share) + texture[next_row, next_column] * right_share
    blended: Plane = upper * (1 - lower_share) + lower * lower_share
    return blended


def _eased(share: Plane) -> Plane:
    """Without it the eye sees the edges of the pixels as creases in the ground."""
    curve: Plane = share * share * (3 - 2 * share)
    return curve


def ridge(random: Random, positions: Plane, octaves: int = 6, roughness: float = 0.5) -> Plane:
    """A rough line over `positions` (any unit; features are about one unit wide), within about -1..1."""
    line = np.zeros_like(positions)
    for octave in range(octaves):
        knots = random.uniform(-1, 1, 512).astype(np.float32)
        place = np.mod(positions * 2**octave + random.uniform(0, 512), 512)
        line += roughness**octave * np.interp(place, np.arange(512), knots, period=512).astype(np.float32)
    return line


def scatter(first: Plane, second: Plane) -> Plane:
    """A number 0..1 for each pair of whole numbers, without visible pattern: which window is lit, and how."""
    mixed = np.sin(first * np.float32(127.1) + second * np.float32(311.7)) * np.float32(43758.547)
    return mixed - np.floor(mixed)
