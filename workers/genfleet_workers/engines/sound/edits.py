"""The operations that are nothing but filters of ffmpeg, as what they are called there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from genfleet.contract.audio_data import Denoise, Fade, Gain, Speed, Trim
from genfleet_workers.engines.sound.takes import Take, quietest

_ABOVE = 6.0
"""dB by which noise rises above its mean."""
_LOWEST, _HIGHEST = -80.0, -30.0
"""dBFS. Sound without a pause is no noise, however steady: what is louder than the highest stays."""


def part(start: float, end: float) -> list[str]:
    """From one second to another."""
    return [f"atrim=start={start:.6f}:end={end:.6f}", "asetpts=PTS-STARTPTS"]


def _trim(trim: Trim, take: Take) -> list[str]:
    end = take.seconds if trim.end is None else min(trim.end, take.seconds)
    return part(trim.start, end)


def _fade(fade: Fade, take: Take) -> list[str]:
    lasts = min(fade.seconds, take.seconds)
    if fade.type == "fade_in":
        return [f"afade=t=in:d={lasts:.6f}"]
    return [f"afade=t=out:st={take.seconds - lasts:.6f}:d={lasts:.6f}"]


def _gain(gain: Gain, _take: Take) -> list[str]:
    return [f"volume={gain.gain}dB"]


def _denoise(denoise: Denoise, take: Take) -> list[str]:
    floor = min(max(quietest(take) + _ABOVE, _LOWEST), _HIGHEST)
    return [f"afftdn=nr={denoise.reduction}:nf={floor:.1f}"]


def _speed(speed: Speed, _take: Take) -> list[str]:
    return [f"atempo={speed.factor}"]


FILTERS: Mapping[type, Callable[[Any, Take], list[str]]] = {
    Trim: _trim,
    Fade: _fade,
    Gain: _gain,
    Denoise: _denoise,
    Speed: _speed,
}
"""By operation: the filters that do it to a take."""
