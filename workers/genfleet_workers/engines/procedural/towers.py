"""A skyline: towers with setbacks, spires and lit windows, layer behind layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, blend, mix, step
from genfleet_workers.engines.procedural.choices import Hour
from genfleet_workers.engines.procedural.noise import Random, scatter
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Cutout, cutout

_AWAKE = {Hour.NIGHT: 1.0, Hour.DUSK: 0.6, Hour.DAWN: 0.25, Hour.DAY: 0.04}
"""How many of the windows that are lit by night are lit at each hour."""


def paint_towers(
    scene: Scene, canvas: Canvas, name: str, *, foot: float, tall: float, distance: float
) -> Cutout | None:
    """A row of towers that stand at `foot`, the highest `tall` (both of the frame's height).

    `distance` goes from 0, near and dark, to 1, lost in haze.
    """
    row = _Row(canvas, foot, tall, distance, _AWAKE[scene.hour], canvas.blank(), canvas.blank())
    for tower in row.towers(scene.random(f"towers {name}")):
        row.build(tower)
    shape = np.maximum(row.shape, step(-0.002, 0.002, canvas.v - foot))
    lamps = blend(scene.colours.accent, scene.colours.light, 0.2)
    return cutout(mix(_stone(scene, row), lamps, row.lit * (1 - 0.55 * distance)), shape, 0.5 - 0.4 * distance)


@dataclass(frozen=True, slots=True)
class _Tower:
    """One building; lengths in units of the frame's height."""

    middle: float
    half_width: float
    top: float
    tiers: int
    spire: float
    busy: float
    """What share of its windows is lit by night."""
    number: int


@dataclass(frozen=True, slots=True)
class _Row:
    """Towers that stand in one row, as they are built."""

    canvas: Canvas
    foot: float
    tall: float
    distance: float
    awake: float
    shape: Plane
    """What is covered, 0..1."""
    lit: Plane
    """How bright the windows are, 0..1."""

    def towers(self, chance: Random) -> Iterator[_Tower]:
        """Towers side by side, across the whole paper."""
        u, number = float(self.canvas.u[0, 0]), 0
        while u < self.canvas.u[0, -1]:
            tower = self._tower(chance, u, number)
            yield tower
            u += 2 * tower.half_width * float(chance.uniform(0.62, 1.05))
            number += 1

    def build(self, tower: _Tower) -> None:
        """Add one, in front of those that stand already."""
        edges = (self.canvas.pixel(tower.middle + side * tower.half_width, 0)[0] for side in (-1, 1))
        left, right = (min(max(round(edge), 0), self.canvas.width) for edge in edges)
        part = np.s_[self.canvas.row(tower.top - tower.spire) : self.canvas.row(self.foot), left:right]
        down, aside = self.canvas.v[part[0]] - tower.top, self.canvas.u[:, part[1]] - tower.middle
        outline = _outline(tower, aside, down, self.foot - tower.top, self.canvas.frame_height)
        self.shape[part] = np.maximum(self.shape[part], outline)
        self.lit[part] = self.lit[part] * (1 - outline) + self._windows(tower, aside, down) * (outline > 0.99)

    def _tower(self, chance: Random, left: float, number: int) -> _Tower:
        half_width = float(chance.uniform(0.025, 0.075)) * (1.25 - 0.6 * self.distance)
        proud = float(chance.random()) ** 2
        spire = self.tall * float(chance.uniform(0.08, 0.25)) if proud > 0.5 and chance.random() < 0.6 else 0.0
        tiers = int(chance.integers(1, 5)) if proud > 0.25 else 1
        top = self.foot - self.tall * (0.25 + 0.75 * proud)
        return _Tower(left + half_width, half_width, top, tiers, spire, float(chance.uniform(0.05, 0.5)), number)

    def _windows(self, tower: _Tower, aside: Plane, down: Plane) -> Plane:
        """How bright each window is: all panes of one are lit alike."""
        width = 0.009 + 0.011 * (1 - self.distance)
        across, floors = aside / width, down / (width * 1.35)
        column, floor = np.floor(across), np.floor(floors)
        soft = min(max(1 / (self.canvas.frame_height * width), 0.02), 0.9)
        wide = np.clip((0.30 - np.abs(across - column - 0.5)) / soft + 0.5, 0, 1)
        high = np.clip((0.28 - np.abs(floors - floor - 0.5)) / soft + 0.5, 0, 1)
        awake = scatter(column + 57 * tower.number, floor) < tower.busy * self.awake
        lit: Plane = wide * high * (awake & (down > width))
        return lit


def _outline(tower: _Tower, aside: Plane, down: Plane, height: float, pixels: int) -> Plane:
    """Narrower by a step at each tier, with a needle on top."""
    tier = np.clip(np.ceil(down / height * (tower.tiers * 2.2)), 0, tower.tiers)
    needle = 0.0022 * np.clip((down + tower.spire) / max(tower.spire, 1e-3) + 0.25, 0, 1)
    reach = np.where(down < 0, needle, tower.half_width * tier / tower.tiers)
    solid: Plane = np.clip((reach - np.abs(aside)) * pixels + 0.5, 0, 1)
    return solid


def _stone(scene: Scene, row: _Row) -> Plane:
    """Dark against the sky, lost in haze at the foot."""
    colours = scene.colours
    misty = blend(colours.haze, colours.horizon, 0.55)
    tone = blend(blend(colours.shade, colours.sky, 0.12), misty, row.distance * 0.8)
    low = step(row.foot - row.tall * 0.9, row.foot + 0.02, row.canvas.v)
    return mix(tone, misty, low * (0.12 + 0.45 * row.distance))
