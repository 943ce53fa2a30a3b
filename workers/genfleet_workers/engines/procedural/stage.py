"""A painted scene that a camera can look at, at any moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from genfleet_workers.engines.procedural.canvas import Canvas
from genfleet_workers.engines.procedural.finish import Finish, prepare
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.settings import compose
from genfleet_workers.engines.procedural.sheets import Sheet, View

_NARROWEST, _WIDEST = 0.45, 2.6
"""Aspect ratios that compositions are made for. Others show a part of the nearest."""
_SMALLEST = 128
"""Pixels that the shorter side needs for outlines to be recognised."""
_LOWER = 0.3
"""How far below the middle a part of the height is cut out: 0 is the middle, 1 the lower end."""
_BLEED, _MARGIN = 0.03, 0.06
"""How far the whole picture, and the nearest layer, may move to each side; shares of the frame's width."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the camera looks."""

    across: float = 0.0
    """-1: as far left as it goes; 1: as far right."""
    down: float = 0.0
    """-1: as far up as it goes; 1: as far down."""
    zoom: float = 1.0
    """How much nearer than the whole frame."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The layers of one scene at one size."""

    size: tuple[int, int]
    canvas: Canvas
    sheets: tuple[Sheet, ...]
    finish: Finish
    bleed: int

    def frame(self, time: float = 0.0, camera: Camera | None = None, number: int = 0) -> Image.Image:
        """What the camera sees `time` seconds into the shot. `number` counts frames."""
        camera = camera or Camera()
        inset = self.canvas.margin - self.bleed
        view = View(time, (-camera.across * inset, -camera.down * inset), inset)
        width, height = self.canvas.frame_width, self.canvas.frame_height
        picture = Image.new("RGB", (width + 2 * self.bleed, height + 2 * self.bleed))
        for sheet in self.sheets:
            sheet.draw(picture, view)
        picture = self.finish.apply(picture, number)
        if picture.size == self.size:
            return picture
        return picture.resize(self.size, Image.Resampling.BILINEAR, box=self._seen(camera))

    def _seen(self, camera: Camera) -> tuple[float, float, float, float]:
        """The part of the bled picture that the camera sees, in pixels: of the shape of the final picture."""
        width, height = self.canvas.frame_width, self.canvas.frame_height
        scale = max(self.size[0] / width, self.size[1] / height) * camera.zoom
        half_width, half_height = self.size[0] / scale / 2, self.size[1] / scale / 2
        middle_x = width / 2 + self.bleed * (1 + camera.across)
        # Where a part is cut out of the height, the horizon and the people are below the middle.
        middle_y = height / 2 + self.bleed * (1 + camera.down) + (height / camera.zoom / 2 - half_height) * _LOWER
        return middle_x - half_width, middle_y - half_height, middle_x + half_width, middle_y + half_height


def build(
    scene: Scene,
    size: tuple[int, int],
    *,
    moving: bool,
    most: int = 2_000_000,
    painted: Callable[[int], None] = lambda _: None,
) -> Stage:
    """Paint all layers for pictures of `size`. `moving`: with room for a camera, and grain that changes.

    No more than `most` pixels are painted; larger pictures are enlarged. `painted` is called after each layer, with
    the number of layers so far.
    """
    width, height = _paper(*size, most)
    margin = math.ceil(width * _MARGIN) if moving else 0
    canvas = Canvas(width, height, margin)
    sheets: list[Sheet] = []
    for sheet in compose(scene, canvas):
        sheets.append(sheet)
        painted(len(sheets))
    bleed = math.ceil(width * _BLEED) if moving else 0
    finish = prepare(scene, (width + 2 * bleed, height + 2 * bleed), moving=moving)
    return Stage(size, canvas, tuple(sheets), finish, bleed)


def bounded(width: int, height: int, most: int) -> tuple[int, int]:
    """The same shape with no more than `most` pixels."""
    scale = min(1.0, math.sqrt(most / (width * height)))
    return max(round(width * scale), 2), max(round(height * scale), 2)


def _paper(width: int, height: int, most: int) -> tuple[int, int]:
    """The size to paint at: large enough to be a picture, of a shape that compositions are made for."""
    aspect = min(max(width / height, _NARROWEST), _WIDEST)
    covering = (width, width / aspect) if width / height > aspect else (height * aspect, height)
    enlarge = max(1.0, _SMALLEST / min(covering))
    return bounded(round(covering[0] * enlarge), round(covering[1] * enlarge), most)
