"""How a line is spoken: the character's voice, moved by emotion and pace. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from genfleet_workers.engines.procedural.choices import words


class VoiceProfile(BaseModel):
    """What a `character_voice_profile` may hold. Everything may be left out; what is not listed is passed over."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$")] = "en-gb"
    """A language tag that espeak-ng knows, such as en-us, de, fr-fr, cmn."""
    gender: Annotated[str, Field(pattern="^(female|male|neutral)$")] | None = None
    """Which variant is taken where none is named: female, male or neutral."""
    variant: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,20}$")] | None = None
    """A variant of espeak-ng: m1 to m8, f1 to f5, croak, whisper, klatt, …"""
    pitch: Annotated[float, Field(ge=0, le=100)] = 45
    pitch_range: Annotated[float, Field(ge=0, le=100)] = 50
    """How lively the melody is."""
    words_per_minute: Annotated[float, Field(ge=80, le=400)] = 165
    volume: Annotated[float, Field(ge=0, le=200)] = 100
    """Per cent."""
    word_gap: Annotated[float, Field(ge=0, le=2000)] = 0
    """Milliseconds of silence between words."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What an emotion does to a voice."""

    pitch: float = 0
    """Added, in steps of espeak-ng's 0..100."""
    range: float = 1
    """Times the melody."""
    speed: float = 1
    volume: float = 1
    gap: float = 0
    """Milliseconds added between words."""
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the speaker is told."""

    voice: str
    variant: str
    rate: int
    """Words a minute; espeak-ng's own scale."""
    pitch: int
    range: int
    volume: int
    gap: int
    """In 10 ms."""


_EMOTIONS: Mapping[str, Manner] = {
    "neutral calm normal plain": Manner(),
    "mysterious secretive ominous eerie suspenseful": Manner(-12, 0.55, 0.88, 0.80, 30),
    "happy cheerful joyful glad amused": Manner(14, 1.45, 1.08, 1.08),
    "excited enthusiastic thrilled eager": Manner(20, 1.7, 1.18, 1.2),
    "sad melancholic sorrowful gloomy grieving depressed": Manner(-10, 0.45, 0.80, 0.72, 40),
    "angry furious enraged irritated annoyed": Manner(8, 1.35, 1.10, 1.5),
    "afraid fearful scared terrified frightened": Manner(22, 1.25, 1.22, 0.85),
    "nervous anxious worried tense": Manner(12, 1.15, 1.14, 0.9),
    "surprised astonished shocked amazed": Manner(24, 1.8, 1.05, 1.15),
    "serious stern authoritative commanding determined": Manner(-8, 0.7, 0.94, 1.25, 10),
    "confident proud bold": Manner(-3, 1.1, 1.0, 1.2),
    "tired weary exhausted bored sleepy": Manner(-12, 0.4, 0.78, 0.7, 30),
    "whisper whispering whispered hushed": Manner(0, 0.5, 0.9, 0.8, 10, "whisper"),
    "tender romantic loving gentle warm soft": Manner(-4, 0.85, 0.88, 0.75, 10),
    "sarcastic ironic mocking": Manner(-2, 1.5, 0.92, 1.0),
    "menacing threatening sinister evil": Manner(-20, 0.6, 0.85, 1.1, 30),
}
_PACES = {
    "very_slow": 0.66,
    "slow": 0.82,
    "normal": 1.0,
    "moderate": 1.0,
    "medium": 1.0,
    "fast": 1.22,
    "quick": 1.22,
    "very_fast": 1.5,
}
_GENDERS = {"female": ("f1", "f2", "f3", "f4", "f5"), "male": ("m1", "m2", "m3", "m5", "m7"), "neutral": ("",)}
_SLOWEST, _FASTEST = 60, 450
"""Words a minute."""

Found = TypeVar("Found")


def delivery(profile: VoiceProfile, character: str, emotion: str, pace: str, warnings: list[str]) -> Delivery:
    """How a character speaks. What is not understood is named in `warnings` and changes nothing.

    `character` (any text) decides between the variants of a gender, so that two characters differ and each stays.
    """
    manner = _spoken_of("emotion", emotion, _EMOTIONS, Manner(), warnings)
    speed = _spoken_of("pace", pace, {name.replace("_", " "): factor for name, factor in _PACES.items()}, 1.0, warnings)
    variants = _GENDERS[profile.gender or "male"]
    own = variants[hashlib.sha256(character.encode("utf-8", "replace")).digest()[0] % len(variants)]
    return Delivery(
        voice=profile.language,
        variant=manner.variant or (own if profile.variant is None else profile.variant),
        rate=round(min(max(profile.words_per_minute * manner.speed * speed, _SLOWEST), _FASTEST)),
        pitch=round(min(max(profile.pitch + manner.pitch, 0), 99)),
        range=round(min(max(profile.pitch_range * manner.range, 0), 99)),
        volume=round(min(max(profile.volume * manner.volume, 0), 200)),
        gap=round((profile.word_gap + manner.gap) / 10),
    )


def _spoken_of(field: str, text: str, known: Mapping[str, Found], usual: Found, warnings: list[str]) -> Found:
    """The entry that shares most words with a text, and has the fewest others: `slow` is not `very slow`."""
    spoken = set(words(text))
    best = max(known, key=lambda names: (len(spoken & set(names.split())), -len(names.split())))
    if spoken & set(best.split()):
        return known[best]
    if text:
        names = ", ".join(re.split(r"\s", names)[0] if field == "emotion" else names for names in known)
        warnings.append(f"{field}: '{text[:40]}' is not known and changes nothing; known are {names}")
    return usual
