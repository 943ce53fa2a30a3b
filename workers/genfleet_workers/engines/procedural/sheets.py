"""The layers of a scene once they are painted, and how each is laid over the frame at a moment of the film."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

from genfleet_workers.engines.procedural.canvas import Canvas, Colour, Plane, mask, picture, rgb

_STEPS_PER_SECOND = 1.7
_FAINTEST = 0.008
"""Opacity that the eye does not see: two steps of eight bits."""


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera stands at a moment."""

    time: float = 0.0
    """Seconds since the shot began."""
    shift: tuple[float, float] = (0.0, 0.0)
    """How far the nearest layer has moved, in pixels."""
    inset: int = 0
    """How many pixels of the paper lie outside of the frame on each side."""

    def offset(self, nearness: float) -> tuple[int, int]:
        """Where the paper's corner lies in the frame, for a layer this near (0: the sky, 1: at arm's length)."""
        across, down = self.shift
        return round(across * nearness) - self.inset, round(down * nearness) - self.inset


class Sheet(Protocol):
    """One layer."""

    def draw(self, frame: Image.Image, view: View) -> None:
        """Lay it over the frame, in place."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """Something solid, trimmed to where there is any of it."""

    image: Image.Image
    opacity: Image.Image | None
    left: int
    top: int
    nearness: float

    def draw(self, frame: Image.Image, view: View) -> None:
        """Cover what is behind it."""
        across, down = view.offset(self.nearness)
        frame.paste(self.image, (self.left + across, self.top + down), self.opacity)


@dataclass(frozen=True, slots=True)
class Walk:
    """Someone who walks into the picture: grows smaller, and sets one foot before the other."""

    strides: tuple[tuple[Cutout, ...], ...]
    """The moments of two steps; each is a shadow and a person."""
    foot: tuple[float, float]
    """Where the walk begins, in pixels of the paper."""
    goal: tuple[float, float]
    """Where it would end: a point on the horizon."""
    pace: float
    """By what share of the first distance the distance grows each second."""

    def draw(self, frame: Image.Image, view: View) -> None:
        """Cover what is behind the walker."""
        scale = 1 / (1 + self.pace * view.time)
        share = view.time * _STEPS_PER_SECOND / 2 % 1
        foot_x, foot_y = (goal + (foot - goal) * scale for foot, goal in zip(self.foot, self.goal, strict=True))
        for part in self.strides[int(share * len(self.strides))]:
            size = max(round(part.image.width * scale), 1), max(round(part.image.height * scale), 1)
            image = part.image.resize(size, Image.Resampling.BILINEAR)
            opacity = part.opacity and part.opacity.resize(size, Image.Resampling.BILINEAR)
            left, top = foot_x + (part.left - self.foot[0]) * scale, foot_y + (part.top - self.foot[1]) * scale
            Cutout(image, opacity, round(left), round(top), part.nearness).draw(frame, view)


@dataclass(frozen=True, slots=True)
class Glow:
    """Light in the air, which adds to what is behind it."""

    image: Image.Image
    left: int
    top: int
    nearness: float

    def draw(self, frame: Image.Image, view: View) -> None:
        """Brighten what is behind it."""
        across, down = view.offset(self.nearness)
        left, top = max(self.left + across, 0), max(self.top + down, 0)
        right = min(self.left + across + self.image.width, frame.width)
        bottom = min(self.top + down + self.image.height, frame.height)
        if right <= left or bottom <= top:
            return
        start = left - self.left - across, top - self.top - down
        light = self.image.crop((*start, start[0] + right - left, start[1] + bottom - top))
        frame.paste(ImageChops.screen(frame.crop((left, top, right, bottom)), light), (left, top))


@dataclass(frozen=True, slots=True)
class Veil:
    """A wrapping texture of one colour that moves by itself: fog, rain, snow."""

    colour: Image.Image
    """As large as the paper: Pillow covers with a picture three times as fast as with a colour."""
    texture: Image.Image
    """Opacity. Twice the paper's size in each direction that it moves, so that every part is in one piece."""
    velocity: tuple[float, float]
    """Pixels per second, right and down."""
    sway: float = 0.0
    """Pixels that it swings to each side."""

    def draw(self, frame: Image.Image, view: View) -> None:
        """Lay the part over the frame that has drifted in front of it."""
        period_x, period_y = self.colour.size
        left = round(self.sway * math.sin(view.time * 1.3) - self.velocity[0] * view.time) % period_x
        top = round(-self.velocity[1] * view.time) % period_y
        part = self.texture.crop((left, top, left + frame.width, top + frame.height))
        frame.paste(self.colour.crop((0, 0, *frame.size)), (0, 0), part)


