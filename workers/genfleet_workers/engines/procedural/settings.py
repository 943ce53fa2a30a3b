"""What each setting is composed of, from back to front."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

import numpy as np

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, mix, sign, step
from genfleet_workers.engines.procedural.cast import cast_of
from genfleet_workers.engines.procedural.choices import Mood, Setting, Weather
from genfleet_workers.engines.procedural.figures import paint_figures, stand
from genfleet_workers.engines.procedural.houses import paint_houses
from genfleet_workers.engines.procedural.lamps import paint_lamplight, paint_posts, paint_signs
from genfleet_workers.engines.procedural.landmarks import paint_birds, paint_boat
from genfleet_workers.engines.procedural.lights import paint_backlight, paint_rays
from genfleet_workers.engines.procedural.noise import ridge
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Cutout, Sheet, backdrop, cutout
from genfleet_workers.engines.procedural.sky import paint_sky
from genfleet_workers.engines.procedural.street import distance_colour, paint_ground, plan, puddles
from genfleet_workers.engines.procedural.terrain import paint_land
from genfleet_workers.engines.procedural.towers import paint_towers
from genfleet_workers.engines.procedural.trees import paint_treeline, paint_trunks
from genfleet_workers.engines.procedural.water import paint_water, reflection
from genfleet_workers.engines.procedural.weather import paint_fog, paint_weather

Composition = Callable[[Scene, Canvas], Iterable[Sheet | None]]


def compose(scene: Scene, canvas: Canvas) -> Iterator[Sheet]:
    """All layers of a scene, from back to front, each painted when it is asked for."""
    yield backdrop(paint_sky(scene, canvas), canvas)
    for layer in chain(_COMPOSITIONS[scene.setting](scene, canvas), paint_weather(scene, canvas)):
        if layer is not None:
            yield layer


def _people(scene: Scene, canvas: Canvas, *, mirrored: bool = False) -> list[Sheet | None]:
    if any(figure.script for figure in scene.figures):
        return [cast_of(scene, canvas, mirrored=mirrored)]
    places = [stand(scene, canvas, figure) for figure in scene.figures]
    lit = [(place.u, place.foot - 0.72 * place.tall, 0.55 * place.tall) for place in places]
    return [paint_backlight(scene, canvas, lit) if lit else None, *paint_figures(scene, canvas, mirrored=mirrored)]


def _ground(scene: Scene, canvas: Canvas, name: str, top: float, rough: float) -> Cutout | None:
    """A dark bank in front, on which someone can stand."""
    line = top + rough * ridge(scene.random(name), canvas.u / 0.5, octaves=5)[0]
    shape = step(-0.0015, 0.0015, canvas.v - line[None, :])
    lift = step(top + 0.16, top - 0.02, canvas.v) * 0.14
    return cutout(mix(scene.colours.shade, scene.colours.haze, lift), shape, 0.75)


def _street(scene: Scene, canvas: Canvas) -> Iterable[Sheet | None]:
    street = plan(scene, canvas)
    wet = puddles(scene, canvas, street)
    yield paint_towers(scene, canvas, "far", foot=scene.horizon, tall=0.30, distance=0.9)
    distant = distance_colour(scene, canvas, street)
    yield paint_houses(scene, canvas, street, distant)
    yield paint_ground(scene, canvas, street, distant)
    if scene.mood in (Mood.NOIR, Mood.NEON):
        yield paint_signs(scene, canvas, street)
    yield paint_posts(scene, canvas, street)
    yield paint_lamplight(scene, canvas, street)
    foot = street.wall_foot(canvas) * canvas.frame_height + canvas.margin
    yield reflection(scene, canvas, foot, wet, swell=0.035, speed=0.006)
    yield paint_fog(scene, canvas, scene.horizon + 0.12, 0.34, 0.42 if scene.weather is not Weather.CLEAR else 0.2)
    yield from _people(scene, canvas, mirrored=scene.weather in (Weather.RAIN, Weather.FOG))


def _skyline(scene: Scene, canvas: Canvas) -> Iterable[Sheet | None]:
    foot = scene.horizon - (0.0 if scene.figures else 0.06)
    for name, tall, distance in (("far", 0.46, 0.95), ("middle", 0.52, 0.62), ("near", 0.44, 0.28)):
        yield paint_towers(scene, canvas, name, foot=foot, tall=tall, distance=distance)
        yield paint_fog(scene, canvas, foot, 0.30, 0.35 * distance + 0.1)
    if not scene.figures:
        yield from paint_water(scene, canvas, foot, swell=0.07)
        return
    yield _parapet(scene, canvas)
    yield from _people(scene, canvas)


def _parapet(scene: Scene, canvas: Canvas) -> Cutout | None:
    """The edge of a roof, with a stair house at one side."""
    house = np.abs(canvas.u - sign(scene.light[0]) * canvas.half * 0.86) < 0.16
    top = np.where(house, np.float32(0.66), np.float32(0.885))
    shape: Plane = np.clip((canvas.v - top) * canvas.frame_height + 0.5, 0, 1)
    coping = np.exp(-(((canvas.v - top) / 0.006) ** 2)) * 0.22
    return cutout(mix(np.broadcast_to(scene.colours.shade, (*shape.shape, 3)), scene.colours.haze, coping), shape, 0.7)


def _mountains(scene: Scene, canvas: Canvas) -> Iterable[Sheet | None]:
    shore = scene.horizon + 0.17
    yield from paint_land(scene, canvas)
    yield paint_birds(scene, canvas)
    yield paint_rays(scene, canvas, 0.30)
    yield paint_fog(scene, canvas, shore, 0.16, 0.5)
    yield paint_treeline(scene, canvas, "shore", foot=shore - 0.005, tall=0.07, distance=0.35)
    yield from paint_water(scene, canvas, shore, swell=0.02)
    yield paint_fog(scene, canvas, shore + 0.06, 0.10, 0.35)
    yield paint_treeline(scene, canvas, "bank", foot=0.925, tall=0.62, distance=0.0, gap=0.72)
    yield from _people(scene, canvas)


def _forest(scene: Scene, canvas: Canvas) -> Iterable[Sheet | None]:
    rows = (("4", 0.64, 0.34, 0.88, 0.0), ("3", 0.70, 0.50, 0.66, 0.18), ("2", 0.78, 0.66, 0.42, 0.38))
    for name, foot, tall, distance, gap in rows:
        yield paint_treeline(scene, canvas, name, foot=foot, tall=tall, distance=distance, gap=gap)
        yield paint_fog(scene, canvas, foot + 0.05, 0.30, 0.5)
    yield paint_trunks(scene, canvas, "far", count=9, width=0.035, distance=0.30)
    yield paint_rays(scene, canvas, 0.75)
    yield _ground(scene, canvas, "floor", 0.875, 0.018)
    yield paint_trunks(scene, canvas, "near", count=5, width=0.085, distance=0.0)
    yield from _people(scene, canvas)


def _desert(scene: Scene, canvas: Canvas) -> Iterable[Sheet | None]:
    yield from paint_land(scene, canvas)
    yield paint_fog(scene, canvas, scene.horizon + 0.03, 0.10, 0.35)
    yield from _people(scene, canvas)


def _ocean(scene: Scene, canvas: Canvas) -> Iterable[Sheet | None]:
    yield from paint_land(scene, canvas, parts=1)
    yield paint_birds(scene, canvas)
    yield paint_boat(scene, canvas, scene.horizon)
    yield paint_rays(scene, canvas, 0.25)
    yield from paint_water(scene, canvas, scene.horizon, swell=0.10, speed=0.02)
    yield paint_fog(scene, canvas, scene.horizon + 0.02, 0.08, 0.35)
    if scene.figures:
        yield _ground(scene, canvas, "rocks", 0.90, 0.03)
    yield from _people(scene, canvas)


def _space(scene: Scene, canvas: Canvas) -> Iterable[Sheet | None]:
    yield from paint_land(scene, canvas, parts=2)
    yield from _people(scene, canvas)


_COMPOSITIONS: Mapping[Setting, Composition] = {
    Setting.STREET: _street,
    Setting.SKYLINE: _skyline,
    Setting.MOUNTAINS: _mountains,
    Setting.FOREST: _forest,
    Setting.DESERT: _desert,
    Setting.OCEAN: _ocean,
    Setting.SPACE: _space,
}
