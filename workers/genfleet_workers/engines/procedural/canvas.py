"""The paper that a scene is painted on, and the arithmetic that all painters share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Plane = npt.NDArray[Any]
"""Numbers by row and column (a mask, a height, a brightness), or by row, column and channel (a picture, 0..1).

Single precision throughout: double would take twice the time. The type does not say so, because NumPy's stubs take
the product of such an array and a Python number for double precision, which it is not."""

Colour = tuple[float, float, float]
"""Red, green and blue, 0..1, as they are shown (sRGB)."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """The frame and a margin around it, which moving layers need.

    Painters place things in units of the frame's height: `v` runs from 0 at its top to 1 at its bottom, `u` from
    `-half` at its left to `half` at its right, whatever the resolution.
    """

    frame_width: int
    frame_height: int
    margin: int = 0
    """Pixels on every side."""

    @property
    def width(self) -> int:
        """Pixels across, margins included."""
        return self.frame_width + 2 * self.margin

    @property
    def height(self) -> int:
        """Pixels down, margins included."""
        return self.frame_height + 2 * self.margin

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, margins included, as Pillow takes them."""
        return self.width, self.height

    @property
    def moving(self) -> bool:
        """Whether it is for film: only a camera needs a margin."""
        return self.margin > 0

    @property
    def half(self) -> float:
        """Half of the frame's width, in units of its height."""
        return self.frame_width / self.frame_height / 2

    @property
    def u(self) -> Plane:
        """The horizontal position of each column, as one row."""
        columns = np.arange(self.width, dtype=np.float32)[None, :] + 0.5 - self.margin
        return (columns / self.frame_height - self.half).astype(np.float32)

    @property
    def v(self) -> Plane:
        """The vertical position of each row, as one column."""
        rows = np.arange(self.height, dtype=np.float32)[:, None] + 0.5 - self.margin
        return (rows / self.frame_height).astype(np.float32)

    @property
    def coarse(self) -> tuple[Plane, Plane]:
        """`u` and `v` of one point for each nine pixels: enough for light and clouds, and nine times as fast."""
        across, down = max(self.width // 3, 2), max(self.height // 3, 2)
        u = np.linspace(self.u[0, 0], self.u[0, -1], across, dtype=np.float32)
        v = np.linspace(self.v[0, 0], self.v[-1, 0], down, dtype=np.float32)
        return u[None, :], v[:, None]

    def pixel(self, u: float, v: float) -> tuple[float, float]:
        """Where a position lies, in pixels from the upper left corner of the paper."""
        return (u + self.half) * self.frame_height + self.margin, v * self.frame_height + self.margin

    def row(self, v: float) -> int:
        """The row of pixels at `v`, on the paper."""
        return min(max(round(self.pixel(0, v)[1]), 0), self.height)

    def blank(self) -> Plane:
        """A mask with nothing on it."""
        return np.zeros((self.height, self.width), dtype=np.float32)


def rgb(colour: Colour) -> Plane:
    """A colour that can be multiplied with a mask of one channel."""
    return np.asarray(colour, dtype=np.float32)


def sign(number: float) -> float:
    """-1 or 1, as a plain float: one of numpy's would turn whole pictures into double precision."""
    return math.copysign(1.0, number)


def distance(across: Plane, down: Plane) -> Plane:
    """The length of (across, down). Several times as fast as `np.hypot`, which guards against overflow."""
    length: Plane = np.sqrt(across * across + down * down)
    return length


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two: the first at share 0, the second at 1."""
    red, green, blue = (start + (end - start) * share for start, end in zip(first, second, strict=True))
    return red, green, blue


def mix(first: Plane | Colour, second: Plane | Colour, share: Plane | float) -> Plane:
    """From the first (share 0) to the second (share 1). A mask as share applies to all channels."""
    start, end = np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)
    weight = np.asarray(share, dtype=np.float32)
    if weight.ndim == 2:
        weight = weight[:, :, None]
    mixed: Plane = (end - start) * weight
    mixed += start
    return mixed


def step(low: float, high: float, value: Plane) -> Plane:
    """0 below `low`, 1 above `high`, and a smooth curve between them."""
    slope = np.clip((value - low) / (high - low), 0, 1)
    smooth: Plane = slope * slope * (3 - 2 * slope)
    return smooth


def screen(below: Plane, light: Plane) -> Plane:
    """Light added to a picture so that it never burns out."""
    lit: Plane = 1 - (1 - below) * (1 - np.clip(light, 0, 1))
    return lit


def resized(plane: Plane, size: tuple[int, int]) -> Plane:
    """A mask at another size (width, height), smoothly."""
    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)


def picture(colours: Plane) -> Image.Image:
    """A Pillow picture of colours 0..1. A fixed dither hides the steps of eight bits in dark skies."""
    height, width = colours.shape[:2]
    pattern = np.random.default_rng(0).random((128, 128, 1), dtype=np.float32)
    dither = np.tile(pattern, (height // 128 + 1, width // 128 + 1, 1))[:height, :width]
    return Image.fromarray(np.clip(colours * 255 + dither, 0, 255).astype(np.uint8))


def mask(plane: Plane) -> Image.Image:
    """A Pillow mask of opacities 0..1."""
    return Image.fromarray((np.clip(plane, 0, 1) * 255 + 0.5).astype(np.uint8))
