"""What shines in a street: lamps on their posts, and signs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from genfleet_workers.engines.procedural.canvas import Canvas, Colour, Plane, blend, distance, resized, sign, step
from genfleet_workers.engines.procedural.choices import Hour, Mood
from genfleet_workers.engines.procedural.pen import Pen, Place
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.sheets import Cutout, Glow, cutout, glow
from genfleet_workers.engines.procedural.street import FOCUS, Street

_ARM = 0.7
"""Metres from a lamp's post to its bulb, toward the street."""
_NAMES = ("HOTEL", "BAR", "CAFE", "JAZZ", "CLUB", "DINER", "LOANS", "ROOMS", "FILM", "MOTEL")


def paint_posts(scene: Scene, canvas: Canvas, street: Street) -> Cutout | None:
    """The posts of the lamps on both sides."""
    pen = Pen(canvas)
    for right, away in street.lamps[:5]:
        _post(pen, street, right, away)
    return cutout(blend(scene.colours.shade, scene.colours.haze, 0.08), pen.shape(), 0.5)


def paint_lamplight(scene: Scene, canvas: Canvas, street: Street) -> Glow | None:
    """The light of the lamps. None by day."""
    if scene.hour is Hour.DAY:
        return None
    u, v = canvas.coarse
    dark = np.ones((v.shape[0], u.shape[1]), dtype=np.float32)
    for right, away in street.lamps:
        dark *= 1 - _lamp(u, v, street, right, away)
    warm = blend(scene.colours.light, scene.colours.accent, 0.0 if scene.mood is Mood.NEON else 0.4)
    return glow(resized(1 - dark, canvas.size), warm, 0.5)


def _post(pen: Pen, street: Street, right: float, away: float) -> None:
    """Cast iron, with an arm toward the street."""
    arm, top = right - sign(right) * _ARM, street.lamp_height + 0.35
    bends = [(right, 0.0), (right, top - 0.3), (right * 0.99, top), (arm, top + 0.02), (arm, street.lamp_height + 0.1)]
    pen.line([street.project(x, y, away) for x, y in bends], thick=0.09 * FOCUS / away)
    low, high = street.lamp_height, street.lamp_height + 0.22
    shade = [(arm - 0.30, low), (arm - 0.08, high), (arm + 0.08, high), (arm + 0.30, low)]
    for corners in (
        _block(right, 0.0, 0.35, 0.17),
        _block(right, 0.35, 0.9, 0.09),
        _block(right, 2.6, 2.7, 0.1),
        shade,
    ):
        pen.polygon(street.project(x, y, away) for x, y in corners)


def _block(middle: float, low: float, high: float, half: float) -> list[Place]:
    return [(middle - half, low), (middle - half, high), (middle + half, high), (middle + half, low)]


def _lamp(u: Plane, v: Plane, street: Street, right: float, away: float) -> Plane:
    """The bulb, the halo that wet air gives it, and the cone below it; 0..1."""
    bulb_u, bulb_v = street.project(right - sign(right) * _ARM, street.lamp_height - 0.05, away)
    foot, size = street.project(right, 0.0, away)[1], FOCUS / away
    far = distance(u - bulb_u, v - bulb_v)
    below = np.clip((v - bulb_v) / max(foot - bulb_v, 1e-3), 0, 1)
    aside = (u - bulb_u) / (size * (0.22 + 1.9 * below))
    cone = np.exp(-1.6 * aside * aside) * (1 - below) * step(0.0, 0.02, v - bulb_v)
    strength = 1.3 * np.exp(-far / (0.18 * size)) + 0.62 * np.exp(-far / (1.2 * size)) + 0.42 * cone
    lit: Plane = np.clip(strength * min(0.5 + 0.075 * away, 1.0), 0, 1)
    return lit


@dataclass(frozen=True, slots=True)
class _Sign:
    """An upright sign; its place in metres, as in `Street.project`."""

    name: str
    right: float
    up: float
    away: float
    colour: Colour


def paint_signs(scene: Scene, canvas: Canvas, street: Street) -> Glow | None:
    """Signs that stand out from the walls, lettered in light."""
    sheet = Image.new("RGB", canvas.size)
    for board in _signs(scene, street):
        _letter(ImageDraw.Draw(sheet), canvas, street, board)
    reach = canvas.frame_height / 100
    near = sheet.filter(ImageFilter.BoxBlur(max(reach / 5, 0.5)))
    halo = sheet.reduce(4).filter(ImageFilter.GaussianBlur(reach)).resize(canvas.size, Image.Resampling.BILINEAR)
    sharp, close, wide = (np.asarray(layer, dtype=np.float32) / 255 for layer in (sheet, near, halo))
    return glow(0.75 * sharp + 0.6 * close + 1.5 * wide, None, 0.4)


def _signs(scene: Scene, street: Street) -> Iterator[_Sign]:
    """One or two old signs; a street of neon has them on every house."""
    chance, neon = scene.random("signs"), scene.mood is Mood.NEON
    colours = (scene.colours.light, scene.colours.accent, (1.0, 0.72, 0.2)) if neon else (scene.colours.accent,)
    names = chance.permutation(_NAMES)
    for number in range(9 if neon else int(chance.integers(1, 3))):
        right = (1 if number % 2 else -1) * (street.half_width - 0.55)
        away = float(chance.uniform(7, 12)) + 5.5 * (number // 2)
        up = float(chance.uniform(4.2, 9))
        yield _Sign(str(names[number]), right, up, away, colours[number % len(colours)])


def _letter(draw: ImageDraw.ImageDraw, canvas: Canvas, street: Street, board: _Sign) -> None:
    """Letters below each other, in a frame."""
    size = max(0.95 * FOCUS / board.away * canvas.frame_height, 2.0)
    x, y = canvas.pixel(*street.project(board.right, board.up + 1.05 * len(board.name), board.away))
    tone, font = tuple(round(channel * 255) for channel in board.colour), ImageFont.load_default(size)
    for number, character in enumerate(board.name):
        draw.text((x, y + number * size * 1.1), character, fill=tone, font=font, anchor="mm")
    frame = (x - size * 0.62, y - size * 0.8, x + size * 0.62, y + size * (1.1 * len(board.name) - 0.3))
    draw.rectangle(frame, outline=tone, width=max(round(size * 0.06), 1))
