"""Those who act in an animation, as one layer: each is drawn where its script has it, whoever is nearer over the others."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from genfleet_workers.engines.procedural.acting import Moment
from genfleet_workers.engines.procedural.canvas import Canvas, blend, sign
from genfleet_workers.engines.procedural.carriage import DRAWINGS, Carriage, carriage
from genfleet_workers.engines.procedural.choices import Framing
from genfleet_workers.engines.procedural.figures import Stand, posed
from genfleet_workers.engines.procedural.scene import Figure, Scene
from genfleet_workers.engines.procedural.sheets import Cutout, Glow, View
from genfleet_workers.engines.procedural.wardrobe import outline_in

GROUND = 0.94
"""Where feet are by themselves, of the frame's height from its top."""
_TALL = {Framing.WIDE: 0.34, Framing.MEDIUM: 0.46, Framing.CLOSE: 0.80}
"""Heights of figures, of the frame's."""
_NEARNESS = 0.8
_KEPT = 128
"""Drawings that are kept at once. Each is a quarter of a megabyte to one."""
_HALO = 64
"""Pixels of the light behind a figure, which is stretched to its size."""
_STEP, _LIGHTS = 8, 24
"""Pixels by which the sizes of lights differ, and how many of them are kept at once."""

Matrix = npt.NDArray[Any]
"""Of three rows and columns: moves points of a plane."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure in one posture, at scale 1."""

    ground: tuple[Cutout, ...]
    """Its shadow or reflection."""
    person: tuple[Cutout, ...]
    foot: tuple[float, float]
    """Where it stands, in pixels of the paper."""


@dataclass(frozen=True, slots=True)
class Cast:
    """The layer. It draws postures when they are first needed."""

    scene: Scene
    canvas: Canvas
    halo: Image.Image
    mirrored: bool
    """Whether the ground reflects."""
    _drawings: OrderedDict[object, Drawing] = field(default_factory=OrderedDict)
    _lights: dict[int, Image.Image] = field(default_factory=dict)

    def draw(self, frame: Image.Image, view: View) -> None:
        """Draw everybody at this moment of the film."""
        acting = [(figure, figure.script.at(view.time)) for figure in self.scene.figures if figure.script]
        placed = [
            (figure, moment, self._stands(moment, view))
            for figure, moment in sorted(acting, key=lambda each: each[1].y)
        ]
        for figure, moment, stands in placed:
            self._light(frame, stands, self._tall(figure) * moment.scale)
        for figure, moment, stands in placed:
            self._draw(frame, figure, moment, stands)

    def _tall(self, figure: Figure) -> float:
        return height_of(self.scene, figure.look) * self.canvas.frame_height

    def _stands(self, moment: Moment, view: View) -> Matrix:
        """Moves what stands at 0, 0 to where it is in the frame."""
        x, y = self.canvas.pixel(self._u(moment), moment.y)
        return _moved(x + view.shift[0] * _NEARNESS - view.inset, y + view.shift[1] * _NEARNESS - view.inset)

    def _u(self, moment: Moment) -> float:
        return (moment.x - 0.5) * 2 * self.canvas.half

    def _draw(self, frame: Image.Image, figure: Figure, moment: Moment, stands: Matrix) -> None:
        number = round(moment.phase * DRAWINGS) % DRAWINGS
        carried = carriage(moment.action, number / DRAWINGS, moment.heading)
        light = sign(self.scene.light[0] * self.canvas.half - self._u(moment))
        drawing = self._drawing(figure, moment, (number, light), carried)
        tall = self._tall(figure) * moment.scale
        sized = _scaled(moment.scale) @ _moved(-drawing.foot[0], -drawing.foot[1])
        for part in drawing.ground:
            _lay(part, frame, stands @ sized)
        held = _turned(carried.lean * (moment.heading or 1)) @ _moved(0, -carried.rise * tall)
        spun = _moved(0, -tall / 2) @ _turned(moment.rotation) @ _moved(0, tall / 2)
        for part in drawing.person:
            _lay(part, frame, stands @ held @ spun @ sized)

    def _drawing(self, figure: Figure, moment: Moment, seen: tuple[int, float], carried: Carriage) -> Drawing:
        key = figure.outfit, figure.look, moment.action, moment.heading, seen
        if key not in self._drawings:
            self._drawings[key] = self._drawn(figure, moment.heading, seen[1], carried)
        self._drawings.move_to_end(key)
        while len(self._drawings) > _KEPT:
            self._drawings.popitem(last=False)
        return self._drawings[key]

    def _drawn(self, figure: Figure, heading: int, light: float, carried: Carriage) -> Drawing:
        outline = outline_in(figure.outfit, carried.posture)
        # On the other side of the light than it comes from; the feet are moved to where they belong in each frame.
        place = Stand(self.scene.light[0] * self.canvas.half - light, GROUND, height_of(self.scene, figure.look))
        turned = outline.turned() if heading < 0 else outline
        parts = posed(self.scene, self.canvas, turned, place, mirrored=self.mirrored)
        return Drawing(parts[:-1], parts[-1:], self.canvas.pixel(place.u, place.foot))

    def _light(self, frame: Image.Image, stands: Matrix, tall: float) -> None:
        """What lifts its outline from the dark."""
        step = max(round(tall / _STEP), 1)
        if step * _STEP > 2 * frame.height:
            return  # so near that it is everywhere
        if step not in self._lights:
            size = max(round(step * _STEP * 1.4), 1), max(round(step * _STEP * 1.76), 1)
            self._lights[step] = self.halo.resize(size, Image.Resampling.BICUBIC)
        light = self._lights[step]
        left, top = stands[0, 2] - light.width / 2, stands[1, 2] - 0.72 * tall - light.height / 2
        Glow(light, round(left), round(top), 0.0).draw(frame, View())
        while len(self._lights) > _LIGHTS:
            del self._lights[next(iter(self._lights))]


