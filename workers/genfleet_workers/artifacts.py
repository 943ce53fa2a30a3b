"""Publishes what an engine made: its values, and its file in the media folder with what points to it (TS-082)."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genfleet.errors import ConfigurationError, TransientError
from genfleet.store.records import Lease
from genfleet_workers.engines.base import Product

_SAFE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$")


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The media folder, and where clients reach it."""

    folder: Path
    url: str

    def publish(self, lease: Lease, product: Product) -> tuple[dict[str, Any], Path | None]:
        """The `result` of a product, and where its file is, if it has one: that is moved into place.

        Raises TransientError if the folder does not take it: the work was good, and the folder may be mended.
        """
        result = {**product.values, "metadata": dict(product.metadata)}
        if product.file is None:
            return result, None
        result["metadata"]["file_size"] = product.file.stat().st_size
        place = _place(lease, product.file.suffix)
        try:
            self._move(product.file, self.folder / place)
        except OSError as error:
            raise TransientError(f"The finished file could not be stored: {error.strerror or error}") from error
        pointer = {
            "media_url": f"{self.url.rstrip('/')}/{place.as_posix()}",
            "payload_media_id": hashlib.sha256(place.name.encode()).hexdigest()[:24],
        }
        return {**pointer, **result}, self.folder / place

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


def prove_writable(folder: Path) -> None:
    """Before any work is done for it. Raises ConfigurationError if files cannot be put there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".trial-"):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"GENFLEET_MEDIA_DIR: {folder} cannot be written by user {os.getuid()} ({error.strerror}): change its owner "
            "or its mode, or in a pod set securityContext.fsGroup"
        ) from error


def _place(lease: Lease, suffix: str) -> Path:
    """Where the file of an attempt goes, within the folder. Its name holds the token, so no two attempts share one."""
    name = _name(lease.task_id)
    return Path(name[:2]) / f"{name}-{lease.token}{suffix}"


def _name(task_id: str) -> str:
    """Our own ids are file names. Those of other producers may be anything."""
    return task_id if _SAFE.match(task_id) else hashlib.sha256(task_id.encode()).hexdigest()
