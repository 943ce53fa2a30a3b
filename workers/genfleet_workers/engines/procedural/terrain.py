"""Land in perspective: mountains, dunes, hills and the surface of a moon, from a field of heights.

The land is cut into slices that are parallel to the picture, each a little farther away. A slice hides what lies
behind it, so every pixel shows the first slice that reaches up to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, blend, mix, rgb, sign, step
from genfleet_workers.engines.procedural.choices import Setting, Weather
from genfleet_workers.engines.procedural.noise import Random, sample, tile
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Cutout, cutout

Heights = Callable[[Plane, Plane], Plane]
"""The height of the ground at places (right, away), in units of the eye's distance to the picture."""


@dataclass(frozen=True, slots=True)
class Land:
    """One kind of land."""

    heights: Heights
    eye: float
    """How high the eye is above the plain."""
    near: float
    far: float
    """Where the land begins and ends, as distances from the eye."""
    snow_line: float
    """Above this height the ground is white."""
    ground: tuple[float, float, float]
    fade: float
    """The distance at which haze takes two thirds of the colour."""


def paint_land(scene: Scene, canvas: Canvas, parts: int = 3) -> list[Cutout]:
    """The land in `parts` layers, farthest first, so that a moving camera sees depth."""
    land = _land(scene)
    edges = np.geomspace(land.far, land.near, parts + 1)
    layers = [
        _range(scene, canvas, land, (float(near), float(far)), nearness=0.10 + 0.45 * index / parts)
        for index, (far, near) in enumerate(pairwise(edges))
    ]
    return [layer for layer in layers if layer is not None]


def _range(scene: Scene, canvas: Canvas, land: Land, reach: tuple[float, float], nearness: float) -> Cutout | None:
    away = np.geomspace(*reach, num=180, dtype=np.float32)[:, None]
    right = canvas.u * away
    heights = land.heights(right, away)
    tops = scene.horizon - (heights - land.eye) / away
    skyline = np.minimum.accumulate(tops, axis=0)
    slices, share = _first_reaching(skyline, canvas)
    colours = _slice_colours(scene, land, right, away, heights)
    last = len(away) - 1
    columns = np.arange(canvas.width)[None, :]
    near, far = colours[np.clip(slices - 1, 0, last), columns], colours[np.clip(slices, 0, last), columns]
    edge = np.clip((canvas.v - skyline[-1:, :]) * canvas.frame_height + 0.5, 0, 1)
    return cutout(mix(near, far, share), edge, nearness)


def _first_reaching(skyline: Plane, canvas: Canvas) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], Plane]:
    """For each pixel the first slice whose skyline is above it, and how far it lies between that and the one before."""
    count, width = skyline.shape
    rows = np.clip((skyline * canvas.frame_height + canvas.margin).astype(np.int64), 0, canvas.height)
    begins = np.bincount((rows * width + np.arange(width)).ravel(), minlength=(canvas.height + 1) * width)
    below = begins.reshape(canvas.height + 1, width)[::-1].cumsum(axis=0)[::-1]
    slices = np.clip(below[1:], 0, count - 1)
    columns = np.arange(width)[None, :]
    start, end = skyline[np.maximum(slices - 1, 0), columns], skyline[slices, columns]
    share = np.clip((start - canvas.v) / np.maximum(start - end, 1e-5), 0, 1)
    return slices, share.astype(np.float32)


def _slice_colours(scene: Scene, land: Land, right: Plane, away: Plane, heights: Plane) -> Plane:
    """The colour of the ground in every slice: lit from the side of sun or moon, whitened above, lost in haze."""
    lean, rise = _slopes(right, away, heights)
    side = sign(scene.light[0])
    facing = (0.55 - side * lean * 0.95 - rise * 0.15) / np.sqrt(1 + lean**2 + rise**2)
    lit = np.clip(facing, 0, 1.3)
    steep = np.hypot(lean, rise)
    white = step(land.snow_line, land.snow_line * 1.35, heights + 0.05 * np.minimum(lean, 1)) * step(1.7, 0.8, steep)
    colours = scene.colours
    ground = mix(land.ground, (0.92, 0.94, 0.98), white)
    sunlight = rgb(blend(colours.light, colours.horizon, 0.3)) * 0.95
    ambient = rgb(blend(colours.sky, colours.zenith, 0.4)) * 0.55
    shaded = ground * (ambient + sunlight * lit[:, :, None] * _power(scene))
    thin = 1 - np.exp(-((away / land.fade) ** 1.3))
    mist = np.clip(thin + 0.5 * np.exp(-np.maximum(heights, 0) / 0.12) * thin, 0, 1)
    glowing = blend(colours.haze, colours.horizon, 0.45)
    return mix(shaded, glowing, mist * 0.94).astype(np.float32)


