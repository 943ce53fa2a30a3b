"""Deep space: stars, gas, planets with rings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfleet_workers.engines.procedural.canvas import (
    Canvas,
    Plane,
    blend,
    distance,
    mix,
    resized,
    rgb,
    screen,
    step,
)
from genfleet_workers.engines.procedural.noise import Random, sample, tile
from genfleet_workers.engines.procedural.scene import Scene

_STARLIGHT = (0.86, 0.92, 1.0)


def paint_cosmos(scene: Scene, canvas: Canvas) -> Plane:
    """The sky of a place without air."""
    black = blend(scene.colours.zenith, (0.0, 0.0, 0.01), 0.6)
    space = screen(rgb(black), _nebula(scene, canvas))
    space = screen(space, starlight(scene, canvas, density=1500))
    for planet in _planets(scene, canvas):
        space = _with_planet(scene, canvas, space, planet)
    return space


def starlight(scene: Scene, canvas: Canvas, density: float) -> Plane:
    """`density` stars for a square of the frame's height, few of them bright."""
    chance, sky = scene.random("stars"), canvas.blank()
    count = int(density * canvas.width * canvas.height / canvas.frame_height**2)
    rows, columns = chance.integers(0, canvas.height, count), chance.integers(0, canvas.width, count)
    bright = chance.random(count, dtype=np.float32) ** 5 * np.float32(0.95) + np.float32(0.08)
    np.maximum.at(sky, (rows, columns), bright)
    for star in np.flatnonzero(bright > 0.55):
        _twinkle(sky, int(rows[star]), int(columns[star]), float(bright[star]), canvas.frame_height)
    return sky[:, :, None] * rgb(_STARLIGHT)


def _twinkle(sky: Plane, row: int, column: int, light: float, frame_height: int) -> None:
    radius = max(round(frame_height * 0.006), 2)
    top, left = max(row - radius, 0), max(column - radius, 0)
    part = sky[top : row + radius + 1, left : column + radius + 1]
    down, across = np.ogrid[top - row : top - row + part.shape[0], left - column : left - column + part.shape[1]]
    halo = light * np.exp(-distance(down, across) * 3.2 / radius)
    np.maximum(part, halo.astype(np.float32), out=part)


def _nebula(scene: Scene, canvas: Canvas) -> Plane:
    """Gas: noise whose place is bent by other noise, in two colours, brightest along a band across the frame."""
    chance = scene.random("nebula")
    gas, bend = tile(chance, 512, 1.5), tile(chance, 512, 2.0)
    u, v = canvas.coarse
    x, y = np.broadcast_arrays(u * 150, v * 150)
    warped_x, warped_y = x + 26 * sample(bend, x * 0.5, y * 0.5), y + 26 * sample(bend, y * 0.5 + 91, x * 0.5)
    tilt = float(chance.uniform(-0.6, 0.6))
    band = np.exp(-(((v - 0.42 - tilt * u) / 0.34) ** 2))
    first = step(-0.4, 2.2, sample(gas, warped_x, warped_y)) * band
    second = step(-0.2, 2.4, sample(gas, warped_x + 200, warped_y + 120)) * band
    dust = step(0.2, 1.6, sample(gas, warped_x * 1.7 + 77, warped_y * 1.7))
    first, second, dust = (np.clip(resized(plane, canvas.size), 0, 1)[:, :, None] for plane in (first, second, dust))
    light = 1.25 * first * rgb(scene.colours.haze) + 0.75 * second * rgb(scene.colours.accent)
    glowing: Plane = (light + 1.1 * first * second * rgb(scene.colours.light)) * (1 - 0.75 * dust)
    return glowing


@dataclass(frozen=True, slots=True)
class _Planet:
    u: float
    v: float
    radius: float
    sun: float
    """From which side it is lit: -1 left, 1 right."""
    ringed: bool
    tilt: float
    """Of the rings, in radians."""
    clouds: Plane


def _planets(scene: Scene, canvas: Canvas) -> list[_Planet]:
    chance = scene.random("planets")
    u, radius, sun = scene.light[0] * canvas.half, float(chance.uniform(0.20, 0.30)), float(chance.choice([-1, 1]))
    ringed, tilt = bool(chance.random() < 0.6), float(chance.uniform(-0.5, 0.5))
    large = _Planet(u, scene.light[1] + 0.14, radius, sun, ringed, tilt, tile(chance, 256, 1.6))
    return [large, _moon(chance, large)]


def _moon(chance: Random, planet: _Planet) -> _Planet:
    u, v = -planet.u * float(chance.uniform(0.7, 1.1)), float(chance.uniform(0.15, 0.35))
    return _Planet(u, v, planet.radius * 0.2, planet.sun, ringed=False, tilt=0.0, clouds=tile(chance, 256, 1.3))


def _with_planet(scene: Scene, canvas: Canvas, space: Plane, planet: _Planet) -> Plane:
    x, y = (canvas.u - planet.u) / planet.radius, (canvas.v - planet.v) / planet.radius
    far = distance(x, y)
    depth = np.sqrt(np.clip(1 - far * far, 0, 1))
    bands = sample(planet.clouds, x * 5 / (depth + 0.6) + 4 * y, y * 34 + 3 * x)
    ground = mix(scene.colours.haze, scene.colours.light, np.clip(0.45 + 0.28 * bands, 0, 1))
    toward_sun = 0.78 * planet.sun * x - 0.42 * y
    lit = np.clip(toward_sun + 0.45 * depth, 0, 1)
    edge = 1.5 / (canvas.frame_height * planet.radius)
    painted = mix(space, ground * lit[:, :, None] + 0.012, step(1 + edge, 1 - edge, far))
    air = 0.65 * np.exp(-np.abs(far - 1.0) / 0.045) * np.clip(toward_sun + 0.25, 0, 1)
    painted = screen(painted, air[:, :, None] * rgb(scene.colours.accent))
    return _with_rings(scene, painted, planet, x, y) if planet.ringed else painted


def _with_rings(scene: Scene, space: Plane, planet: _Planet, x: Plane, y: Plane) -> Plane:
    """A flat disc seen at a low angle; the half of it that lies behind the planet is hidden by it."""
    cosine, sine = float(np.cos(planet.tilt)), float(np.sin(planet.tilt))
    across = (y * cosine - x * sine) / 0.22
    out = distance(x * cosine + y * sine, across)
    grooves = 0.65 + 0.35 * np.sin(out * 37) * np.sin(out * 91 + 1)
    gap = 1 - 0.9 * step(1.70, 1.72, out) * step(1.79, 1.77, out)
    ring = step(1.35, 1.42, out) * step(2.15, 2.0, out) * grooves * gap
    ring = np.where((x * x + y * y < 1) & (across < 0), 0, ring)
    return mix(space, blend(scene.colours.light, scene.colours.haze, 0.35), ring * 0.55)
