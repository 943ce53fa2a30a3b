"""Water and wet ground."""

from __future__ import annotations

import numpy as np

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, blend, mask, mix, step
from genfleet_workers.engines.procedural.noise import sample, tile
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Cutout, Mirror, cutout

LONGEST = 30.0
"""Seconds of film for which the ripples travel without repeating."""


def paint_water(scene: Scene, canvas: Canvas, shore: float, swell: float, speed: float = 0.03) -> list[Cutout | Mirror]:
    """Open water from `shore` (0..1 of the frame) down. `swell`: 0.01 is a pond, 0.1 the open sea."""
    colours, top = scene.colours, canvas.row(shore)
    depth = np.clip((canvas.v[top:] - shore) / (1 - shore), 0, 1) + 0 * canvas.u
    deep = blend(blend(colours.sky, colours.zenith, 0.5), colours.shade, 0.35)
    surface = mix(blend(deep, colours.horizon, 0.35), deep, step(0.0, 0.5, depth))
    base = cutout(surface, np.ones_like(depth), 0.3, at=(0, top))
    away = 0.35 / (canvas.v[top:] - shore + 0.015)
    crests = sample(tile(scene.random("crests"), 256, 1.3), canvas.u * away * 22, away * 110)
    clear = 0.92 - 0.50 * step(0.0, 1.1, depth) - 3.0 * swell * np.clip(crests * np.sqrt(depth), -0.5, 1.5)
    axis = np.full(canvas.width, top, dtype=np.float32)
    mirror = reflection(scene, canvas, axis, clear, swell=swell, speed=speed)
    return [base, mirror] if base else [mirror]


def reflection(scene: Scene, canvas: Canvas, axis: Plane, opacity: Plane, *, swell: float, speed: float) -> Mirror:
    """What reflects everything above `axis` (a row for every column), as strongly as `opacity` says.

    `opacity` covers the lower part of the paper. `swell` is the height of the ripples, `speed` how much of the
    frame's height they travel in a second.
    """
    height, width = opacity.shape
    travel = int(LONGEST * speed * canvas.frame_height) + 1
    rows = (np.arange(height, dtype=np.float32)[:, None] + 1) / canvas.frame_height
    columns = np.arange(width + travel, dtype=np.float32)[None, :] / canvas.frame_height
    away = 0.35 / (rows + 0.015)
    waves, chop = (tile(scene.random(f"waves {slope}"), 256, slope) for slope in (1.5, 1.1))
    ripple = sample(waves, columns * away * 16, away * 70)
    ripple += 0.5 * sample(chop, columns * away * 40, away * 170)
    rise = ripple * np.float32(0.6 * swell * canvas.frame_height) * np.clip(rows * 5 + 0.08, 0, 1)
    return Mirror(canvas.height - height, axis, rise, mask(opacity), speed * canvas.frame_height)