@dataclass(frozen=True, slots=True)
class Mirror:
    """Water or wet ground: shows what stands above it upside down, bent by ripples."""

    top: int
    """The row of the paper at which `rise` and `opacity` begin."""
    axis: Plane
    """For every column of the paper the row about which it is mirrored: where wall and ground meet."""
    rise: Plane
    """By how many rows each reflection is displaced; wider than the paper."""
    opacity: Image.Image
    """How much each place reflects."""
    speed: float
    """Pixels per second that the ripples travel."""
    nearness: float = 0.3

    def draw(self, frame: Image.Image, view: View) -> None:
        """Mirror what the frame shows so far. Drawn before anything that stands in front of it."""
        across, down = view.offset(self.nearness)
        top = max(self.top + down, 0)
        part = slice(top - self.top - down, frame.height - self.top - down)
        rows = np.arange(top, frame.height, dtype=np.float32)[:, None]
        axis = self.axis[-across : frame.width - across] + down
        source = 2 * axis - rows + self._ripples(frame.width, view.time)[part]
        bent = _gathered(frame, np.clip(source, 0, frame.height - 1).astype(np.int32))
        frame.paste(bent, (0, top), self.opacity.crop((-across, part.start, frame.width - across, part.stop)))

    def _ripples(self, width: int, time: float) -> Plane:
        """Two trains of waves that cross each other."""
        start = round(self.speed * time) % max(self.rise.shape[1] - width, 1)
        here = slice(start, start + width)
        crossing: Plane = self.rise[:, here] + self.rise[:, ::-1][:, here]
        return crossing


def _gathered(frame: Image.Image, rows: npt.NDArray[np.int32]) -> Image.Image:
    """A picture whose every pixel comes from the given row of its column. Four bytes at a time: three are slow."""
    pixels = np.asarray(frame.convert("RGBX")).view(np.uint32).reshape(-1)
    columns = np.arange(frame.width, dtype=np.int32)
    taken = pixels.take(rows * np.int32(frame.width) + columns)
    return Image.fromarray(taken.view(np.uint8).reshape(*rows.shape, 4), "RGBX").convert("RGB")


def cutout(colours: Plane | Colour, shape: Plane, nearness: float, at: tuple[int, int] = (0, 0)) -> Cutout | None:
    """A layer, trimmed to where `shape` (opacities 0..1) is visible; None when it is nowhere.

    `at` is the column and row of the paper at which `colours` and `shape` begin.
    """
    kept = _visible(shape)
    if kept is None:
        return None
    rows, columns = kept
    whole = np.broadcast_to(np.asarray(colours, dtype=np.float32), (*shape.shape, 3))
    left, top = at[0] + columns.start, at[1] + rows.start
    return Cutout(picture(whole[rows, columns]), mask(shape[rows, columns]), left, top, nearness)


def glow(strength: Plane, colour: Colour | None, nearness: float) -> Glow | None:
    """Light, trimmed; None when there is none. `strength` is one channel to be coloured, or a picture of light."""
    kept = _visible(strength if strength.ndim == 2 else strength.max(axis=2))
    if kept is None:
        return None
    rows, columns = kept
    light = strength[rows, columns] if colour is None else strength[rows, columns, None] * rgb(colour)
    return Glow(picture(light), columns.start, rows.start, nearness)


def backdrop(colours: Plane, canvas: Canvas) -> Cutout:
    """What is behind everything, and never moves by itself."""
    return Cutout(picture(np.broadcast_to(colours, (canvas.height, canvas.width, 3))), None, 0, 0, 0.0)


def _visible(shape: Plane) -> tuple[slice, slice] | None:
    """The rows and columns that hold everything worth showing."""
    rows, columns = np.flatnonzero(shape.max(axis=1) > _FAINTEST), np.flatnonzero(shape.max(axis=0) > _FAINTEST)
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
