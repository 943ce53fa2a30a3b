"""How long things took, in words."""

from __future__ import annotations

from collections.abc import Sequence


def spread(seconds: Sequence[float]) -> str:
    """The middle one, the one that 99 of 100 are below, and the longest: `0.4 s, p99 1.2 s, at most 1.3 s`."""
    if not seconds:
        return "never"
    ordered = sorted(seconds)
    middle, late = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    return f"{middle:.1f} s, p99 {late:.1f} s, at most {ordered[-1]:.1f} s"
