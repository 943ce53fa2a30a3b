"""Conifers, trunks and the floor of a forest, as outlines with haze between them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, blend, mix, step
from genfleet_workers.engines.procedural.noise import Random, ridge
from genfleet_workers.engines.procedural.pen import Pen, Place
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Cutout, cutout


def paint_treeline(
    scene: Scene, canvas: Canvas, name: str, *, foot: float, tall: float, distance: float, gap: float = 0.0
) -> Cutout | None:
    """A row of conifers whose feet are at `foot` and of which the tallest is `tall` (shares of the frame's height).

    `distance` goes from 0, near and dark, to 1, lost in haze. `gap` is the width of the clearing in the middle, as a
    share of the frame's.
    """
    chance, pen = scene.random(f"trees {name}"), Pen(canvas)
    ground = foot + 0.03 * ridge(chance, canvas.u[0] / 0.7, octaves=4)
    for u in _places(chance, canvas, spacing=tall * 0.16):
        size = tall * float(chance.uniform(0.45, 1.0)) * _thinning(abs(u) / canvas.half, gap)
        if size > 0.04 * tall:
            _conifer(pen, chance, (u, float(np.interp(u, canvas.u[0], ground)) + 0.01), size)
    shape = np.maximum(pen.shape(), step(-0.002, 0.002, canvas.v - ground))
    return cutout(_hazed(scene, canvas, foot, tall, distance), shape, 0.75 - 0.6 * distance)


def paint_trunks(
    scene: Scene, canvas: Canvas, name: str, *, count: int, width: float, distance: float
) -> Cutout | None:
    """Tall trunks whose crowns are out of the picture; most stand aside, so that the middle stays open."""
    chance, pen = scene.random(f"trunks {name}"), Pen(canvas)
    for _ in range(count):
        side, aside = float(chance.choice([-1, 1])), float(chance.uniform(0.57 - 0.45 * distance, 1.1))
        thick = width * float(chance.uniform(0.5, 1.2))
        _trunk(pen, chance, (side * canvas.half * aside, 0.98 - 0.26 * distance), thick)
    return cutout(_hazed(scene, canvas, 0.95, 0.9, distance), pen.shape(), 0.85 - 0.6 * distance)


def _places(chance: Random, canvas: Canvas, spacing: float) -> Iterator[float]:
    u, end = float(canvas.u[0, 0]), float(canvas.u[0, -1])
    while u < end:
        yield u
        u += spacing * float(chance.uniform(0.35, 1.3))


def _thinning(aside: float, gap: float) -> float:
    """How much smaller trees are near a clearing."""
    return min(max((aside - gap * 0.55) / (gap * 0.6 + 0.05), 0.0), 1.0)


def _conifer(pen: Pen, chance: Random, foot: Place, size: float) -> None:
    """A jagged triangle: branches in steps, longer below, each side a little different."""
    breadth = size * float(chance.uniform(0.17, 0.24))
    left, right = _branches(chance, -breadth, size), _branches(chance, breadth, size)
    outline = [(0.0, 0.0), *right, (0.0, size * 1.02), *reversed(left)]
    pen.polygon((foot[0] + x, foot[1] - size + y) for x, y in outline)


def _branches(chance: Random, breadth: float, size: float) -> list[Place]:
    """One side of a conifer, from the top down."""
    outline: list[Place] = []
    tiers = max(int(9 + 7 * size), 7)
    for tier in range(1, tiers + 1):
        share = tier / tiers
        out, drop = breadth * share**0.85 * float(chance.uniform(0.75, 1.1)), size * (share + 0.02)
        outline += [(out, drop), (out * 0.42, drop - size * 0.015)]
    return outline


def _trunk(pen: Pen, chance: Random, foot: Place, width: float) -> None:
    """A trunk that sways a little on its way up, with roots below and a few bare branches."""
    heights = np.linspace(-0.15, foot[1], 14)
    middle = foot[0] + np.cumsum(chance.uniform(-0.004, 0.004, len(heights)))
    half = width / 2 * (0.7 + 0.3 * heights / foot[1] + 0.8 * np.exp((heights - foot[1]) / 0.03))
    left, right = zip(middle - half, heights, strict=True), zip(middle + half, heights, strict=True)
    pen.polygon([*left, *reversed(list(right))])
    for knot in chance.integers(1, 9, int(chance.integers(2, 6))):
        _branch(pen, chance, (float(middle[knot]), float(heights[knot])), width)


def _branch(pen: Pen, chance: Random, start: Place, width: float) -> None:
    reach = width * float(chance.uniform(2.0, 5.0)) * float(chance.choice([-1, 1]))
    rise = abs(reach) * math.sin(float(chance.uniform(0.2, 0.8)))
    elbow, tip = (start[0] + reach * 0.5, start[1] - rise * 0.3), (start[0] + reach, start[1] - rise)
    pen.line([start, elbow], thick=width * 0.16)
    pen.line([elbow, tip], thick=width * 0.08)


def _hazed(scene: Scene, canvas: Canvas, foot: float, tall: float, distance: float) -> Plane:
    """Darker at the top, where it stands against the sky; lost in ground mist at the foot."""
    colours = scene.colours
    low = step(foot - tall, foot + 0.05, canvas.v)
    tone = blend(colours.shade, blend(colours.haze, colours.horizon, 0.4), distance)
    mist = low * (0.12 + 0.5 * distance) * (1 - 0.3 * distance)
    return mix(tone, blend(colours.haze, colours.horizon, 0.5), mist)
