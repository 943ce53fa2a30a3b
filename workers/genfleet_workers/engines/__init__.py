"""What makes things. One engine per task type, behind the seam of `engines.base`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genfleet_workers.engines.base import Engine

if TYPE_CHECKING:
    from genfleet_workers.engines.pictures import PictureSources


def engines(sources: PictureSources) -> dict[str, Engine]:
    """The engines of this version, by the name of their task type."""
    # Imported here, so that only a process that makes pictures loads NumPy and Pillow.
    from genfleet_workers.engines.image import ImageEngine
    from genfleet_workers.engines.video import VideoEngine

    return {"generate_image": ImageEngine(sources), "generate_video": VideoEngine(sources)}
