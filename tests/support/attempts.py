"""What an engine is given and leaves behind, for tests that run one without a worker."""

from __future__ import annotations

from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded


class Told:
    """A report that remembers."""

    def __init__(self, stop_at: float = 2.0) -> None:
        self.steps: list[tuple[float, str]] = []
        self._stop_at = stop_at

    def __call__(self, fraction: float, step: str) -> None:
        """Remember it, and stop the work as the soft limit does where that was asked for."""
        self.steps.append((fraction, step))
        if fraction >= self._stop_at:
            raise SoftTimeLimitExceeded

    def moved_forward(self) -> bool:
        """Whether progress never fell, and ended at 1."""
        fractions = [fraction for fraction, _ in self.steps]
        return fractions == sorted(fractions) and fractions[-1] == 1


def children() -> set[int]:
    """The process ids of this process's children."""
    return {int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}
