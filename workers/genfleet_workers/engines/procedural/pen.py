"""Outlines drawn on the paper with smooth edges."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from genfleet_workers.engines.procedural.canvas import Canvas, Plane

Place = tuple[float, float]
"""Across and down, in the units of `Canvas`."""


class Pen:
    """Fills shapes. They are drawn `fine` times too large and then reduced, which smooths their edges."""

    def __init__(self, canvas: Canvas, fine: int = 2) -> None:
        self._canvas, self._fine = canvas, fine
        self._sheet = Image.new("L", (canvas.width * fine, canvas.height * fine))
        self._draw = ImageDraw.Draw(self._sheet)

    def polygon(self, corners: Iterable[Place]) -> None:
        """Fill a shape."""
        self._draw.polygon([self._pixel(corner) for corner in corners], fill=255)

    def line(self, bends: Iterable[Place], thick: float) -> None:
        """Draw along a line, `thick` in units of the frame's height, and at least as thin as can be seen."""
        width = max(round(thick * self._canvas.frame_height * self._fine), 1)
        self._draw.line([self._pixel(bend) for bend in bends], fill=255, width=width, joint="curve")

    def shape(self) -> Plane:
        """Everything that was drawn, as opacities of the whole paper."""
        return np.asarray(self._sheet.reduce(self._fine), dtype=np.float32) / 255

    def _pixel(self, place: Place) -> tuple[float, float]:
        x, y = self._canvas.pixel(*place)
        return x * self._fine, y * self._fine
