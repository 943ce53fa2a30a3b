"""People, as outlines with the light on their edges."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, blend, mix, resized, rgb, sign
from genfleet_workers.engines.procedural.choices import Framing, Pose
from genfleet_workers.engines.procedural.outlines import Outline, Point
from genfleet_workers.engines.procedural.scene import Figure, Scene
from genfleet_workers.engines.procedural.sheets import Cutout, Sheet, Walk, cutout
from genfleet_workers.engines.procedural.wardrobe import TALLEST, WIDEST, outline_of

_NEARNESS = 0.8
_MOMENTS = 12
"""Drawings of two steps of a walk."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a figure stands in the frame, in units of its height."""

    u: float
    foot: float
    tall: float

    def corner(self, canvas: Canvas) -> tuple[int, int]:
        """The upper left pixel of the box in which the figure is drawn."""
        left, top = canvas.pixel(self.u - WIDEST * self.tall, self.foot - (1 + TALLEST) * self.tall)
        return round(left), round(top)


def stand(scene: Scene, canvas: Canvas, figure: Figure) -> Stand:
    """The place of a figure, by the framing of the scene."""
    tall, foot = {Framing.WIDE: (0.31, 0.94), Framing.MEDIUM: (0.54, 0.955), Framing.CLOSE: (1.45, 1.60)}[scene.framing]
    room = max(canvas.half - tall * 0.16, 0.0)
    return Stand(figure.place * room, foot, tall * (0.97 + 0.01 * (figure.look % 7)))


def paint_figures(scene: Scene, canvas: Canvas, *, mirrored: bool) -> list[Sheet]:
    """All figures, each with its shadow on dry ground or its reflection in wet ground."""
    layers: list[Sheet] = []
    for figure in scene.figures:
        place = stand(scene, canvas, figure)
        if figure.pose is Pose.WALKING and canvas.moving:
            layers.append(_walk(scene, canvas, figure, place, mirrored=mirrored))
        else:
            layers += posed(scene, canvas, outline_of(figure), place, mirrored=mirrored)
    return layers


def _walk(scene: Scene, canvas: Canvas, figure: Figure, place: Stand, *, mirrored: bool) -> Walk:
    strides = tuple(
        posed(scene, canvas, outline_of(figure, math.cos(2 * math.pi * moment / _MOMENTS)), place, mirrored=mirrored)
        for moment in range(_MOMENTS)
    )
    return Walk(strides, canvas.pixel(place.u, place.foot), canvas.pixel(0.0, scene.horizon), pace=0.04)


def posed(scene: Scene, canvas: Canvas, outline: Outline, place: Stand, *, mirrored: bool) -> tuple[Cutout, ...]:
    """What is seen of a figure: what it casts on the ground, then itself."""
    solid, folds = _drawn(canvas, outline, place)
    cast = None if scene.framing is Framing.CLOSE else _cast(scene, canvas, solid, place, mirrored=mirrored)
    parts = cast, _person(scene, canvas, solid, folds, place)
    return tuple(part for part in parts if part is not None)


def _side(scene: Scene, canvas: Canvas, place: Stand) -> float:
    """From which side the light comes: -1 left, 1 right."""
    return sign(scene.light[0] * canvas.half - place.u)


def _person(scene: Scene, canvas: Canvas, solid: Image.Image, folds: Image.Image, place: Stand) -> Cutout | None:
    side, tall = _side(scene, canvas, place), place.tall * canvas.frame_height
    shape = _plane(solid)
    lines = _plane(folds.filter(ImageFilter.GaussianBlur(max(tall * 0.0015, 0.4))))
    rounded = 0.6 * _facing(solid, side, 0.030) + 0.5 * _facing(solid, side, 0.012)
    grazing = np.clip(1.7 * _facing(solid, side, max(0.0035, 1.6 / tall)) - 0.3, 0, 1)
    dark = rgb(blend(scene.colours.shade, scene.colours.haze, 0.03))
    cloth = blend(blend(scene.colours.haze, scene.colours.light, 0.2), scene.colours.shade, 0.45)
    modelled = mix(dark, cloth, np.clip(rounded * 0.75 + lines * (0.05 + 0.5 * rounded), 0, 1))
    return cutout(mix(modelled, scene.colours.light, grazing * 0.8), shape, _NEARNESS, at=place.corner(canvas))


def _facing(solid: Image.Image, side: float, reach: float) -> Plane:
    """How much the surface faces the light, as if the outline were blown up like a cushion.

    `reach` is the depth of the cushion as a share of the figure's height. Blurred at a size at which that is three
    pixels: the result is smooth anyway, and a large figure costs no more than a small one.
    """
    small = (max(round(3 * 2 * WIDEST / reach), 4), max(round(3 * (1.04 + TALLEST) / reach), 4))
    height = _plane(solid.resize(small, Image.Resampling.BOX))
    for axis in (0, 0, 0, 1, 1, 1):
        height = (np.roll(height, 1, axis) + 2 * height + np.roll(height, -1, axis)) / 4
    across, down = np.gradient(height, axis=1), np.gradient(height, axis=0)
    lit = np.clip((-side * across + 0.45 * down) * 5, 0, 1)
    return resized(lit.astype(np.float32), solid.size)


def _drawn(canvas: Canvas, outline: Outline, place: Stand) -> tuple[Image.Image, Image.Image]:
    """The solid of the figure and the lines on its clothes, as masks of the figure's own box."""
    scale = place.tall * canvas.frame_height
    fine = 4 if scale < 600 else 2
    size = (round(2 * WIDEST * scale + 1) * fine, round((1.04 + TALLEST) * scale + 1) * fine)
    solid, folds = Image.new("L", size), Image.new("L", size)
    for polygon in outline.solids:
        ImageDraw.Draw(solid).polygon([_at(point, scale * fine) for point in polygon], fill=255)
    thick = max(round(0.0045 * scale * fine), 1)
    for line in outline.folds:
        ImageDraw.Draw(folds).line([_at(point, scale * fine) for point in line], fill=255, width=thick)
    return solid.reduce(fine), folds.reduce(fine)


def _at(point: Point, scale: float) -> Point:
    return (point[0] + WIDEST) * scale, (point[1] + TALLEST) * scale


def _cast(scene: Scene, canvas: Canvas, solid: Image.Image, place: Stand, *, mirrored: bool) -> Cutout | None:
    """The figure upside down at its feet: a reflection, or a long shadow that leans away from the light."""
    tall = place.tall * canvas.frame_height
    lean, shrink = (0.0, 1.0) if mirrored else (-0.7 * _side(scene, canvas, place), 1.5)
    foot = (TALLEST + 0.985) * tall
    width, height = solid.width + round(abs(lean) * 2 * tall), round(0.7 * tall)
    shift = (width - solid.width) / 2
    matrix = (1.0, -lean, -shift, 0.0, -shrink, foot)
    flipped = solid.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    down = np.arange(height, dtype=np.float32)[:, None] / tall
    aside = (np.arange(width, dtype=np.float32)[None, :] - width / 2) / tall
    contact = np.exp(-((aside / 0.11) ** 2) - ((down - 0.02) / 0.020) ** 2)
    shape = _plane(flipped.filter(ImageFilter.GaussianBlur(max(tall * 0.006, 0.5)))) * np.exp(-down / 0.32) * 0.85
    left, top = place.corner(canvas)
    return cutout(
        scene.colours.shade, np.maximum(shape, 0.75 * contact), _NEARNESS, at=(round(left - shift), round(top + foot))
    )


def _plane(image: Image.Image) -> Plane:
    return np.asarray(image, dtype=np.float32) / 255
