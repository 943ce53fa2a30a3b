"""Splits plain text into pieces of a size that can be judged, drops what repeats, and says whose each is. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genfleet.contract.departments import DEPARTMENTS, Department
from genfleet_workers.engines.text.documents import HEADING
from genfleet_workers.engines.text.vocabulary import lexicon, terms
from genfleet_workers.engines.text.words import near_duplicates, sentences, stems

FULL = 1_000
"""Characters of a piece, at most: about 160 words."""
LEAST = 20
"""What has fewer characters says nothing."""
ENOUGH = 1.0
"""Score below which a piece belongs to nobody: less than one word that is a department's own."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a source that deals with one thing."""

    text: str
    heading: str
    source: int
    """Which of the sources it is from."""


def split(text: str, source: int) -> Iterator[Piece]:
    """The pieces of a plain text: whole paragraphs under one heading; a long paragraph by its sentences."""
    heading, gathered = "", list[str]()

    def closed() -> Iterator[Piece]:
        whole = "\n".join(gathered)
        if len(whole) >= LEAST:
            yield Piece(whole, heading, source)
        gathered.clear()

    for line in text.splitlines():
        if line.startswith(HEADING):
            yield from closed()
            heading = line.removeprefix(HEADING).strip()[:200]
            continue
        for part in _parts(line):
            if sum(map(len, gathered)) + len(part) > FULL:
                yield from closed()
            gathered.append(part)
    yield from closed()


def _parts(paragraph: str) -> Iterator[str]:
    """A paragraph; one that is too long in runs of sentences, and a sentence that is by its words."""
    if len(paragraph) <= FULL:
        yield paragraph
        return
    run = ""
    for sentence in sentences(paragraph):
        for part in textwrap.wrap(sentence, FULL, break_on_hyphens=False):
            if len(run) + len(part) >= FULL:
                yield run
                run = ""
            run = f"{run} {part}" if run else part
    yield run


def without_repeats(pieces: Sequence[Piece]) -> tuple[list[Piece], int]:
    """The pieces that do not repeat another one, in their order, and how many did."""
    repeated = {copy for _, copy in near_duplicates([piece.text for piece in pieces])}
    return [piece for at, piece in enumerate(pieces) if at not in repeated], len(repeated)


def assigned(piece: Piece, title: str, among: Sequence[Department] = DEPARTMENTS) -> tuple[Department, float] | None:
    """Whose a piece is, by its words, those of its heading, and of its source's title; and how surely. None: nobody's.

    Decided among all departments, so that what is another's is not given to the nearest of those that were asked for.
    """
    own = terms(stems(piece.text))
    above = terms(stems(f"{piece.heading}\n{title}"))
    known = lexicon()
    scores = {
        each.slug: known.score(own, each) + 0.5 * known.score(above, each) + (1.5 if each.name.lower() in above else 0)
        for each in DEPARTMENTS
    }
    best = max(DEPARTMENTS, key=lambda each: (scores[each.slug], -each.number))
    return (best, scores[best.slug]) if scores[best.slug] >= ENOUGH and best in among else None
