"""A street between tall houses, seen along its middle: every pixel of wall and ground is traced back to its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, blend, distance, mix, resized, rgb, step
from genfleet_workers.engines.procedural.choices import Hour, Weather
from genfleet_workers.engines.procedural.noise import sample, tile
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Cutout, cutout

EYE = 1.55
"""Metres of the eye above the ground. All lengths of a street are in metres."""
FOCUS = 1.05
"""Size, of the frame's height, of one metre at one metre's distance."""


@dataclass(frozen=True, slots=True)
class Street:
    """The measures of one street."""

    half_width: float
    vanishing: float
    """Where the street ends in the distance, across the frame (the unit of `Canvas.u`)."""
    horizon: float
    lamps: tuple[tuple[float, float], ...]
    """Each lamp's foot: metres right of the middle, metres away."""
    lamp_height: float = 4.4

    def wall_foot(self, canvas: Canvas) -> Plane:
        """For every column the place, down the frame, at which the wall meets the ground."""
        foot: Plane = self.horizon + EYE * np.abs(canvas.u[0] - self.vanishing) / self.half_width
        return foot

    def project(self, right: float, up: float, away: float) -> tuple[float, float]:
        """Where a point of the street is seen."""
        return self.vanishing + right * FOCUS / away, self.horizon - (up - EYE) * FOCUS / away


def plan(scene: Scene, canvas: Canvas) -> Street:
    """The measures, by chance. Where people stand in the dark middle, a lamp is put behind them."""
    chance = scene.random("street")
    half_width = float(chance.uniform(4.2, 7.5))
    side = float(chance.choice([-1, 1]))
    kerb = half_width - 1.5
    away = np.cumsum([float(chance.uniform(6.5, 9.0)), *([float(chance.uniform(11, 14))] * 6)])
    lamps = tuple((side * kerb * (-1) ** number, float(metres)) for number, metres in enumerate(away))
    return Street(half_width, float(chance.uniform(-0.12, 0.12)) * canvas.half, scene.horizon, lamps)


def puddles(scene: Scene, canvas: Canvas, street: Street) -> Plane:
    """How much each place of the ground reflects: all of it a little when wet, pools much, and more at a low angle."""
    away, right = _ground_places(canvas, street)
    pools = sample(tile(scene.random("puddles"), 256, 1.7), right * 9, away * 9)
    wet = {Weather.RAIN: 0.78, Weather.FOG: 0.5, Weather.SNOW: 0.15, Weather.CLEAR: 0.3}[scene.weather]
    grazing = 0.35 + 0.65 * np.clip(away / 14, 0, 1)
    reflecting: Plane = wet * grazing * (0.25 + 0.75 * step(-0.3, 0.7, pools)) * _extent(canvas, street)
    return reflecting


def _ground_places(canvas: Canvas, street: Street) -> tuple[Plane, Plane]:
    """Metres away (one column) and metres right of the middle, for the rows of the paper below the horizon."""
    below = np.maximum(canvas.v[canvas.row(street.horizon) :] - street.horizon, 0.004)
    away = EYE * FOCUS / below
    return away, (canvas.u - street.vanishing) * away / FOCUS


def paint_ground(scene: Scene, canvas: Canvas, street: Street, distant: Plane) -> Cutout | None:
    """Stones, kerbs and the light of the lamps on them. `distant` is what `distance_colour` gave."""
    top = canvas.row(street.horizon)
    away, right = _ground_places(canvas, street)
    colours = scene.colours
    stones = sample(tile(scene.random("asphalt"), 256, 0.6), right * 26, away * 13)
    kerb = street.half_width - 2.4
    aside = np.abs(right) - kerb
    tone = 0.5 + 0.11 * stones * np.exp(-away / 14)
    tone = tone * (1 + 0.35 * step(-0.03, 0.03, aside)) + 0.5 * np.exp(-aside * aside / 0.005)
    lit = daylight(scene) + _pools(street, right, away)
    base = mix(colours.shade, blend(colours.haze, colours.horizon, 0.3), 0.22 * tone)
    shone = base + (tone * lit * 0.34)[:, :, None] * rgb(blend(colours.light, colours.accent, 0.4))
    misty = mix(shone, distant[top:], 1 - np.exp(-away / 60))
    return cutout(misty, _extent(canvas, street), 0.35, at=(0, top))


def _extent(canvas: Canvas, street: Street) -> Plane:
    """Where ground is, below the horizon: between the walls, and lost in the light before the street ends."""
    below = canvas.v[canvas.row(street.horizon) :]
    between: Plane = np.clip((below - street.wall_foot(canvas)) * canvas.frame_height + 0.5, 0, 1)
    return between * step(0.0, 0.05, below - street.horizon)


def _pools(street: Street, right: Plane, away: Plane) -> Plane:
    """The light of the lamps on the ground."""
    light = np.zeros_like(right)
    for lamp_right, lamp_away in street.lamps[:4]:
        light += np.exp(-distance(right - lamp_right * 0.85, (away - lamp_away) * 0.8) / 1.9)
    return light * 1.5


def daylight(scene: Scene) -> float:
    """How much light comes from the sky."""
    return {Hour.NIGHT: 0.04, Hour.DUSK: 0.5, Hour.DAWN: 0.7, Hour.DAY: 1.5}[scene.hour]


def distance_colour(scene: Scene, canvas: Canvas, street: Street) -> Plane:
    """What the street fades into: haze, bright where the street ends and darker far from there."""
    u, v = canvas.coarse
    far = distance((u - street.vanishing) * 1.15, v - street.horizon)
    bright = resized(np.exp(-far / 0.17) * (0.85 if scene.hour is Hour.NIGHT else 0.5), canvas.size)
    dim = resized(1 - np.exp(-far / 0.45), canvas.size) * (0.75 if scene.hour is Hour.NIGHT else 0.2)
    haze = mix(scene.colours.haze, blend(scene.colours.sky, scene.colours.shade, 0.3), dim)
    return mix(haze, scene.colours.light, bright)
