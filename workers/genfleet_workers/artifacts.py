"""Publishes what an engine made: a file in the media folder and the `result` that points to it."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genfleet.store.records import Lease
from genfleet_workers.engines.base import Product

_SAFE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$")


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The media folder, and where clients reach it."""

    folder: Path
    url: str

    def publish(self, lease: Lease, product: Product) -> tuple[dict[str, Any], Path]:
        """Move the file into place; the `result` that describes it (TS-082), and where it is.

        Its name holds the token, so no two attempts share one.
        """
        name = _name(lease.task_id)
        place = Path(name[:2]) / f"{name}-{lease.token}{product.file.suffix}"
        size = product.file.stat().st_size
        self._move(product.file, self.folder / place)
        result = {
            "media_url": f"{self.url.rstrip('/')}/{place.as_posix()}",
            "payload_media_id": hashlib.sha256(place.name.encode()).hexdigest()[:24],
            "metadata": {**product.metadata, "file_size": size},
        }
        return result, self.folder / place

    @staticmethod
    def _move(file: Path, target: Path) -> None:
        """A reader sees the whole file or none, also when the scratch folder is on another disk."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        try:
            shutil.move(file, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _name(task_id: str) -> str:
    """Our own ids are file names. Those of other producers may be anything."""
    return task_id if _SAFE.match(task_id) else hashlib.sha256(task_id.encode()).hexdigest()
