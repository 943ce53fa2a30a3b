"""Reads the files that say what is installed where: each release with the hashes of its files, and when it is installed.

Read by the audit, by the bill of materials, and by the tests of both images.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "deploy" / "compose" / "flower.txt")
"""Every file that something of ours is installed from."""


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """One version of a distribution."""

    name: str
    version: str

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Pin:
    """A line of a locked file."""

    release: Release
    marker: Marker | None
    """Where it is installed; None: everywhere."""
    hashes: frozenset[str]
    """`sha256:…` of every file that may be installed for it."""


def pins(file: Path) -> list[Pin]:
    """The pins of a locked file, in its order. Raises ValueError for a line that pins nothing, or has no hash."""
    found = []
    for line in file.read_text().replace("\\\n", "").splitlines():
        text, *hashes = line.split("--hash=")
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        wanted = Requirement(text.strip())
        (version,) = [each.version for each in wanted.specifier if each.operator == "=="] or [""]
        if not version or len(wanted.specifier) != 1 or not hashes:
            raise ValueError(f"{file.name}: {wanted}: pin it with == and its hashes, by `make lock`")
        release = Release(canonicalize_name(wanted.name), version)
        found.append(Pin(release, wanted.marker, frozenset(each.strip() for each in hashes)))
    return found


def releases(files: Iterable[Path] = LOCKS) -> list[Release]:
    """Every release that these files lock, once each."""
    return sorted({pin.release for file in files for pin in pins(file)})
