"""Skies: the gradient of the hour, sun or moon, clouds that it lights, stars, nebulae and planets."""

from __future__ import annotations

import numpy as np

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, blend, distance, mix, resized, rgb, screen, step
from genfleet_workers.engines.procedural.choices import Hour, Mood, Setting, Weather
from genfleet_workers.engines.procedural.cosmos import paint_cosmos, starlight
from genfleet_workers.engines.procedural.noise import sample, tile
from genfleet_workers.engines.procedural.scene import Scene


def paint_sky(scene: Scene, canvas: Canvas) -> Plane:
    """The sky of the whole paper, also behind the ground."""
    if scene.setting is Setting.SPACE:
        return paint_cosmos(scene, canvas)
    colours = _gradient(scene, canvas)
    if scene.hour is Hour.NIGHT and scene.weather is Weather.CLEAR:
        colours = screen(colours, starlight(scene, canvas, density=260))
    colours = screen(colours, _body(scene, canvas))
    if scene.mood is Mood.COLD and scene.hour is Hour.NIGHT:
        colours = screen(colours, _aurora(scene, canvas))
    return _clouded(scene, canvas, colours)


def light_position(scene: Scene, canvas: Canvas) -> tuple[float, float]:
    """Where sun or moon stand on the paper."""
    across, down = scene.light
    return across * canvas.half, down


def _gradient(scene: Scene, canvas: Canvas) -> Plane:
    colours = scene.colours
    height = np.clip(canvas.v / scene.horizon, 0, 1)
    upper = mix(colours.zenith, colours.sky, step(0.0, 0.7, height))
    return np.broadcast_to(mix(upper, colours.horizon, step(0.45, 1.05, height)), (canvas.height, canvas.width, 3))


def _body(scene: Scene, canvas: Canvas) -> Plane:
    """Sun or moon, and the halo that the air gives it."""
    night = scene.hour is Hour.NIGHT
    radius, edge = 0.062 if night else 0.05, 1.5 / canvas.frame_height
    light_u, light_v = light_position(scene, canvas)
    far = distance(canvas.u - light_u, canvas.v - light_v)
    disc = _moon(scene, canvas, far, radius, edge) if night else step(radius + edge, radius - edge, far)
    white = blend(scene.colours.light, (1.0, 1.0, 1.0), 0.0 if night else 0.6)
    halo = resized(_halo(scene, canvas), canvas.size) * (0.75 if night else 1.0)
    return disc[:, :, None] * rgb(white) + halo[:, :, None] * rgb(scene.colours.light)


def _halo(scene: Scene, canvas: Canvas) -> Plane:
    """Coarse. Wider in air that is not clear."""
    (light_u, light_v), (u, v) = light_position(scene, canvas), canvas.coarse
    far = distance(u - light_u, v - light_v) / (1.0 if scene.weather is Weather.CLEAR else 1.35)
    halo: Plane = 0.42 * np.exp(-((far / 0.34) ** 1.2)) + 0.45 * np.exp(-far / 0.07)
    return halo


def _moon(scene: Scene, canvas: Canvas, far: Plane, radius: float, edge: float) -> Plane:
    u, v = light_position(scene, canvas)
    seas = sample(tile(scene.random("moon"), 64, 1.4), (canvas.u - u) * 180, (canvas.v - v) * 180)
    face: Plane = 0.9 - 0.13 * step(-0.2, 1.0, seas)
    return face * step(radius + edge, radius - edge, far)


def _clouded(scene: Scene, canvas: Canvas, colours: Plane) -> Plane:
    """Clouds on a plane overhead, so that they gather toward the horizon; their edges catch the light."""
    cover = {Weather.CLEAR: 0.45, Weather.FOG: 0.15, Weather.RAIN: -0.35, Weather.SNOW: -0.2}[scene.weather]
    u, v = canvas.coarse
    far = 1 / np.maximum(scene.horizon - v + 0.12, 0.04)
    cloud, start = tile(scene.random("clouds"), 512, 1.55), float(scene.random("wind").uniform(0, 512))
    body = sample(cloud, u * far * 55 + start, far * 110)
    light_u, light_v = light_position(scene, canvas)
    behind = sample(cloud, (u + (light_u - u) * 0.06) * far * 55 + start, (far + (light_v - v) * 0.09 * far) * 110)
    cover += float(scene.random("cover").uniform(-0.25, 0.25))
    opacity = step(cover, cover + 1.5, body) * step(scene.horizon + 0.02, scene.horizon - 0.15, v)
    near_light = np.exp(-distance(u - light_u, v - light_v) / 0.42)
    lit = np.clip(0.30 + 0.45 * (body - behind), 0, 1) * (0.35 + near_light) + 0.30 * near_light
    opacity, lit = (resized(plane.astype(np.float32), canvas.size) for plane in (opacity, lit))
    dark = mix(scene.colours.sky, scene.colours.zenith, 0.35 if scene.hour is not Hour.DAY else 0.0)
    cloud_colour = mix(mix(dark, scene.colours.haze, 0.25), mix(scene.colours.light, scene.colours.horizon, 0.25), lit)
    return mix(colours, cloud_colour, np.clip(opacity, 0, 1) * 0.88)


def _aurora(scene: Scene, canvas: Canvas) -> Plane:
    """Curtains of light: bright lower hems that follow a wandering line, fading upward."""
    chance = scene.random("aurora")
    light = np.zeros((canvas.height, canvas.width, 3), dtype=np.float32)
    for hue in ((0.25, 0.95, 0.62), (0.20, 0.75, 0.80), (0.55, 0.35, 0.85)):
        wave = tile(chance, 256, 1.7)
        path = canvas.u * 26 + float(chance.uniform(0, 256))
        hem = 0.34 * scene.horizon + 0.13 * sample(wave, path, np.full_like(path, 7.0)) * scene.horizon
        rays = 0.55 + 0.45 * sample(wave, path * 7, np.full_like(path, 90.0))
        above = hem - canvas.v
        curtain = np.exp(-np.abs(above) / np.where(above > 0, 0.16, 0.018)) * np.clip(rays, 0.1, 1.2) * 0.42
        light = screen(light, curtain[:, :, None] * rgb(hue))
    return light
