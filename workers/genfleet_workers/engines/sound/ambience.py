"""What is heard around a voice: rain, wind, a city and so on, made from noise. The same name and seed sound the same.

Noise is made from its spectrum, so it is a circle: its end meets its beginning without a seam, and what happens in it
(a drop, a car) may run over the end, too. A minute of it is played over and over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genfleet_workers.engines.procedural.choices import words
from genfleet_workers.engines.procedural.scene import random
from genfleet_workers.engines.sound.takes import FLOAT, header

Wave = npt.NDArray[Any]
"""Samples; two rows are left and right."""

RATE, SECONDS = 32_000, 30
_LENGTH = RATE * SECONDS


def named(text: str) -> str | None:
    """The ambience that the words of a text ask for: `rain_ambience` and `soft rain` are both rain."""
    spoken = set(words(text))
    votes = {name: len(spoken & set(known.split())) for name, known in _WORDS.items()}
    best = max(votes, key=lambda name: votes[name])
    return best if votes[best] else None


def names() -> list[str]:
    """All that there are."""
    return list(_KINDS)


def record(name: str, seed: int, file: Path) -> None:
    """Write a take of an ambience, in stereo, that can be played in a circle. Its loudness is the mixer's matter."""
    chance = random(f"ambience {name}", "", seed)
    wave = _KINDS[name](chance)
    wave = wave / np.sqrt(np.mean(wave**2)) * 0.1
    interleaved = np.clip(wave, -1, 1).T.astype(">f4")
    file.write_bytes(header(FLOAT, RATE, 2) + interleaved.tobytes())


def _noise(chance: np.random.Generator, low: float, high: float, slope: float = 0.0, channels: int = 2) -> Wave:
    """Noise between two frequencies, which falls by `slope` times 6 dB an octave. Left and right differ."""
    tones = np.fft.rfftfreq(_LENGTH, 1 / RATE)
    size = np.zeros_like(tones)
    inside = (tones >= low) & (tones <= high)
    size[inside] = (tones[inside] / low) ** -slope
    edges = np.clip((tones - low) / (0.3 * low), 0, 1) * np.clip((high - tones) / (0.2 * high), 0, 1)
    phases = chance.uniform(0, 2 * np.pi, (channels, tones.size))
    wave = np.fft.irfft(size * edges * np.exp(1j * phases), _LENGTH)
    level: Wave = wave / max(float(wave.std()), 1e-12)
    return level


def _swell(chance: np.random.Generator, period: float, depth: float) -> Wave:
    """A slow rise and fall around 1, no two alike, about `period` seconds long."""
    turns = np.arange(1, 2 * max(round(SECONDS / period), 1) + 1)
    at = np.arange(_LENGTH) / _LENGTH * 2 * np.pi
    waves = sum(chance.uniform(0.3, 1) * np.sin(turn * at + chance.uniform(0, 2 * np.pi)) for turn in turns)
    swelling: Wave = np.clip(1 + depth * waves / max(float(np.abs(waves).max()), 1e-12), 0, None)
    return swelling


def _event(wave: Wave, sound: Wave, start: int, side: float) -> None:
    """Add a short sound to a stereo wave, between left (-1) and right (1). What runs over the end begins anew."""
    at = (start + np.arange(sound.size)) % _LENGTH
    wave[0, at] += sound * np.sqrt((1 - side) / 2)
    wave[1, at] += sound * np.sqrt((1 + side) / 2)


def _drops(chance: np.random.Generator, count: int, low: float, high: float, length: float) -> Wave:
    """Short dying tones at chance moments: drops of rain, crackles of fire."""
    wave = np.zeros((2, _LENGTH))
    for start in chance.integers(0, _LENGTH, count):
        time = np.arange(int(length * chance.uniform(0.5, 2) * RATE)) / RATE
        tone = np.sin(2 * np.pi * chance.uniform(low, high) * time) * np.exp(-time * 5 / length)
        _event(wave, tone * chance.exponential(1.0), int(start), float(chance.uniform(-1, 1)))
    return wave


def _rain(chance: np.random.Generator) -> Wave:
    hiss = _noise(chance, 600, 12_000, 0.6) * _swell(chance, 6, 0.15)
    return hiss + 0.5 * _noise(chance, 120, 900, 0.8) + 1.2 * _drops(chance, 2_400, 1_800, 6_500, 0.012)


def _wind(chance: np.random.Generator) -> Wave:
    gusts = [(90, 400, 7, 0.9), (250, 900, 5, 1.0), (700, 1_800, 4, 1.0)]
    parts = [
        _noise(chance, low, high, 1.0) * _swell(chance, period, depth) / (1 + order)
        for order, (low, high, period, depth) in enumerate(gusts)
    ]
    wave: Wave = np.sum(parts, axis=0)
    return wave


def _storm(chance: np.random.Generator) -> Wave:
    wave = _rain(chance) + 0.8 * _wind(chance)
    time = np.arange(6 * RATE) / RATE
    for _ in range(2):
        roll = _noise(chance, 30, 160, 1.0, channels=1)[0, : time.size] * (1 - np.exp(-time * 6)) * np.exp(-time / 1.6)
        _event(wave, 7 * roll, int(chance.integers(_LENGTH)), float(chance.uniform(-0.6, 0.6)))
    return wave


