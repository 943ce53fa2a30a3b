"""Finds sentences that cannot both hold, as far as that can be told cheaply. Pure.

Three kinds: a fact of which there is one (a budget, a runtime, somebody's age) with two values; a sentence and its negation;
two sentences that differ in a word and its opposite. What is not sure is left out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genfleet_workers.engines.text.words import STOP_WORDS, stem, words

MOST_SENTENCES = 3_000
"""That are compared with each other; of a longer text the rest is only searched for facts."""
MOST_FOUND = 5
_COMMON = 50
"""Sentences that may share a word before it says too little to be compared by."""
_ALIKE = 0.75
"""How much of their words two sentences have to share."""

_SINGLE = (
    "budget",
    "runtime",
    "running time",
    "deadline",
    "frame rate",
    "aspect ratio",
    "sample rate",
    "contingency",
    "shooting days",
    "shoot",
    "film",
    "release date",
)
"""What there is one of. `shoot` and `film` count with a length of time alone."""
_TIMED = {"shoot", "film", "runtime", "running time"}
_ATTRIBUTE = re.compile(rf"(?:\b(\w+) )?\b({'|'.join(_SINGLE)})\b", re.IGNORECASE)
_SMALL_NUMBERS = "one two three four five six seven eight nine ten eleven twelve"
_DIGITS = {name: number for number, name in enumerate(_SMALL_NUMBERS.split(), start=1)}
_AMOUNT = re.compile(
    rf"(?<![\w.,])([$€£])? ?(\d{{1,15}}(?:[.,]\d{{1,3}}){{0,4}}|{'|'.join(_DIGITS)})(?: (million|thousand|billion)|[mk]\b)?"
    r"(?:[ -]?(minute|hour|day|week|month|dollar|euro|pound|percent|%|fps|frame|kHz|Hz))?",
    re.IGNORECASE,
)
_CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound"}
_TIMES = {"minute", "hour", "day", "week", "month"}
_FACTORS = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_NAME = r"\b([A-Z][a-z]+(?: [A-Z][a-z]+)?)"
_AGES = (
    re.compile(rf"{_NAME},? (?:is|aged) (\d{{1,3}})(?: years old\b|[.,;]|$)"),
    re.compile(rf"{_NAME}, (\d{{1,3}}),"),
)
_QUALIFIERS = {"total", "whole", "overall", "entire", "full", "final", "planned"}

_NEGATIONS = {"not", "no", "never", "without", "neither", "nor", "cannot"}
_OPPOSITES = (
    "alive dead|day night|interior exterior|indoors outdoors|always never|before after|colour monochrome|first last|"
    "guilty innocent|happy sad|hot cold|loves hates|male female|married single|old young|open closed|present absent|"
    "rich poor|slow fast|true false|wins loses|with without|summer winter|brother sister|accept refuse|allowed forbidden"
)
_SIDES = {
    stem(word): (pair, side)
    for pair, both in enumerate(_OPPOSITES.split("|"))
    for side, word in enumerate(both.split())
}


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two sentences, and what they do not agree on."""

    first: str
    second: str
    about: str


def contradictions(sentences: Sequence[str]) -> list[Contradiction]:
    """The contradictions between sentences, whatever their order; no more than are worth reading."""
    ordered = sorted(set(sentences))
    found: dict[tuple[str, str], Contradiction] = {}
    for each in (*_of_facts(ordered), *_of_statements(ordered[:MOST_SENTENCES])):
        found.setdefault((each.first, each.second), each)
        if len(found) == MOST_FOUND:
            break
    return list(found.values())


def _of_facts(ordered: Sequence[str]) -> Iterator[Contradiction]:
    """One fact with two values."""
    known: dict[tuple[str, str], tuple[float, str]] = {}
    for sentence in ordered:
        for fact, unit, value in _facts(sentence):
            said = known.setdefault((fact, unit), (value, sentence))
            if said[0] != value:
                yield Contradiction(said[1], sentence, fact)


def _facts(sentence: str) -> Iterator[tuple[str, str, float]]:
    """What a sentence says of things that there is one of: fact, unit, value. A sentence with two numbers is not clear."""
    for pattern in _AGES:
        for name, age in pattern.findall(sentence):
            yield f"the age of {name}", "years", float(age)
    amounts = [_amount(match) for match in _AMOUNT.finditer(sentence)]
    attributes = _ATTRIBUTE.findall(sentence)
    if len(amounts) != 1 or len(attributes) != 1:
        return
    (value, unit), (before, attribute) = amounts[0], (attributes[0][0].lower(), attributes[0][1].lower())
    if attribute in _TIMED and unit not in _TIMES:
        return
    plain = not before or before in STOP_WORDS or before in _QUALIFIERS or before in _TIMES or before in _FACTORS
    yield f"the {attribute}" if plain else f"the {before} {attribute}", unit, value


def _amount(match: re.Match[str]) -> tuple[float, str]:
    sign, digits, factor, unit = match.groups()
    number = _DIGITS.get(digits.lower()) or _number(digits)
    letter = match[0].rstrip()[-1:].lower()
    times = _FACTORS[factor.lower()] if factor else {"m": 10**6, "k": 10**3}.get(letter if not unit else "", 1)
    return float(number) * times, (unit or _CURRENCIES.get(sign or "", "")).lower()


def _number(digits: str) -> float:
    """`1,500,000` and `2.5`; a comma parts thousands."""
    plain = digits.replace(",", "")
    return float(plain) if plain.count(".") < 2 else float(plain.replace(".", ""))


@dataclass(frozen=True, slots=True)
class _Statement:
    text: str
    about: frozenset[str]
    negated: bool
    sides: frozenset[tuple[int, int]]


def _statement(sentence: str) -> _Statement:
    spoken = words(sentence)
    families = frozenset(stem(word) for word in spoken if word not in STOP_WORDS and word not in _NEGATIONS)
    return _Statement(
        sentence,
        families - _SIDES.keys(),
        any(word in _NEGATIONS or word.endswith("n't") for word in spoken),
        frozenset(_SIDES[family] for family in families & _SIDES.keys()),
    )


def _of_statements(ordered: Sequence[str]) -> Iterator[Contradiction]:
    """A statement and its negation, or its opposite."""
    having: dict[str, list[_Statement]] = defaultdict(list)
    for sentence in ordered:
        own = _statement(sentence)
        shared = Counter(id(other) for family in own.about for other in having[family] if len(having[family]) < _COMMON)
        others = {id(other): other for family in own.about for other in having[family]}
        for key, number in shared.items():
            if number >= 3 and (about := _opposed(own, others[key], number)):
                yield Contradiction(others[key].text, sentence, about)
        for family in own.about:
            having[family].append(own)


def _opposed(one: _Statement, other: _Statement, shared: int) -> str | None:
    if shared < _ALIKE * len(one.about | other.about):
        return None
    if one.negated != other.negated and one.sides == other.sides:
        return "one denies what the other says"
    opposite = any((pair, 1 - side) in other.sides for pair, side in one.sides)
    return "one says the opposite of the other" if opposite and one.negated == other.negated else None