def height_of(scene: Scene, look: int) -> float:
    """How tall a figure is at scale 1, of the frame's height."""
    return _TALL[scene.framing] * (0.97 + 0.01 * (look % 7))


def cast_of(scene: Scene, canvas: Canvas, *, mirrored: bool) -> Cast:
    """The layer of all figures that have a script."""
    red, green, blue = blend(scene.colours.haze, scene.colours.light, 0.35)
    u, v = np.meshgrid(np.linspace(-1.6, 1.6, _HALO), np.linspace(-1.6, 1.6, _HALO))
    light = 0.30 * np.exp(-(u**2) - v**2) * np.clip((1.6 - np.hypot(u, v)) / 0.6, 0, 1)
    halo = (light[:, :, None] * np.array([red, green, blue]) * 255).round().astype(np.uint8)
    return Cast(scene, canvas, Image.fromarray(halo), mirrored)


def _moved(across: float, down: float) -> Matrix:
    return np.array([[1, 0, across], [0, 1, down], [0, 0, 1]], dtype=float)


def _scaled(scale: float) -> Matrix:
    return np.diag([scale, scale, 1.0])


def _turned(degrees: float) -> Matrix:
    turn = np.radians(degrees)
    return np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])


def _lay(part: Cutout, frame: Image.Image, placed: Matrix) -> None:
    """Cover the frame with a part, moved to fractions of a pixel: whole ones would make slow movements stutter."""
    image, opacity = part.image, part.opacity
    placed = placed @ _moved(part.left, part.top)
    shrink = int(1 / max(float(np.hypot(placed[0, 0], placed[1, 0])), 1e-3))
    if opacity is None or min(image.size) < 2 * shrink:
        return
    if shrink > 1:  # what is left out between the pixels would flicker
        image, opacity = image.reduce(shrink), opacity.reduce(shrink)
        placed = placed @ _scaled(shrink)
    corners = placed @ np.array([[0, image.width, 0, image.width], [0, 0, image.height, image.height], [1, 1, 1, 1]])
    left, top = (max(int(np.floor(corners[axis].min())) - 1, 0) for axis in (0, 1))
    right = min(int(np.ceil(corners[0].max())) + 1, frame.width)
    bottom = min(int(np.ceil(corners[1].max())) + 1, frame.height)
    if right <= left or bottom <= top:
        return
    back = (np.linalg.inv(placed) @ _moved(left, top))[:2].ravel().tolist()
    size, affine, smooth = (right - left, bottom - top), Image.Transform.AFFINE, Image.Resampling.BILINEAR
    frame.paste(image.transform(size, affine, back, smooth), (left, top), opacity.transform(size, affine, back, smooth))
