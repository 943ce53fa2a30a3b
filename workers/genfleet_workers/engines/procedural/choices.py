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


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SETTINGS: Vocabulary[Setting] = {
    Setting.STREET: _words("street streets alley alleyway avenue boulevard downtown lamp pavement bar cafe hotel taxi"),
    Setting.SKYLINE: _words(
        "city skyline rooftop rooftops tower towers skyscraper skyscrapers metropolis town urban cityscape bridge"
    ),
    Setting.MOUNTAINS: _words(
        "mountain mountains peak peaks alps alpine summit valley hill hills cliff canyon landscape volcano highlands"
    ),
    Setting.FOREST: _words("forest wood woods tree trees jungle pine pines grove meadow garden park woodland swamp"),
    Setting.DESERT: _words("desert dune dunes sand sands sahara oasis mesa western cowboy camel mars"),
    Setting.OCEAN: _words(
        "ocean sea beach coast shore waves harbor harbour island ship boat sailing lighthouse lake river pier"
    ),
    Setting.SPACE: _words(
        "space galaxy planet planets nebula cosmos cosmic star stars astronaut orbit alien spaceship starship moonbase"
    ),
}

HOURS: Vocabulary[Hour] = {
    Hour.NIGHT: _words("night midnight moon moonlit moonlight nocturnal starry dark darkness noir neon evening"),
    Hour.DUSK: _words("dusk sunset twilight golden sundown evening orange glow"),
    Hour.DAWN: _words("dawn sunrise morning daybreak early first"),
    Hour.DAY: _words("day daylight noon midday sunny bright afternoon blue daytime"),
}

WEATHERS: Vocabulary[Weather] = {
    Weather.RAIN: _words("rain rainy raining storm stormy wet soaked downpour drizzle thunder thunderstorm"),
    Weather.SNOW: _words("snow snowy snowing winter blizzard ice icy frost frozen arctic"),
    Weather.FOG: _words("fog foggy mist misty haze hazy smoke smoky mysterious eerie ghost ghostly"),
    Weather.CLEAR: _words("clear sunny cloudless bright"),
}

MOODS: Vocabulary[Mood] = {
    Mood.NOIR: _words("noir detective shadow shadows dramatic monochrome crime murder gangster mafia thirties forties"),
    Mood.NEON: _words("neon cyberpunk cyber futuristic synthwave vaporwave hologram electric blade arcade"),
    Mood.WARM: _words("warm cozy cosy romantic golden autumn candle candlelight fire amber nostalgic"),
    Mood.COLD: _words("cold ice icy winter snow frozen arctic chill frost blue aurora"),
    Mood.GRIM: _words("grim horror dread zombie haunted apocalypse apocalyptic ruined war toxic gritty bleak storm"),
}

OUTFITS: Vocabulary[Outfit] = {
    Outfit.TRENCH_COAT: _words(
        "detective trench coat fedora hat inspector investigator spy gangster noir sleuth agent jones police officer"
    ),
    Outfit.GOWN: _words("woman lady femme fatale girl queen princess dress actress singer dancer her she bride"),
    Outfit.CLOAK: _words("wizard monk cloak cloaked hooded hood traveler traveller pilgrim assassin witch ranger"),
    Outfit.SPACESUIT: _words("astronaut cosmonaut spacesuit spaceman spacewalk"),
    Outfit.PLAIN: _words(
        "man person figure character portrait someone hero boy stranger people librarian cowboy soldier him"
    ),
}

POSES: Vocabulary[Pose] = {
    Pose.UMBRELLA: _words("umbrella parasol"),
    Pose.WALKING: _words("walking walks walk running runs entering enters striding moving approaching slowly"),
    Pose.STANDING: _words("standing stands waiting leaning confident still facing"),
}

FRAMINGS: Vocabulary[Framing] = {
    Framing.CLOSE: _words("close closeup portrait bust face extreme"),
    Framing.MEDIUM: _words("medium mid waist american cowboy character"),
    Framing.WIDE: _words("wide long establishing aerial panorama landscape distant far epic"),
}
