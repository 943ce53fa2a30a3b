"""Summarises by extraction: the sentences of a text that say the most, in their order. Pure."""

from __future__ import annotations

from collections import Counter

from genfleet_workers.engines.text.words import sentences, shortened, stems

_LEAST = 2
"""Families of a sentence that says anything."""
_SHORT, _LONG = 5, 30
"""Families of a sentence that is fit for a summary; a longer one is not worth more."""


def digest(text: str, limit: int) -> str:
    """The text; where it is longer than the limit (characters), its most telling sentences as far as they fit."""
    if len(text) <= limit:
        return text
    chosen, room = set[int](), limit
    said = sentences(text)
    for at in _ranked(said):
        if len(said[at]) + 1 <= room and len(stems(said[at])) >= _LEAST:
            chosen.add(at)
            room -= len(said[at]) + 1
    return " ".join(said[at] for at in sorted(chosen)) or shortened(text, limit)


def summary(text: str, number: int, limit: int = 400) -> str:
    """So many sentences of a text, those that say the most; a text of no more is its own summary."""
    said = sentences(text)
    chosen = sorted(_ranked(said)[:number])
    return shortened(" ".join(said[at] for at in chosen), limit)


def _ranked(said: list[str]) -> list[int]:
    """Positions of sentences, the most telling first: full of what the text speaks of, and early in it."""
    families = [stems(sentence) for sentence in said]
    weights = Counter(family for each in families for family in set(each))

    def worth(at: int) -> float:
        own = set(families[at])
        size = min(max(len(own), _SHORT), _LONG)
        return sum(weights[family] for family in own) / size * min(len(own) / _SHORT, 1) / (1 + 0.1 * min(at, 10))

    return sorted(range(len(said)), key=lambda at: (-worth(at), at))
