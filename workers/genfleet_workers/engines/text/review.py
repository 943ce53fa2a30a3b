"""Measures the material of a department: what it covers, how deep it goes, what does not fit. Pure.

The numbers are facts about the text; what they are worth is for `verdict` to say. The order of the pieces does not matter.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genfleet.contract.departments import Department
from genfleet_workers.engines.text.contradictions import Contradiction, contradictions
from genfleet_workers.engines.text.vocabulary import lexicon, terms
from genfleet_workers.engines.text.words import (
    STOP_WORDS,
    english_share,
    near_duplicates,
    sentences,
    stems,
    words,
)

_FIELDS = ("content", "summary", "context")
_SHORTEST = 4
"""Words of a sentence that says something."""
_COUNTED = 3
"""Terms of a topic that one sentence can bring."""
_RUNNING = 0.15
"""Small words that a sentence has at least. What has fewer is a list of catchwords, and brings one term."""
_NUMBER = re.compile(r"\d{1,15}(?:[.,:]\d{1,15})*")
_NAME = re.compile(r"(?<![.!?:\n] )(?<!^)\b[A-Z][a-z]+", re.MULTILINE)
_QUOTED = re.compile('["\u201c][^"\u201c\u201d\n]{3,200}["\u201d]')


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """One piece of gathered content."""

    content: str
    summary: str = ""
    context: str = ""

    @property
    def text(self) -> str:
        """What it says: its content; where that is missing, its summary and context."""
        return self.content or "\n".join(filter(None, (self.summary, self.context)))


@dataclass(frozen=True, slots=True)
class Topic:
    """How far a topic is covered."""

    strength: float
    """0: nothing is said of it. 0.4: a word; 0.9: five different ones."""
    words: tuple[str, ...]
    """Families that speak of it."""
    sentence: str
    """The one that says the most about it. Empty where none does."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was measured."""

    pieces: int
    words: int
    """Of all pieces that do not repeat another."""
    topics: Mapping[str, Topic]
    on_topic: float
    """Share of the sentences that speak of the department."""
    strangers: tuple[str, ...]
    """Sentences that do not, the longest first."""
    numbers: int
    names: int
    quotes: int
    variety: float
    """Different words for the root of all words: 4 in a few sentences, 10 in a page, low in what turns in circles."""
    repeated: tuple[str, ...]
    """Pieces that repeat another, by their text."""
    contradictions: tuple[Contradiction, ...]
    empty: Mapping[str, int]
    """Pieces without content, summary or context, where there are any."""
    unlike: tuple[str, ...]
    """Summaries that share no word with their content."""
    english: float

    @property
    def coverage(self) -> float:
        """Mean strength of the topics."""
        return sum(topic.strength for topic in self.topics.values()) / len(self.topics)

    @property
    def specifics(self) -> int:
        """Concrete facts: numbers, names, quotations."""
        return self.numbers + self.names + self.quotes


def review(pieces: Sequence[Piece], department: Department) -> Findings:
    """Measure them. At least one has to say something."""
    ordered = sorted(pieces)
    copies = {copy for _, copy in near_duplicates([piece.text for piece in ordered])}
    kept = [piece for at, piece in enumerate(ordered) if at not in copies]
    said = [sentence for piece in kept for sentence in sentences(piece.text)]
    spoken = [word for sentence in said for word in words(sentence)]
    topics, speaking = _topics(said, department)
    full = [sentence for sentence in said if len(words(sentence)) >= _SHORTEST]
    strangers = [sentence for sentence in full if sentence not in speaking]
    text = "\n".join(said)
    return Findings(
        pieces=len(pieces),
        words=len(spoken),
        topics=topics,
        on_topic=1 - len(strangers) / len(full) if full else 0.0,
        strangers=tuple(sorted(set(strangers), key=lambda each: (-len(each), each))[:3]),
        numbers=len(set(_NUMBER.findall(text))),
        names=len({name for name in _NAME.findall(text) if name.lower() not in STOP_WORDS}),
        quotes=len(set(_QUOTED.findall(text))),
        variety=_variety(spoken),
        repeated=tuple(ordered[at].text for at in sorted(copies)),
        contradictions=tuple(contradictions([each for piece in ordered for each in sentences(piece.text)])),
        empty={field: number for field in _FIELDS if (number := sum(not getattr(each, field) for each in ordered))},
        unlike=tuple(piece.summary for piece in kept if _unlike(piece)),
        english=english_share(spoken),
    )


def _topics(said: Sequence[str], department: Department) -> tuple[dict[str, Topic], set[str]]:
    """Each topic of the department, and the sentences that speak of any."""
    known, speaking = lexicon(), set[str]()
    found = {topic: Counter[str]() for topic in department.scope}
    best = dict.fromkeys(department.scope, (0, ""))
    for sentence in said:
        present = known.topics_in(terms(stems(sentence)), department)
        if any(present.values()):
            speaking.add(sentence)
        most = _COUNTED if english_share(words(sentence)) >= _RUNNING else 1
        for topic, own in present.items():
            found[topic].update(sorted(own, key=lambda term: (-known.weights[term], term))[:most])
            best[topic] = max(best[topic], (len(own), sentence))
    return {
        topic: Topic(_strength([known.weights[term] for term in own]), tuple(sorted(own)), best[topic][1])
        for topic, own in found.items()
    }, speaking


def _strength(weights: Sequence[float]) -> float:
    """The first words say the most. A word that other departments share counts, but less."""
    return 1 - math.exp(-sum(0.4 + 0.6 * weight for weight in weights) / 2.2)


def _variety(spoken: Sequence[str]) -> float:
    return len(set(spoken)) / math.sqrt(len(spoken)) if spoken else 0.0


def _unlike(piece: Piece) -> bool:
    """Whether a summary speaks of something else than its content."""
    summary, content = set(stems(piece.summary)), set(stems(piece.content))
    return len(summary) >= 3 and len(content) >= 20 and not summary & content
