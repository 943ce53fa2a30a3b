"""Outlines: smooth curves and limbs, in units of a figure's height.

`x` runs from the middle to the right, `y` from 0 at the crown to 1 at the soles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Point = tuple[float, float]
Points = Sequence[Point]


@dataclass(frozen=True, slots=True)
class Outline:
    """What a figure is made of."""

    solids: tuple[Points, ...]
    """Polygons."""
    folds: tuple[Points, ...] = ()
    """Lines on the clothes that catch a little light."""

    def turned(self) -> Outline:
        """The same figure, left for right."""
        solids, folds = ([[(-x, y) for x, y in points] for points in group] for group in (self.solids, self.folds))
        return Outline(tuple(solids), tuple(folds))


def points(text: str) -> list[Point]:
    """Points that are written as `x,y x,y`, in thousandths."""
    pairs = (pair.split(",") for pair in text.split())
    return [(int(x) / 1000, int(y) / 1000) for x, y in pairs]


def lines(text: str) -> tuple[Points, ...]:
    """Lines of points, separated by `|`."""
    return tuple(points(line) for line in text.split("|"))


def curve(text: str, pieces: int = 6) -> Points:
    """The closed smooth curve (Catmull-Rom) through points, `pieces` straight pieces for each."""
    knots = np.asarray(points(text))
    before, after, later = (np.roll(knots, -shift, axis=0)[:, None, :] for shift in (-1, 1, 2))
    here, t = knots[:, None, :], np.linspace(0, 1, pieces, endpoint=False)[None, :, None]
    smooth = here + (after - before) * t / 2 + (2 * before - 5 * here + 4 * after - later) * t**2 / 2
    smooth = smooth + (3 * here - before - 3 * after + later) * t**3 / 2
    return [(float(x), float(y)) for x, y in smooth.reshape(-1, 2)]


def swayed(shape: Points, sway: float) -> Points:
    """A garment whose hem has swung aside by `sway`; what is above the waist stays."""
    return [(x + sway * max(y - 0.45, 0) * 2, y) for x, y in shape]


def limb(*joints: tuple[float, float, float]) -> tuple[Points, ...]:
    """An arm or a leg: joints (x, y, half of its thickness), joined by straight pieces with round ends."""
    parts: list[Points] = [disc(x, y, radius) for x, y, radius in joints]
    for (x1, y1, r1), (x2, y2, r2) in pairwise(joints):
        length = max(float(np.hypot(x2 - x1, y2 - y1)), 1e-6)
        nx, ny = (y1 - y2) / length, (x2 - x1) / length
        one_side = [(x1 + nx * r1, y1 + ny * r1), (x2 + nx * r2, y2 + ny * r2)]
        parts.append([*one_side, (x2 - nx * r2, y2 - ny * r2), (x1 - nx * r1, y1 - ny * r1)])
    return tuple(parts)


def disc(x: float, y: float, radius: float) -> Points:
    """A circle."""
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(x + radius * float(np.cos(turn)), y + radius * float(np.sin(turn))) for turn in turns]
