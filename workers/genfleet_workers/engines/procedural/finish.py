"""What a lens and film add: bloom around lights, darker corners, grain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from genfleet_workers.engines.procedural.canvas import Canvas, Plane, distance, resized
from genfleet_workers.engines.procedural.choices import Mood
from genfleet_workers.engines.procedural.scene import Scene

_GRAINS = 5
"""Different pictures of grain; the eye does not see that they repeat."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The last step of every frame of one scene at one size."""

    grains: tuple[Image.Image, ...]
    """Corners and grain in one, to be multiplied with the frame."""
    threshold: tuple[int, ...]
    """How much each brightness blooms."""
    light: Image.Image
    """The colour of bloom, as large as the frame."""

    def apply(self, frame: Image.Image, number: int = 0) -> Image.Image:
        """The finished frame. `number` counts frames, so that the grain moves."""
        lights = frame.reduce(8).convert("L").point(self.threshold)
        soft = lights.filter(ImageFilter.GaussianBlur(frame.height / 360))
        frame.paste(self.light, (0, 0), soft.resize(frame.size, Image.Resampling.BILINEAR))
        return ImageChops.multiply(frame, self.grains[number % len(self.grains)])


def prepare(scene: Scene, size: tuple[int, int], *, moving: bool) -> Finish:
    """The finish for frames of this size. Film gets several grains, finer ones: they cost bits in every frame."""
    corners = _corners(scene, Canvas(*size))
    strength = (0.05 if scene.mood is Mood.NOIR else 0.018) * (0.6 if moving else 1.0)
    chance = scene.random("grain")
    pictures = tuple(_grain(chance, corners, strength) for _ in range(_GRAINS if moving else 1))
    threshold = tuple(min(round(0.9 * max(level - 130, 0)), 170) for level in range(256))
    red, green, blue = (round(255 * channel) for channel in scene.colours.light)
    return Finish(pictures, threshold, Image.new("RGB", size, (red, green, blue)))


def _corners(scene: Scene, canvas: Canvas) -> Plane:
    far = distance(canvas.u / canvas.half, (canvas.v - 0.5) / 0.5)
    depth = {Mood.NOIR: 0.62, Mood.GRIM: 0.55, Mood.NEON: 0.5}.get(scene.mood, 0.34)
    outward = np.clip((far - 0.55) / 0.95, 0, 1)
    dark: Plane = 1 - depth * outward * np.sqrt(outward)
    return dark


def _grain(chance: np.random.Generator, corners: Plane, strength: float) -> Image.Image:
    height, width = corners.shape
    coarse = chance.standard_normal((max(height * 2 // 3, 2), max(width * 2 // 3, 2)), dtype=np.float32)
    speckle = resized(coarse, (width, height))
    lit = corners * (1 - strength + strength * np.clip(speckle, -2, 1))
    return Image.fromarray((np.clip(lit, 0, 1) * 255).astype(np.uint8)).convert("RGB")
