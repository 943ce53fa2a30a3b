"""How loud a file is, by EBU R128: measured by ffmpeg, which follows ITU-R BS.1770."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genfleet_workers.engines import ffmpeg

_QUIETEST = -69.9
"""LUFS. What is below the gate of the measurement is silence: it has no loudness."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """What was measured. None: there is nothing to measure, because it is silent or shorter than 0.4 seconds."""

    integrated: float | None
    """LUFS: of the whole, its silence left out."""
    range: float
    """LU: how much it varies."""
    true_peak: float | None
    """dBTP: of the wave between the samples."""

    def told(self) -> dict[str, float | None]:
        """As metadata show it."""
        return {"integrated": self.integrated, "range": self.range, "true_peak": self.true_peak}


def measure(file: Path, watch: Callable[[], None]) -> Loudness:
    """The loudness of a file of our own, whose name ends with its format."""
    scan = "ebur128=peak=true:framelog=verbose"  # a level that is not printed; ffmpeg 5.1 does not know `quiet`
    said = ffmpeg.run(["-f", file.suffix[1:], "-i", str(file), "-af", scan, "-f", "null", "-"], watch)
    summary = said.rpartition("Summary:")[2]
    integrated, peak = _number(summary, r"I:\s+(\S+) LUFS"), _number(summary, r"Peak:\s+(\S+) dBFS")
    silent = integrated is None or integrated < _QUIETEST
    return Loudness(None if silent else integrated, _number(summary, r"LRA:\s+(\S+) LU") or 0.0, peak)


def _number(text: str, pattern: str) -> float | None:
    """The number that a pattern finds; minus infinity is none."""
    found = re.search(pattern, text)
    return None if not found or "inf" in found[1] or "nan" in found[1] else float(found[1])
