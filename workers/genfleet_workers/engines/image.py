"""`generate_image`: draws a picture of what the prompt describes, without a model."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from genfleet.contract.task_data import GenerateImage, size_of
from genfleet_workers.engines.base import Job, Product, Report
from genfleet_workers.engines.inputs import MODEL, arguments, joined, product, seed_of
from genfleet_workers.engines.pictures import PictureSources
from genfleet_workers.engines.procedural.canvas import Colour
from genfleet_workers.engines.procedural.palette import dominant
from genfleet_workers.engines.procedural.scene import Scene
from genfleet_workers.engines.procedural.stage import build

_MOST_PIXELS = 2_000_000
_PIXELS = {"draft": 300_000, "low": 500_000, "medium": 1_000_000, "standard": 1_000_000}
"""How many pixels are painted at each `quality`; the rest is enlargement. What is not listed gets the most."""


class ImageEngine:
    """Makes a PNG of the asked resolution (TS-083). The same `task_data` always makes the same file."""

    def __init__(self, sources: PictureSources) -> None:
        self._sources = sources

    def run(self, job: Job, report: Report) -> Product:
        """Compose, paint, grade, encode. A style picture that cannot be opened is named in `metadata.warnings`."""
        data = arguments(job, GenerateImage)
        seed, warnings = seed_of(data), list[str]()
        report(0.02, "composing_scene")
        text = joined(data.prompt, data.pose, data.lighting)
        scene = Scene.from_text(text, seed, data.character_id or "").toward(self._style(data, warnings))
        job.log(f"{data.resolution}, seed {seed}")
        picture = _painted(scene, size_of(data.resolution), _PIXELS.get(data.quality or "", _MOST_PIXELS), report)
        report(0.88, "encoding_png")
        file = job.folder / "image.png"
        _save(picture, file, data.prompt, seed)
        report(1.0, "encoding_png")
        metadata = {"resolution": data.resolution, "format": "png", "seed": seed, "generation_model": MODEL}
        return product(job, file, metadata, warnings)

    def _style(self, data: GenerateImage, warnings: list[str]) -> list[Colour]:
        """The colours of the style guide and the reference pictures."""
        guide = [data.style_guide] if data.style_guide else []
        pictures = chain(
            self._sources.open_each(guide, "style_guide", warnings),
            self._sources.open_each(data.reference_images, "reference_images", warnings),
        )
        return [colour for picture in pictures if picture for colour in dominant(picture)]


def _painted(scene: Scene, size: tuple[int, int], most: int, report: Report) -> Image.Image:
    def painted(layers: int) -> None:
        report(0.10 + 0.68 * (1 - 0.87**layers), "painting_layers")

    stage = build(scene, size, moving=False, most=most, painted=painted)
    report(0.80, "grading")
    return stage.frame()


def _save(picture: Image.Image, file: Path, prompt: str, seed: int) -> None:
    about = PngInfo()
    about.add_itxt("Description", prompt)
    about.add_text("Seed", str(seed))
    about.add_text("Software", MODEL)
    picture.save(file, "PNG", pnginfo=about, compress_level=3)