def _slopes(right: Plane, away: Plane, heights: Plane) -> tuple[Plane, Plane]:
    """How steeply the ground climbs to the right and away from the eye."""
    columns = right[:, 2:] - right[:, :-2]
    lean = np.pad((heights[:, 2:] - heights[:, :-2]) / columns, ((0, 0), (1, 1)), mode="edge")
    along_ray = np.gradient(heights, away[:, 0], axis=0)
    return lean, (along_ray - lean * right / away).astype(np.float32)


def _power(scene: Scene) -> float:
    return {"night": 0.55, "dawn": 0.95, "day": 1.05, "dusk": 0.95}[scene.hour.value]


def _land(scene: Scene) -> Land:
    chance = scene.random("land")
    builders = {Setting.DESERT: _dunes, Setting.SPACE: _moon, Setting.OCEAN: _headlands}
    return builders.get(scene.setting, _mountains)(scene, chance)


def _mountains(scene: Scene, chance: Random) -> Land:
    crests, broad = tile(chance, 512, 1.9), tile(chance, 256, 2.2)

    def heights(right: Plane, away: Plane) -> Plane:
        rock = np.zeros_like(right)
        for scale, share in ((9, 0.62), (21, 0.26), (50, 0.12), (120, 0.05)):
            ridged = 1 - np.abs(sample(crests, right * scale + 7 * scale, away * scale))
            rock += share * ridged * np.abs(ridged)
        mass = 0.45 + 0.55 * step(-0.8, 1.3, sample(broad, right * 5, away * 5))
        reach: Plane = step(2.6, 7.5, away) * (0.30 + 0.23 * away)
        return reach * mass * np.clip(rock + 0.12, -0.05, 1.2)

    snow_line = 0.10 if scene.weather is Weather.SNOW else 1.15
    return Land(heights, eye=0.5, near=3.0, far=15, snow_line=snow_line, ground=(0.30, 0.29, 0.31), fade=9.5)


def _dunes(_scene: Scene, chance: Random) -> Land:
    bend, fine = tile(chance, 256, 2.1), tile(chance, 256, 1.2)
    turn = float(chance.uniform(-0.5, 0.5))

    def heights(right: Plane, away: Plane) -> Plane:
        phase = 1.55 * np.sqrt(away) + right / np.sqrt(away) * turn + 0.62 * sample(bend, right * 5, away * 5)
        saw = phase - np.floor(phase)
        crest = np.where(saw < 0.72, saw / 0.72, (1 - saw) / 0.28)
        swell = 0.55 + 0.45 * sample(bend, right * 3 + 50, away * 3)
        ripples = 0.004 * np.sin(phase * 70 + 3 * sample(fine, right * 9, away * 9)) * np.exp(-away / 1.6)
        tall: Plane = (0.16 + 0.13 * away) * step(0.4, 2.5, away)
        height: Plane = tall * crest * crest * (2.6 - 1.6 * crest) * np.clip(swell, 0.1, 1.4) + ripples
        return height

    return Land(heights, eye=0.52, near=0.75, far=14, snow_line=9.0, ground=(0.88, 0.62, 0.40), fade=11.0)


def _moon(_scene: Scene, chance: Random) -> Land:
    rough, broad = tile(chance, 512, 1.5), tile(chance, 256, 2.2)

    def heights(right: Plane, away: Plane) -> Plane:
        dents = -0.10 * step(0.7, 1.8, sample(rough, right * 18, away * 18))
        crags = 0.16 * step(2, 7, away) * away**0.6 * np.clip(sample(broad, right * 7, away * 7) + 0.3, 0, 2)
        return (dents + crags + 0.02 * sample(rough, right * 70, away * 70)).astype(np.float32)

    return Land(heights, eye=0.42, near=0.7, far=12, snow_line=9.0, ground=(0.55, 0.54, 0.56), fade=40.0)


def _headlands(_scene: Scene, chance: Random) -> Land:
    rough, broad = tile(chance, 512, 1.6), tile(chance, 256, 2.2)
    side = float(chance.choice([-1, 1]))

    def heights(right: Plane, away: Plane) -> Plane:
        mass = step(0.05, 0.9, side * right / away + 0.10 * sample(broad, right * 4, away * 4))
        crags = 0.62 + 0.20 * sample(rough, right * 20, away * 20)
        cliff: Plane = mass * step(3.4, 4.6, away) * crags - 0.02
        return cliff

    return Land(heights, eye=0.12, near=3.4, far=9, snow_line=9.0, ground=(0.28, 0.30, 0.28), fade=9.0)
