"""The colours of a scene: one table by mood and hour, varied by chance, drawn toward pictures that are given."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from PIL import Image

from genfleet_workers.engines.procedural.canvas import Colour, mix
from genfleet_workers.engines.procedural.choices import Hour, Mood, Setting


@dataclass(frozen=True, slots=True)
class Palette:
    """Seven colours, from the top of the sky to the light that falls on everything."""

    zenith: Colour
    sky: Colour
    horizon: Colour
    haze: Colour
    """What far things fade into."""
    shade: Colour
    """The darkest: silhouettes."""
    light: Colour
    """Sun, moon and lamps."""
    accent: Colour
    """Windows and signs."""

    def varied(self, turn: float, gain: float) -> Palette:
        """All hues turned by `turn` (of a full circle) and all colours but the darkest scaled by `gain`."""
        turned = {field.name: _turned(getattr(self, field.name), turn, gain) for field in fields(self)}
        return replace(self, **{**turned, "shade": self.shade})

    def toward(self, colours: Sequence[Colour], share: float) -> Palette:
        """Every colour moved by `share` toward the one of `colours` that is nearest to it in brightness.

        Brightness itself is kept, so that night stays night whatever is pinned to the wall.
        """
        if not colours:
            return self
        moved = {field.name: _tinted(getattr(self, field.name), colours, share) for field in fields(self)}
        return replace(self, **moved)


def palette(mood: Mood, hour: Hour, setting: Setting) -> Palette:
    """The colours of a mood at an hour, leaning toward what the setting is made of."""
    own = _MOODS.get((mood, hour)) or _HOURS[hour]
    lean = _SETTINGS.get(setting)
    if lean is None or mood is Mood.NOIR:
        return own
    leaning = own.toward([lean], 0.3)
    return replace(own, zenith=leaning.zenith, haze=leaning.haze, shade=leaning.shade)


def dominant(picture: Image.Image, count: int = 5) -> list[Colour]:
    """The colours that cover most of a picture, most first."""
    small = picture.convert("RGB").resize((64, 64), Image.Resampling.BOX)
    reduced = small.quantize(count, method=Image.Quantize.MEDIANCUT)
    table = reduced.getpalette() or []
    ranked = sorted(reduced.getcolors() or [], reverse=True)
    starts = [3 * index for _, index in ranked if isinstance(index, int)]
    return [(table[at] / 255, table[at + 1] / 255, table[at + 2] / 255) for at in starts]


def brightness(colour: Colour) -> float:
    """How bright the eye finds it, 0..1."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _turned(colour: Colour, turn: float, gain: float) -> Colour:
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    return colorsys.hsv_to_rgb((hue + turn) % 1, saturation, min(value * gain, 1))


def _tinted(colour: Colour, colours: Sequence[Colour], share: float) -> Colour:
    goal = min(colours, key=lambda other: abs(brightness(other) - brightness(colour)))
    scale = brightness(colour) / max(brightness(goal), 0.05)
    same_light = np.clip(np.asarray(goal) * scale, 0, 1)
    red, green, blue = mix(colour, np.asarray(same_light, dtype=np.float32), share).tolist()
    return red, green, blue


def _hex(*codes: str) -> Palette:
    return Palette(*((int(code[:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:], 16) / 255) for code in codes))


_HOURS = {
    #                   zenith    sky       horizon   haze      shade     light     accent
    Hour.NIGHT: _hex("040a1c", "0f2346", "2f5178", "4a6f94", "03060d", "f4efd8", "ffc56b"),
    Hour.DAWN: _hex("2b4a78", "8d8fb0", "ffcfa6", "d9b3ac", "141820", "fff0cf", "ffd28a"),
    Hour.DAY: _hex("1f62b0", "6aa9dc", "d6e9f2", "b7d2e4", "16211f", "fff8e2", "fff0c4"),
    Hour.DUSK: _hex("1a1d4e", "7b3b78", "ffab5a", "dd7f5c", "100a18", "ffe3a0", "ffc069"),
}

_MOODS = {
    (Mood.NOIR, Hour.NIGHT): _hex("050709", "151b20", "4b565b", "78838a", "030405", "eef0e6", "e9cf93"),
    (Mood.NOIR, Hour.DUSK): _hex("0b0b0d", "2a2725", "83776a", "8f8478", "040404", "f3e9d2", "e8c88a"),
    (Mood.NOIR, Hour.DAWN): _hex("15191c", "49535a", "a9b0b0", "9ba5a8", "060708", "f4f3ea", "e6d3a6"),
    (Mood.NOIR, Hour.DAY): _hex("3d4448", "7d878b", "c6cbc9", "aab1b2", "0b0d0e", "fbfaf2", "e9dcb8"),
    (Mood.NEON, Hour.NIGHT): _hex("05030f", "140b33", "6b1d7c", "3d3488", "030208", "ff6ab8", "2fe6ff"),
    (Mood.NEON, Hour.DUSK): _hex("12093a", "5b1a7a", "ff5a8a", "a8479c", "070412", "ff9ec6", "3ff0e4"),
    (Mood.WARM, Hour.NIGHT): _hex("0d0a1c", "2c1c3a", "8a4a48", "8a5a58", "07050b", "ffdf9c", "ffb04e"),
    (Mood.COLD, Hour.DAY): _hex("4b7fa8", "9dc0d4", "e8f1f5", "cfe0ea", "14202a", "f6fbff", "ffe9c0"),
    (Mood.COLD, Hour.NIGHT): _hex("030d1a", "0b2c47", "2f7487", "5b8fa6", "020810", "e6f6ff", "9fe8ff"),
    (Mood.COLD, Hour.DUSK): _hex("10284e", "4b6596", "f0b9b4", "b3a3bb", "0a101c", "ffe9d6", "ffcf9a"),
    (Mood.GRIM, Hour.NIGHT): _hex("05080a", "12201f", "3a5650", "58736b", "030606", "e9f2d6", "c9e07a"),
    (Mood.GRIM, Hour.DAY): _hex("3d474c", "77827f", "c3c6b8", "a3aaa3", "0e1213", "f4f1de", "e8cf8c"),
    (Mood.GRIM, Hour.DUSK): _hex("16141c", "4a2f36", "c85a3c", "8d564c", "080608", "ffc48a", "ff8a4e"),
}

_SETTINGS = {
    Setting.FOREST: (0.20, 0.42, 0.30),
    Setting.DESERT: (0.80, 0.52, 0.32),
    Setting.OCEAN: (0.12, 0.38, 0.50),
    Setting.SPACE: (0.32, 0.20, 0.62),
}
