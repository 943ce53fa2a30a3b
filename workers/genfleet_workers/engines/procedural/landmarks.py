"""Small things that give a landscape its scale: a sailing boat, a flight of birds."""

from __future__ import annotations

from genfleet_workers.engines.procedural.canvas import Canvas, blend, sign
from genfleet_workers.engines.procedural.choices import Hour
from genfleet_workers.engines.procedural.noise import Random
from genfleet_workers.engines.procedural.pen import Pen, Place
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Cutout, cutout

_BOAT: tuple[tuple[Place, ...], ...] = (
    ((-0.46, 0.86), (0.50, 0.84), (0.36, 1.0), (-0.36, 1.0)),
    ((0.02, 0.0), (0.05, 0.0), (0.05, 0.86), (0.02, 0.86)),
    ((0.09, 0.06), (0.44, 0.78), (0.09, 0.80)),
    ((-0.02, 0.12), (-0.02, 0.80), (-0.36, 0.80)),
)
"""Hull, mast and two sails, in units of its height."""


def paint_boat(scene: Scene, canvas: Canvas, waterline: float) -> Cutout | None:
    """A boat under sail, opposite to the light, so that it stands against the brighter sky."""
    chance, pen = scene.random("boat"), Pen(canvas, fine=4)
    tall, aside = float(chance.uniform(0.09, 0.15)), float(chance.uniform(0.1, 0.45))
    u = -sign(scene.light[0]) * canvas.half * aside
    for part in _BOAT:
        pen.polygon((u + x * tall, waterline + (y - 0.985) * tall) for x, y in part)
    return cutout(blend(scene.colours.shade, scene.colours.haze, 0.25), pen.shape(), 0.3)


def paint_birds(scene: Scene, canvas: Canvas) -> Cutout | None:
    """A loose flight of birds near sun or moon. None by night."""
    if scene.hour is Hour.NIGHT:
        return None
    chance, pen = scene.random("birds"), Pen(canvas)
    for _ in range(int(chance.integers(5, 12))):
        u = scene.light[0] * canvas.half * 0.4 + float(chance.normal(0, 0.11))
        _bird(pen, chance, (u, scene.light[1] + 0.05 + float(chance.normal(0, 0.045))))
    return cutout(blend(scene.colours.shade, scene.colours.sky, 0.25), pen.shape(), 0.15)


def _bird(pen: Pen, chance: Random, place: Place) -> None:
    span, lift = float(chance.uniform(0.008, 0.017)), float(chance.uniform(0.2, 0.6))
    wing = [(-span, -lift * span), (-span * 0.45, -lift * span * 1.1), (0.0, 0.0)]
    both = wing + [(-across, down) for across, down in reversed(wing[:2])]
    pen.line([(place[0] + across, place[1] + down) for across, down in both], thick=span * 0.16)
