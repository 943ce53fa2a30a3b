"""What a scene can be, as closed lists, and the words of a prompt that choose from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class Setting(StrEnum):
    """Where it is."""

    STREET = "street"
    SKYLINE = "skyline"
    MOUNTAINS = "mountains"
    FOREST = "forest"
    DESERT = "desert"
    OCEAN = "ocean"
    SPACE = "space"


class Hour(StrEnum):
    """When it is."""

    NIGHT = "night"
    DAWN = "dawn"
    DAY = "day"
    DUSK = "dusk"


class Weather(StrEnum):
    """What falls or hangs in the air."""

    CLEAR = "clear"
    RAIN = "rain"
    SNOW = "snow"
    FOG = "fog"


class Mood(StrEnum):
    """How it is lit and coloured."""

    NATURAL = "natural"
    NOIR = "noir"
    NEON = "neon"
    WARM = "warm"
    COLD = "cold"
    GRIM = "grim"


class Outfit(StrEnum):
    """Who stands in it, by the outline of the clothes."""

    TRENCH_COAT = "trench_coat"
    GOWN = "gown"
    CLOAK = "cloak"
    SPACESUIT = "spacesuit"
    PLAIN = "plain"


class Pose(StrEnum):
    """How the figure holds itself."""

    STANDING = "standing"
    WALKING = "walking"
    UMBRELLA = "umbrella"


class Framing(StrEnum):
    """How near the figure is."""

    WIDE = "wide"
    MEDIUM = "medium"
    CLOSE = "close"


Choice = TypeVar("Choice", bound=StrEnum)
Vocabulary = Mapping[Choice, frozenset[str]]


def words(text: str) -> list[str]:
    """The words of a text in lower case: `film_noir`, `Film-Noir` and `film noir` are the same two."""
    return re.findall(r"[a-z]+", text.lower().replace("'s", ""))


def chosen(spoken: list[str], vocabulary: Vocabulary[Choice]) -> Choice | None:
    """What most of the words speak for; among equals, what is listed first; None when no word says anything."""
    votes = {choice: sum(word in known for word in spoken) for choice, known in vocabulary.items()}
    best = max(votes, key=lambda choice: votes[choice])
    return best if votes[best] else None


def vocabulary(text: str) -> frozenset[str]:
    """The words that speak for one choice."""
    return frozenset(text.split())


SETTINGS: Vocabulary[Setting] = {
    Setting.STREET: vocabulary(
        "street streets alley alleyway avenue boulevard downtown lamp pavement bar cafe hotel taxi"
    ),
    Setting.SKYLINE: vocabulary(
        "city skyline rooftop rooftops tower towers skyscraper skyscrapers metropolis town urban cityscape bridge"
    ),
    Setting.MOUNTAINS: vocabulary(
        "mountain mountains peak peaks alps alpine summit valley hill hills cliff canyon landscape volcano highlands"
    ),
    Setting.FOREST: vocabulary(
        "forest wood woods tree trees jungle pine pines grove meadow garden park woodland swamp"
    ),
    Setting.DESERT: vocabulary("desert dune dunes sand sands sahara oasis mesa western cowboy camel mars"),
    Setting.OCEAN: vocabulary(
        "ocean sea beach coast shore waves harbor harbour island ship boat sailing lighthouse lake river pier"
    ),
    Setting.SPACE: vocabulary(
        "space galaxy planet planets nebula cosmos cosmic star stars astronaut orbit alien spaceship starship moonbase"
    ),
}

HOURS: Vocabulary[Hour] = {
    Hour.NIGHT: vocabulary("night midnight moon moonlit moonlight nocturnal starry dark darkness noir neon evening"),
    Hour.DUSK: vocabulary("dusk sunset twilight golden sundown evening orange glow"),
    Hour.DAWN: vocabulary("dawn sunrise morning daybreak early first"),
    Hour.DAY: vocabulary("day daylight noon midday sunny bright afternoon blue daytime"),
}

WEATHERS: Vocabulary[Weather] = {
    Weather.RAIN: vocabulary("rain rainy raining storm stormy wet soaked downpour drizzle thunder thunderstorm"),
    Weather.SNOW: vocabulary("snow snowy snowing winter blizzard ice icy frost frozen arctic"),
    Weather.FOG: vocabulary("fog foggy mist misty haze hazy smoke smoky mysterious eerie ghost ghostly"),
    Weather.CLEAR: vocabulary("clear sunny cloudless bright"),
}

MOODS: Vocabulary[Mood] = {
    Mood.NOIR: vocabulary(
        "noir detective shadow shadows dramatic monochrome crime murder gangster mafia thirties forties"
    ),
    Mood.NEON: vocabulary("neon cyberpunk cyber futuristic synthwave vaporwave hologram electric blade arcade"),
    Mood.WARM: vocabulary("warm cozy cosy romantic golden autumn candle candlelight fire amber nostalgic"),
    Mood.COLD: vocabulary("cold ice icy winter snow frozen arctic chill frost blue aurora"),
    Mood.GRIM: vocabulary(
        "grim horror dread zombie haunted apocalypse apocalyptic ruined war toxic gritty bleak storm"
    ),
}

OUTFITS: Vocabulary[Outfit] = {
    Outfit.TRENCH_COAT: vocabulary(
        "detective trench coat fedora hat inspector investigator spy gangster noir sleuth agent jones police officer"
    ),
    Outfit.GOWN: vocabulary("woman lady femme fatale girl queen princess dress actress singer dancer her she bride"),
    Outfit.CLOAK: vocabulary("wizard monk cloak cloaked hooded hood traveler traveller pilgrim assassin witch ranger"),
    Outfit.SPACESUIT: vocabulary("astronaut cosmonaut spacesuit spaceman spacewalk"),
    Outfit.PLAIN: vocabulary(
        "man person figure character portrait someone hero boy stranger people librarian cowboy soldier him"
    ),
}

POSES: Vocabulary[Pose] = {
    Pose.UMBRELLA: vocabulary("umbrella parasol"),
    Pose.WALKING: vocabulary("walking walks walk running runs entering enters striding moving approaching slowly"),
    Pose.STANDING: vocabulary("standing stands waiting leaning confident still facing"),
}

FRAMINGS: Vocabulary[Framing] = {
    Framing.CLOSE: vocabulary("close closeup portrait bust face extreme"),
    Framing.MEDIUM: vocabulary("medium mid waist american cowboy character"),
    Framing.WIDE: vocabulary("wide long establishing aerial panorama landscape distant far epic"),
}
