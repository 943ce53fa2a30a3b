"""What a film is cut from: drawn scenes and pictures, each seen by a slowly moving camera, faded into one another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, ImageOps

from genfleet_workers.engines.procedural.choices import words
from genfleet_workers.engines.procedural.stage import Camera, Stage

_FADE = 0.5
"""Seconds in which one shot becomes the next; less where shots are short."""
_ROOM = 1.14
"""How much larger than the frame a picture is kept, so that the camera can move and come nearer."""


@dataclass(frozen=True, slots=True)
class Move:
    """The path of a camera."""

    start: Camera
    end: Camera

    def at(self, share: float) -> Camera:
        """Where it is after a share (0..1) of the shot. It starts and stops softly."""
        eased = (1 - math.cos(math.pi * min(max(share, 0.0), 1.0))) / 2
        pairs = (
            (self.start.across, self.end.across),
            (self.start.down, self.end.down),
            (self.start.zoom, self.end.zoom),
        )
        return Camera(*(first + (last - first) * eased for first, last in pairs))


def move_for(angle: str, number: int) -> Move:
    """The move that a `camera_angle` asks for. Without a word for it: a slow push in, from alternating sides."""
    spoken, side = set(words(angle)), -1.0 if number % 2 else 1.0
    for names, move in _MOVES.items():
        if spoken & set(names.split()):
            return move
    return Move(Camera(-0.6 * side, 0.1, 1.0), Camera(0.6 * side, -0.1, 1.07))


_MOVES = {
    "static locked fixed still tripod": Move(Camera(), Camera(zoom=1.015)),
    "close closeup macro extreme": Move(Camera(-0.2, -0.1, 1.05), Camera(0.2, 0.0, 1.13)),
    "low worm": Move(Camera(0.0, 0.9, 1.03), Camera(0.0, -0.9, 1.06)),
    "high aerial bird birds overhead drone crane top": Move(Camera(-0.2, -0.9, 1.08), Camera(0.2, 0.8, 1.02)),
    "left": Move(Camera(0.95, 0.0, 1.02), Camera(-0.95, 0.0, 1.02)),
    "tracking track pan panning right follow dolly truck": Move(Camera(-0.95, 0.0, 1.02), Camera(0.95, 0.0, 1.02)),
    "out pull wide establishing long": Move(Camera(0.25, 0.0, 1.09), Camera(-0.25, 0.0, 1.0)),
}


class Shot(Protocol):
    """One piece of film."""

    def frame(self, time: float, share: float, number: int, /) -> Image.Image:
        """The frame `time` seconds and a share of 0..1 into it; `number` counts the frames of the film."""


@dataclass(frozen=True, slots=True)
class DrawnShot:
    """A drawn scene, in which things move by themselves too."""

    stage: Stage
    move: Move

    def frame(self, time: float, share: float, number: int, /) -> Image.Image:
        """The scene at that moment."""
        return self.stage.frame(time, self.move.at(share), number)


@dataclass(frozen=True, slots=True)
class PictureShot:
    """A picture that the camera travels over (the Ken Burns effect)."""

    picture: Image.Image
    """Larger than the frame."""
    size: tuple[int, int]
    move: Move

    @classmethod
    def of(cls, picture: Image.Image, size: tuple[int, int], move: Move) -> PictureShot:
        """From a picture of any size. What does not fit the shape of the frame is cut off evenly."""
        room = round(size[0] * _ROOM), round(size[1] * _ROOM)
        return cls(ImageOps.fit(picture, room, Image.Resampling.LANCZOS), size, move)

    def frame(self, _time: float, share: float, _number: int, /) -> Image.Image:
        """The part that the camera sees."""
        camera = self.move.at(share)
        width, height = (side / camera.zoom for side in self.size)
        left = (self.picture.width - width) / 2 + camera.across * (self.picture.width - self.size[0]) / 2
        top = (self.picture.height - height) / 2 + camera.down * (self.picture.height - self.size[1]) / 2
        box = (left, top, left + width, top + height)
        return self.picture.resize(self.size, Image.Resampling.BILINEAR, box=box)


def film(openers: Sequence[Callable[[], Shot]], frames: int, fps: int) -> Iterator[Image.Image]:
    """All frames of a film. Each shot is opened when its first frame is due, and let go after its last."""
    cuts = [round(frames * number / len(openers)) for number in range(len(openers) + 1)]
    fade = min(round(_FADE * fps), frames // len(openers) // 3)
    before: Shot | None = None
    for number, (opener, start, end) in enumerate(zip(openers, cuts[:-1], cuts[1:], strict=True)):
        shot = opener()
        for at in range(start, end):
            frame = _moment(shot, at, start, end + fade, fps)
            if before is not None and at - start < fade:
                fading = _moment(before, at, cuts[number - 1], start + fade, fps)
                frame = Image.blend(fading, frame, (at - start + 1) / (fade + 1))
            yield frame
        before = shot


def _moment(shot: Shot, at: int, start: int, end: int, fps: int) -> Image.Image:
    return shot.frame((at - start) / fps, (at - start) / max(end - start - 1, 1), at)
