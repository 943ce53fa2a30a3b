"""What falls and drifts: textures that wrap, so that they can move for as long as the film lasts."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from genfleet_workers.engines.procedural.canvas import Canvas, Colour, Plane, blend, mask, resized, step
from genfleet_workers.engines.procedural.choices import Weather
from genfleet_workers.engines.procedural.noise import Random, tile
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Veil

_SLANT = 0.16
"""How far rain is blown aside, for each unit that it falls."""


def paint_weather(scene: Scene, canvas: Canvas) -> list[Veil]:
    """What is in front of everything."""
    if scene.weather is Weather.RAIN:
        return [_rain(scene, canvas, 380, 0.045, 1.5), _rain(scene, canvas, 130, 0.11, 2.3)]
    if scene.weather is Weather.SNOW:
        return [_snow(scene, canvas, 420, 0.0022, 0.07), _snow(scene, canvas, 90, 0.0052, 0.15)]
    return []


def paint_fog(scene: Scene, canvas: Canvas, base: float, depth: float, strength: float) -> Veil:
    """A bank of fog that lies at `base` (0..1 of the frame) and thins out `depth` above it."""
    chance = scene.random(f"fog {base}")
    width = canvas.width
    drift = np.clip(resized(np.tile(_billows(chance), (1, 2)), (2 * width, canvas.height)), 0, 1)
    above = (base - canvas.v) / depth
    envelope = step(1.0, 0.0, above) * step(-1.2, -0.1, above)
    colour = blend(scene.colours.haze, scene.colours.horizon, 0.35)
    speed = float(chance.uniform(0.012, 0.03) * chance.choice([-1, 1])) * canvas.frame_height
    return Veil(_solid(colour, canvas), mask(drift * envelope * strength), (speed, 0.0))


def _billows(chance: Random) -> Plane:
    return step(-0.9, 1.9, tile(chance, 128, 1.6))


def _rain(scene: Scene, canvas: Canvas, density: float, length: float, speed: float) -> Veil:
    chance, fall = scene.random(f"rain {density}"), length * canvas.frame_height
    sheet = Image.new("L", canvas.size)
    draw = ImageDraw.Draw(sheet)
    for _ in range(int(density * canvas.width / canvas.frame_height)):
        x, y = float(chance.uniform(0, canvas.width)), float(chance.uniform(0, canvas.height))
        reach, shine = fall * float(chance.uniform(0.5, 1.2)), int(chance.uniform(26, 95))
        for dx in (0, canvas.width):
            for dy in (0, canvas.height):
                line = (x - dx, y - dy, x - dx - reach * _SLANT, y - dy + reach)
                draw.line(line, fill=shine, width=max(round(canvas.frame_height * length / 60), 1))
    soft = sheet.filter(ImageFilter.GaussianBlur(0.6))
    pace = speed * canvas.frame_height
    return Veil(_solid(blend(scene.colours.haze, (1, 1, 1), 0.55), canvas), _doubled(soft), (-pace * _SLANT, pace))


def _snow(scene: Scene, canvas: Canvas, density: float, radius: float, speed: float) -> Veil:
    chance, sheet = scene.random(f"snow {density}"), Image.new("L", canvas.size)
    draw = ImageDraw.Draw(sheet)
    for _ in range(int(density * canvas.width / canvas.frame_height)):
        x, y = float(chance.uniform(0, canvas.width)), float(chance.uniform(0, canvas.height))
        size = max(radius * canvas.frame_height * float(chance.uniform(0.4, 1.3)), 0.7)
        draw.ellipse((x - size, y - size, x + size, y + size), fill=int(chance.uniform(90, 230)))
    soft = sheet.filter(ImageFilter.GaussianBlur(max(radius * canvas.frame_height / 3.0, 0.5)))
    pace, sway = speed * canvas.frame_height, 0.02 * canvas.frame_height
    return Veil(_solid((0.97, 0.98, 1.0), canvas), _doubled(soft), (pace * 0.3, pace), sway=sway)


def _doubled(sheet: Image.Image) -> Image.Image:
    return Image.fromarray(np.tile(np.asarray(sheet), (2, 2)))


def _solid(colour: Colour, canvas: Canvas) -> Image.Image:
    red, green, blue = (round(255 * channel) for channel in colour)
    return Image.new("RGB", canvas.size, (red, green, blue))
