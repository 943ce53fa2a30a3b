"""The houses of a street, from the lamps in their windows to the soot on their stones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, blend, distance, mix, rgb, step
from genfleet_workers.engines.procedural.choices import Hour, Weather
from genfleet_workers.engines.procedural.noise import sample, scatter, tile
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Cutout, cutout
from genfleet_workers.engines.procedural.street import EYE, FOCUS, Street, daylight

_FLOOR, _BAY, _SHOP = 3.5, 2.7, 4.4
"""Metres: height of a storey, breadth of a window with its wall, height below which windows are those of shops."""
_SILL, _LINTEL = 0.22, 0.80
"""Where a window begins and ends in its storey."""
_AWAKE = {Hour.NIGHT: 1.0, Hour.DUSK: 0.35, Hour.DAWN: 0.08, Hour.DAY: 0.08}
"""How many of the lamps that burn by night burn at each hour."""


@dataclass(frozen=True, slots=True)
class _Houses:
    """For every column of pixels: which house is seen there, and how."""

    away: Plane
    number: Plane
    tall: Plane
    pale: Plane
    """How light its stone is, 0..1."""
    busy: Plane
    """What share of its windows is lit."""
    broad: Plane
    """What share of a bay is window."""


def paint_houses(scene: Scene, canvas: Canvas, street: Street, distant: Plane) -> Cutout | None:
    """Both walls of the street. `distant` is what `distance_colour` gave."""
    houses = _houses(scene, canvas, street)
    rows = slice(0, canvas.row(float(street.wall_foot(canvas).max())))
    up = EYE + (street.horizon - canvas.v[rows]) * houses.away / FOCUS
    pixels = FOCUS / houses.away * canvas.frame_height
    shape = np.clip((houses.tall - up) * pixels + 0.5, 0, 1) * np.clip(up * pixels + 0.5, 0, 1)
    stone, (windows, lit) = _stone(scene, street, houses, up), _windows(scene, canvas, street, houses, up)
    glass = mix(stone * 0.35, scene.colours.sky, 0.12)
    faced = mix(mix(stone, glass, windows), _lamplight(scene, houses), lit)
    fog = 1 - np.exp(-houses.away / (60 if scene.weather is Weather.CLEAR else 38))
    misty = mix(faced, distant[rows], fog * (0.35 + 0.65 * np.exp(-np.maximum(up, 0) / 22)))
    return cutout(misty, shape * step(115, 55, houses.away), 0.35)


def _houses(scene: Scene, canvas: Canvas, street: Street) -> _Houses:
    chance = scene.random("houses")
    aside = canvas.u - street.vanishing
    away = street.half_width * FOCUS / np.maximum(np.abs(aside), 0.004)
    number = np.searchsorted(np.cumsum(chance.uniform(7, 19, 60)), away) + np.where(aside > 0, 64, 0)
    tall = chance.uniform(13, 40, 128) + np.where(chance.random(128) < 0.2, 22, 0)
    others = (chance.uniform(low, high, 128) for low, high in ((0.2, 1), (0.05, 0.42), (0.36, 0.62)))
    return _Houses(away, number, *(values.astype(np.float32)[number] for values in (tall, *others)))


def _stone(scene: Scene, street: Street, houses: _Houses, up: Plane) -> Plane:
    colours = scene.colours
    floor = up / _FLOOR
    ledge = np.exp(-(((floor - np.round(floor)) / 0.045) ** 2)) * (0.30 * np.exp(-houses.away / 30))
    cornice = step(1.1, 0.9, houses.tall - up) * 0.25 + step(0.25, 0.15, np.abs(up - 4.6)) * 0.17
    soot = sample(tile(scene.random("soot"), 256, 1.4), houses.away * 12, up * 7)
    tone = 0.20 + 0.22 * houses.pale + ledge + cornice + 0.045 * soot
    light = daylight(scene) * 0.55 + 0.25 * np.exp(-np.maximum(up, 0) / 6) + 0 * houses.away
    for _, away in street.lamps[:4]:
        light += 1.15 * np.exp(-distance(houses.away - away, up - street.lamp_height) / 2.8)
    base = mix(colours.shade, blend(colours.haze, colours.sky, 0.5), tone * 0.34)
    stone: Plane = base + (tone * light * 0.5)[:, :, None] * rgb(blend(colours.light, colours.accent, 0.35))
    return stone


def _windows(scene: Scene, canvas: Canvas, street: Street, houses: _Houses, up: Plane) -> tuple[Plane, Plane]:
    """How much of each pixel is window, and how bright a lamp is behind it."""
    bay, storey = houses.away / _BAY, up / _FLOOR
    along, above = bay - np.floor(bay), storey - np.floor(storey)
    pixel = houses.away / FOCUS / canvas.frame_height
    across = np.clip(pixel * houses.away / street.half_width / _BAY, 0.004, 0.6), np.clip(pixel / _FLOOR, 0.004, 0.6)
    margin = np.where(up < _SHOP, np.float32(0.08), (1 - houses.broad) / 2)
    pane = _between(along, margin, 1 - margin, across[0]) * _between(above, _SILL, _LINTEL, across[1])
    bars = np.maximum(_bar(along, 0.5, 0.012, across[0]), _bar(above, 0.56, 0.010, across[1]))
    windows = pane * (1 - 0.8 * bars) * ((up > 0.6) & (up < houses.tall - 1.4))
    return windows, windows * _lit(scene, houses, up, np.floor(bay), np.floor(storey))


def _lit(scene: Scene, houses: _Houses, up: Plane, bay: Plane, storey: Plane) -> Plane:
    """How bright each window is. Shops are lit more often; blinds are drawn to various heights."""
    luck = scatter(bay + 31 * houses.number, storey + 7)
    share = houses.busy * _AWAKE[scene.hour]
    likely = np.where(up < _SHOP, np.minimum(share * 2.2, 0.8), share)
    blind = step(0.0, 0.3, _LINTEL - (up / _FLOOR - storey) - 0.45 * scatter(storey, bay))
    brightness = np.clip(0.35 + 0.65 * luck / np.maximum(share, 0.05), 0.3, 1)
    lit: Plane = (luck < likely) * brightness * (0.4 + 0.6 * blind)
    return lit


def _bar(value: Plane, middle: float, half: float, blur: Plane) -> Plane:
    """A glazing bar; too fine to be seen far away."""
    return _between(value, middle - half, middle + half, blur) * np.minimum(2 * half / blur, 1)


def _between(value: Plane, low: Plane | float, high: Plane | float, blur: Plane) -> Plane:
    """1 between the two, 0 outside, with edges as soft as `blur`."""
    within: Plane = np.clip((value - low) / blur + 0.5, 0, 1) * np.clip((high - value) / blur + 0.5, 0, 1)
    return within


def _lamplight(scene: Scene, houses: _Houses) -> Plane:
    """The colour of the lamps in each house, for every column."""
    warmth = scatter(houses.number, houses.number + 3)
    return mix(mix(scene.colours.accent, scene.colours.light, warmth), (1.0, 1.0, 1.0), 0.1)
