"""Light in the air: shafts from sun or moon, a glow behind a figure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from genfleet_workers.engines.procedural.canvas import Canvas, blend, distance, resized, step
from genfleet_workers.engines.procedural.noise import sample, tile
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Glow, glow
from genfleet_workers.engines.procedural.sky import light_position


def paint_rays(scene: Scene, canvas: Canvas, strength: float) -> Glow | None:
    """Shafts from sun or moon through something broken: clouds or leaves."""
    light_u, light_v = light_position(scene, canvas)
    u, v = canvas.coarse
    across, down = u - light_u, v - (light_v - 0.25)
    angle, far = np.arctan2(across, down), distance(across, down)
    shafts = step(0.0, 1.8, sample(tile(scene.random("rays"), 256, 1.1), angle * 30, far * 3))
    reach = np.exp(-far / 0.75) * step(0.02, 0.30, down)
    colour = blend(scene.colours.light, scene.colours.horizon, 0.3)
    return glow(resized(shafts * reach * strength, canvas.size), colour, 0.25)


def paint_backlight(scene: Scene, canvas: Canvas, places: Iterable[tuple[float, float, float]]) -> Glow | None:
    """A soft light behind figures (across, down, size), which lifts their outline from the dark."""
    u, v = canvas.coarse
    light = np.zeros((v.shape[0], u.shape[1]), dtype=np.float32)
    for middle, height, size in places:
        light += 0.36 * np.exp(-((u - middle) ** 2 / 0.64 + (v - height) ** 2) / size**2)
    colour = blend(scene.colours.haze, scene.colours.light, 0.35)
    return glow(resized(np.clip(light, 0, 0.6), canvas.size), colour, 0.5)
