"""A scene as a set of choices. The same text and seed make the same scene; words choose, and chance does the rest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from genfleet_workers.engines.procedural import choices
from genfleet_workers.engines.procedural.acting import Script
from genfleet_workers.engines.procedural.canvas import Colour
from genfleet_workers.engines.procedural.choices import (
    Framing,
    Hour,
    Mood,
    Outfit,
    Pose,
    Setting,
    Weather,
    chosen,
    words,
)
from genfleet_workers.engines.procedural.palette import Palette, palette


@dataclass(frozen=True, slots=True)
class Figure:
    """One person in the scene."""

    outfit: Outfit
    pose: Pose
    place: float
    """Across the frame: -1 is its left edge, 1 its right."""
    look: int
    """Seeds the build and the details, so that a character looks the same in every scene."""
    script: Script | None = None
    """What it does from frame to frame, in an animation; pose and place say nothing then."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that the painters need to know."""

    seed: int
    """Seeds every texture."""
    setting: Setting
    hour: Hour
    weather: Weather
    mood: Mood
    framing: Framing
    colours: Palette
    light: tuple[float, float]
    """Where sun or moon stand: across (-1..1) and down (0..1 of the frame)."""
    horizon: float
    """How far down the horizon is, 0..1 of the frame."""
    figures: tuple[Figure, ...] = ()

    @classmethod
    def from_text(cls, text: str, seed: int, character: str = "", places: tuple[float, ...] = ()) -> Scene:
        """The scene of a description.

        `character` names who is seen: the same name looks the same everywhere. `places` says where people stand
        across the frame (-1..1), one for each; without it one person stands where the composition wants it.
        """
        spoken, chance = words(text), random("scene", text, seed)
        outfit, mood = chosen(spoken, choices.OUTFITS), chosen(spoken, choices.MOODS) or Mood.NATURAL
        setting = chosen(spoken, choices.SETTINGS) or _setting(mood, outfit, chance)
        hour = chosen(spoken, choices.HOURS) or _hour(mood, setting, chance)
        turn, gain = float(chance.uniform(-0.03, 0.03)), float(chance.uniform(0.92, 1.1))
        return cls(
            seed=int(chance.integers(2**32)),
            setting=setting,
            hour=hour,
            weather=chosen(spoken, choices.WEATHERS) or _weather(mood, setting, chance),
            mood=mood,
            framing=chosen(spoken, choices.FRAMINGS) or (Framing.MEDIUM if outfit else Framing.WIDE),
            colours=palette(mood, hour, setting).varied(turn, gain),
            light=_light(hour, chance),
            horizon=_HORIZONS[setting] + float(chance.uniform(-0.025, 0.025)),
            figures=_figures(spoken, outfit, character or text, places, chance),
        )

    def toward(self, colours: list[Colour], share: float = 0.55) -> Scene:
        """The same scene in colours nearer to those given."""
        return replace(self, colours=self.colours.toward(colours, share))

    def random(self, purpose: str) -> np.random.Generator:
        """Chance for one purpose. Painters do not disturb each other by how much of it they use."""
        return random(purpose, "", self.seed)


def random(purpose: str, text: str, seed: int) -> np.random.Generator:
    """Chance that is the same for the same arguments, on every machine."""
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{text}".encode("utf-8", "replace")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


_HORIZONS = {
    Setting.STREET: 0.66,
    Setting.SKYLINE: 0.80,
    Setting.MOUNTAINS: 0.52,
    Setting.FOREST: 0.66,
    Setting.DESERT: 0.56,
    Setting.OCEAN: 0.58,
    Setting.SPACE: 0.78,
}


def _setting(mood: Mood, outfit: Outfit | None, chance: np.random.Generator) -> Setting:
    if outfit is Outfit.SPACESUIT:
        return Setting.SPACE
    if outfit is Outfit.TRENCH_COAT or mood in (Mood.NOIR, Mood.NEON):
        return Setting.STREET
    return list(Setting)[int(chance.integers(len(Setting)))]


def _hour(mood: Mood, setting: Setting, chance: np.random.Generator) -> Hour:
    if setting is Setting.SPACE or mood in (Mood.NOIR, Mood.NEON):
        return Hour.NIGHT
    return list(Hour)[int(chance.integers(len(Hour)))]


def _weather(mood: Mood, setting: Setting, chance: np.random.Generator) -> Weather:
    if setting is Setting.SPACE:
        return Weather.CLEAR
    if mood in (Mood.NOIR, Mood.NEON):
        return Weather.RAIN if chance.random() < 0.6 else Weather.FOG
    return Weather.FOG if chance.random() < 0.3 else Weather.CLEAR


def _light(hour: Hour, chance: np.random.Generator) -> tuple[float, float]:
    low = hour in (Hour.DUSK, Hour.DAWN)
    side = float(chance.choice([-1, 1]) * chance.uniform(0.25, 0.6))
    return side, float(chance.uniform(0.30, 0.48) if low else chance.uniform(0.14, 0.28))


def _figures(
    spoken: list[str], outfit: Outfit | None, name: str, places: tuple[float, ...], chance: np.random.Generator
) -> tuple[Figure, ...]:
    thirds = (float(chance.choice([-1, 1]) * chance.uniform(0.18, 0.36)),)
    if outfit is None and not places:
        return ()
    pose = chosen(spoken, choices.POSES) or Pose.STANDING
    look = int(random("look", name, 0).integers(2**32))
    return tuple(
        Figure(outfit=outfit or Outfit.PLAIN, pose=pose, place=place, look=look + order)
        for order, place in enumerate(places or thirds)
    )
