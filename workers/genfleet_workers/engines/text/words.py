"""Text as words: sentences, words by their family, and how alike two texts are. Pure; English, as the vocabulary is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from snowballstemmer import stemmer

_WORD = re.compile("[^\\W\\d_]+(?:['\u2019][^\\W\\d_]+)*")
_END = re.compile("(?<=[.!?\u2026])[\"'\u201d\u2019)\\]]* |(?<=[\u3002\uff01\uff1f])")
_BULLET = re.compile(r"^(?:[-*•]|\d{1,3}[.)]) ")
_STEMMER = stemmer("english")

_SMALL = (
    "a about above after again all also am an and any are as at be because been before being below between both but "
    "by can could did do does doing down during each few for from further had has have having he her here hers him "
    "his how i if in into is it its itself just like me more most my new no nor not now of off on once one only or "
    "other our out over own same she should so some such than that the their them then there these they this those "
    "through to too under until up us very was we were what when where which while who whom why will with would you "
    "your"
)
STOP_WORDS = frozenset(_SMALL.split())
"""Words that say nothing of what a text is about. How many of its words they are tells whether it is English."""

_RUN = 4
"""Words in a row, of which texts have few in common unless one was made from the other."""


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return [word.replace("\u2019", "'") for word in _WORD.findall(text.lower())]


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """What the words of a family have in common: `scenes` and `scene` give the same."""
    return str(_STEMMER.stemWord(word.removesuffix("'s")))


def stems(text: str) -> list[str]:
    """The families of a text's words in order, without those that say nothing."""
    return [stem(word) for word in words(text) if word not in STOP_WORDS]


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line of a list is one as well."""
    lines = (_BULLET.sub("", " ".join(line.split())) for line in text.splitlines())
    return [part.strip() for line in lines for part in _END.split(line) if _WORD.search(part)]


def english_share(spoken: Sequence[str]) -> float:
    """How much of a text, given as its words, are the small words of English: 0.3 to 0.6 in running text."""
    return sum(word in STOP_WORDS for word in spoken) / len(spoken) if spoken else 0.0


def shortened(text: str, limit: int) -> str:
    """A text on one line, cut between words where it is longer than the limit (characters)."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    head, space, _ = line[: limit - 1].rpartition(" ")
    return (head if space and len(head) > limit // 2 else line[: limit - 1]).rstrip(" ,;:") + "…"


def runs(text: str) -> frozenset[int]:
    """Every run of words that a text has: what near duplicates share."""
    spoken = words(text)
    if len(spoken) <= _RUN:
        return frozenset({hash(tuple(spoken))})
    return frozenset(hash(tuple(spoken[at : at + _RUN])) for at in range(len(spoken) - _RUN + 1))


def near_duplicates(texts: Sequence[str], alike: float = 0.7) -> Iterator[tuple[int, int]]:
    """Pairs (kept, repeated) of positions: nearly all of the second text stands in the first.

    Texts are compared only with those that share a run with them, so the effort is that of the repetition that there is.
    """
    kept: dict[int, frozenset[int]] = {}
    having: dict[int, list[int]] = defaultdict(list)
    for at in sorted(range(len(texts)), key=lambda at: (-len(texts[at]), texts[at], at)):
        own = runs(texts[at])
        shared: dict[int, int] = defaultdict(int)
        for run in own:
            for other in having[run]:
                shared[other] += 1
        best = max(shared, key=lambda other: (shared[other], -other), default=None)
        if best is not None and shared[best] >= alike * len(own):
            yield best, at
            continue
        kept[at] = own
        for run in own:
            having[run].append(at)