def _city(chance: np.random.Generator) -> Wave:
    wave = _noise(chance, 40, 300, 1.2) + 0.15 * _noise(chance, 300, 4_000, 1.0)
    time = np.arange(7 * RATE) / RATE
    for _ in range(7):
        passing = _noise(chance, 150, 2_500, 1.0, channels=1)[0, : time.size]
        nearer = np.exp(-(((time - 3.5) / chance.uniform(0.8, 1.6)) ** 2))
        _event(
            wave, 1.6 * chance.uniform(0.4, 1) * passing * nearer, int(chance.integers(_LENGTH)), chance.uniform(-1, 1)
        )
    for _ in range(2):
        blast = np.arange(int(0.5 * RATE)) / RATE
        horn = sum(np.sin(2 * np.pi * tone * blast) for tone in (370, 466)) * np.sin(np.pi * blast / 0.5) ** 0.5
        _event(wave, 0.25 * horn, int(chance.integers(_LENGTH)), chance.uniform(-1, 1))
    return wave


def _room(chance: np.random.Generator) -> Wave:
    at = np.arange(_LENGTH) / RATE
    hum = sum(np.sin(2 * np.pi * 50 * turn * at) / turn**1.5 for turn in (1, 2, 3, 4))
    return _noise(chance, 50, 3_000, 1.0) + 0.25 * hum


def _crowd(chance: np.random.Generator) -> Wave:
    """Many talkers: each a buzz of its own pitch through two formants, in syllables, with pauses."""
    wave = 0.25 * _noise(chance, 150, 3_000, 0.9)
    for _ in range(22):
        length = int(chance.uniform(1.2, 3.2) * RATE)
        time = np.arange(length) / RATE
        pitch = chance.uniform(95, 230) * (1 + 0.06 * np.sin(2 * np.pi * chance.uniform(0.4, 1.2) * time))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        formants = chance.uniform(350, 750), chance.uniform(1_000, 1_900)
        syllables = np.clip(np.sin(2 * np.pi * chance.uniform(3.2, 5.0) * time + chance.uniform(0, 6)), 0, 1)
        voice = np.zeros(length)
        for turn in range(1, 16):
            tone = turn * float(pitch.mean())
            strength = sum(np.exp(-(((tone - formant) / 160) ** 2)) for formant in formants) + 0.05
            voice += strength / turn**0.3 * np.sin(turn * phase)
        voice *= syllables * np.sin(np.pi * time / time[-1]) ** 0.4
        for start in chance.integers(0, _LENGTH, 5):
            _event(wave, 0.5 * voice * chance.uniform(0.3, 1), int(start), float(chance.uniform(-1, 1)))
    return wave


def _sea(chance: np.random.Generator) -> Wave:
    surf: Wave = _noise(chance, 250, 7_000, 0.8) * _swell(chance, 9, 1.0) ** 2
    return surf + 0.5 * _noise(chance, 50, 250, 1.0) * _swell(chance, 9, 0.6)


def _fire(chance: np.random.Generator) -> Wave:
    roar = _noise(chance, 50, 500, 1.0) * _swell(chance, 3, 0.4)
    return roar + 0.12 * _noise(chance, 500, 6_000, 0.5) + 2.5 * _drops(chance, 420, 1_200, 5_000, 0.006)


def _night(chance: np.random.Generator) -> Wave:
    at = np.arange(_LENGTH) / RATE
    wave = 0.5 * _noise(chance, 120, 1_500, 1.0) * _swell(chance, 8, 0.4)
    for _ in range(5):
        tone, chirps, side = (
            chance.uniform(3_900, 4_900),
            round(chance.uniform(1.2, 2.2) * SECONDS),
            chance.uniform(-1, 1),
        )
        pulses = np.clip(np.sin(2 * np.pi * 28 * at), 0, 1)
        sung = np.clip(np.sin(2 * np.pi * chirps / SECONDS * at + chance.uniform(0, 6)), 0, 1)
        _event(wave, 0.5 * chance.uniform(0.3, 1) * np.sin(2 * np.pi * tone * at) * pulses * sung, 0, side)
    return wave


_KINDS: Mapping[str, Callable[[np.random.Generator], Wave]] = {
    "rain": _rain,
    "storm": _storm,
    "wind": _wind,
    "city": _city,
    "room": _room,
    "crowd": _crowd,
    "sea": _sea,
    "fire": _fire,
    "night": _night,
}
_WORDS = {
    "rain": "rain rainy raining drizzle downpour",
    "storm": "storm stormy thunder thunderstorm",
    "wind": "wind windy breeze gale blizzard",
    "city": "city street traffic urban road downtown alley",
    "room": "room indoor office tone interior house hum",
    "crowd": "crowd cafe restaurant bar party people market pub chatter",
    "sea": "sea ocean waves beach surf coast shore",
    "fire": "fire fireplace campfire crackling",
    "night": "night crickets forest countryside insects",
}
