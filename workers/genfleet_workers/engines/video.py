"""`generate_video`: films the storyboard, and draws what it lacks, without a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from genfleet.contract.task_data import GenerateVideo, size_of
from genfleet_workers.engines.base import Job, Product, Report
from genfleet_workers.engines.encoder import Format, encode
from genfleet_workers.engines.inputs import MODEL, arguments, joined, product, seed_of
from genfleet_workers.engines.pictures import PictureSources
from genfleet_workers.engines.procedural.choices import words
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.stage import bounded, build
from genfleet_workers.engines.shots import DrawnShot, PictureShot, Shot, film, move_for

_MOST_PIXELS, _MOST_PAINTED = 1280 * 720, 1024 * 576
"""Frames are made with no more pixels than this, and layers painted; the rest is enlargement."""
_SHORTEST_SHOT, _LONGEST_DRAWN_SHOT = 0.5, 10.0
"""Seconds."""
_MOST_FIGURES = 5


class VideoEngine:
    """Makes an H.264 MP4 of exactly `round(duration * fps)` frames (TS-080, TS-082)."""

    def __init__(self, sources: PictureSources) -> None:
        self._sources = sources

    def run(self, job: Job, report: Report) -> Product:
        """Open the storyboard, film it, encode. Pictures that cannot be opened are named in `metadata.warnings`."""
        data, warnings = arguments(job, GenerateVideo), list[str]()
        size = size_of(data.resolution)
        frames = max(round(data.duration * data.fps), 1)
        report(0.0, "opening_storyboard")
        form = Format(bounded(*size, _MOST_PIXELS), size, data.fps)
        shots = self._shots(data, form.frame_size, warnings, report)
        job.log(f"{len(shots)} shots, {frames} frames at {data.fps} a second, {data.resolution}, seed {seed_of(data)}")
        file = job.folder / "video.mp4"
        pictures = (frame.tobytes() for frame in film(shots, frames, form.fps))
        encode(pictures, form, file, lambda done: report(0.08 + 0.90 * done / frames, "rendering_video"))
        report(1.0, "finishing")
        return product(job, file, _metadata(data, frames, len(shots)), warnings)

    def _shots(
        self, data: GenerateVideo, size: tuple[int, int], warnings: list[str], report: Report
    ) -> Sequence[Callable[[], Shot]]:
        """A way to open each shot. Pictures are opened and reduced now, scenes are drawn when they are due."""
        most = max(int(data.duration / _SHORTEST_SHOT), 1)
        board, dropped = data.storyboard_images[:most], len(data.storyboard_images) - most
        if dropped > 0:
            warnings.append(f"storyboard_images: the last {dropped} do not fit into {data.duration:g} seconds")
        openers: list[Callable[[], Shot]] = []
        for number, picture in enumerate(self._sources.open_each(board, "storyboard_images", warnings)):
            openers.append(_filmed(picture, size, data, number) if picture else _drawn(data, size, number))
            report(0.08 * (number + 1) / len(board), "opening_storyboard")
        drawn = max(round(data.duration / _LONGEST_DRAWN_SHOT), 1)
        return openers or [_drawn(data, size, number) for number in range(drawn)]


def _filmed(picture: Image.Image, size: tuple[int, int], data: GenerateVideo, number: int) -> Callable[[], Shot]:
    shot = PictureShot.of(picture, size, move_for(data.camera_angle or "", number))
    return lambda: shot


def _drawn(data: GenerateVideo, size: tuple[int, int], number: int) -> Callable[[], Shot]:
    def opener() -> Shot:
        stage = build(_scene(data, number), size, moving=True, most=_MOST_PAINTED)
        return DrawnShot(stage, move_for(data.camera_angle or "", number))

    return opener


def _scene(data: GenerateVideo, number: int) -> Scene:
    """The scene of a drawn shot. Its chance differs from shot to shot, its characters do not."""
    people = data.character_positions[:_MOST_FIGURES]
    actions = joined(*(person.get("action") for person in people))
    text = joined(data.scene_description, data.camera_angle, data.lighting, actions)
    name = joined(*(person.get("character_id") for person in people))
    return Scene.from_text(text, seed_of(data) + number, name, tuple(_places(people)))


def _places(people: Sequence[dict[str, Any]]) -> list[float]:
    """Where people stand across the frame, -1..1. Those in the same place stand side by side."""
    places: list[float] = []
    for person in people:
        spoken = set(words(joined(person.get("position"))))
        place = -0.5 if "left" in spoken else 0.5 if "right" in spoken else 0.0
        while place in places:
            place += 0.22
        places.append(place)
    return places


def _metadata(data: GenerateVideo, frames: int, shots: int) -> dict[str, Any]:
    return {
        "duration": round(frames / data.fps, 6),
        "resolution": data.resolution,
        "fps": data.fps,
        "seed": seed_of(data),
        "generation_model": MODEL,
        "frames": frames,
        "shots": shots,
    }
