"""What the measures of a department's material are worth: rating, issues, suggestions. Pure, and the same for the same text.

The rating is coverage, depth and form, as far as the material speaks of the department at all, less what is wrong in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genfleet.contract.departments import Department
from genfleet_workers.engines.text.review import Findings, Topic
from genfleet_workers.engines.text.vocabulary import examples
from genfleet_workers.engines.text.words import shortened

MISSING, WEAK = 0.3, 0.62
"""Strengths below which a topic is not covered, and is thin."""
ENOUGH_WORDS = 150
_ENGLISH = 0.2
"""Small words that running text in English has at least."""
_QUOTE = 90
_MOST = 12
"""Issues and suggestions that a person reads."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a department was rated before."""

    department: str
    rating: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of the material."""

    rating: int
    summary: str
    issues: list[str]
    suggestions: list[str]
    confidence: float
    """0..1. Counting words never makes one sure: 0.7 at most."""


@dataclass(frozen=True, slots=True)
class _Point:
    """Something wrong, and what to do about it."""

    issue: str
    suggestion: str


def verdict(findings: Findings, department: Department, earlier: Sequence[Earlier] = ()) -> Verdict:
    """Judge the material by its measures."""
    points = list(_points(findings, department, earlier))[:_MOST]
    return Verdict(
        rating=rating(findings, earlier),
        summary=_summary(findings, department),
        issues=[point.issue for point in points],
        suggestions=list(dict.fromkeys(point.suggestion for point in points)),
        confidence=_confidence(findings),
    )


def rating(findings: Findings, earlier: Sequence[Earlier] = ()) -> int:
    """0..100."""
    relevance = math.sqrt(min(findings.on_topic / 0.6, 1) * findings.coverage)
    worth = 0.45 * findings.coverage + 0.35 * _depth(findings) + 0.20 * _form(findings)
    faults = 0.07 * len(findings.contradictions) + 0.10 * len(findings.repeated) / findings.pieces
    return round(100 * min(max(worth * (0.25 + 0.75 * relevance) - faults + _trust(earlier), 0), 1))


def _depth(findings: Findings) -> float:
    """How much is said, how concretely, and in how many different words."""
    amount = 1 - math.exp(-findings.words / 300)
    concrete = min(findings.specifics / max(findings.words, 1) / 0.05, 1) * min(findings.words / 60, 1)
    return 0.5 * amount + 0.25 * concrete + 0.25 * min(findings.variety / 9, 1)


def _form(findings: Findings) -> float:
    """How complete the pieces are."""
    filled = 1 - sum(findings.empty.values()) / (3 * findings.pieces)
    return filled * (1 - 0.5 * len(findings.unlike) / findings.pieces)


def _trust(earlier: Sequence[Earlier]) -> float:
    """What other departments got moves the rating by at most 0.03: the work rests on theirs."""
    if not earlier:
        return 0.0
    mean = sum(each.rating for each in earlier) / len(earlier)
    return min(max((mean - 70) / 1_000, -0.03), 0.03)


def _confidence(findings: Findings) -> float:
    sure = 0.7 * (1 - math.exp(-findings.words / 150))
    return round(sure if findings.english >= _ENGLISH else sure / 3, 2)


def _summary(findings: Findings, department: Department) -> str:
    strong = [name for name, topic in findings.topics.items() if topic.strength >= WEAK]
    thin = [name for name, topic in findings.topics.items() if MISSING <= topic.strength < WEAK]
    missing = [name for name, topic in findings.topics.items() if topic.strength < MISSING]
    said = [
        f"{_listed(names)} {what}"
        for names, what in ((strong, "covered"), (thin, "thin"), (missing, "missing"))
        if names
    ]
    amount = f"{_counted(findings.pieces, 'piece')}, {_counted(findings.words, 'word')}"
    wrong = f", {_counted(len(findings.contradictions), 'contradiction')}" if findings.contradictions else ""
    return f"{department.name}: {'; '.join(said)} ({amount}{wrong})."


def _points(findings: Findings, department: Department, earlier: Sequence[Earlier]) -> Iterator[_Point]:
    """What is wrong, the gravest first."""
    yield from _of_language(findings)
    yield from _of_contradictions(findings)
    for name, topic in sorted(findings.topics.items(), key=lambda each: each[1].strength):
        yield from _of_topic(name, topic, department)
    yield from _of_amount(findings, department)
    yield from _of_repetition(findings)
    yield from _of_form(findings)
    yield from _of_others(department, earlier)


def _of_language(findings: Findings) -> Iterator[_Point]:
    if findings.english < _ENGLISH:
        yield _Point(
            "The content does not read like English sentences, and no other language is understood without a model",
            "Write whole English sentences, or have a model configured for the workers",
        )


def _of_contradictions(findings: Findings) -> Iterator[_Point]:
    for each in findings.contradictions:
        yield _Point(
            f"{_quote(each.first)} contradicts {_quote(each.second)} ({each.about})",
            f"Decide which holds: {_quote(each.first)} or {_quote(each.second)}",
        )


def _of_topic(name: str, topic: Topic, department: Department) -> Iterator[_Point]:
    hint = f"Gather material on {name}, such as {_listed(examples(department, name, topic.words))}"
    if not topic.words:
        yield _Point(f"Nothing is said about {name}", hint)
    elif topic.strength < MISSING:
        yield _Point(f"Hardly anything is said about {name}: only {_quote(topic.sentence)}", hint)
    elif topic.strength < WEAK:
        yield _Point(f"More depth is needed on {name}: {_quote(topic.sentence)} says the most", hint)


def _of_amount(findings: Findings, department: Department) -> Iterator[_Point]:
    if findings.on_topic < 0.5 and findings.strangers:
        share = round(100 * (1 - findings.on_topic))
        yield _Point(
            f"{share} % of the sentences do not speak of {department.name}, such as {_quote(findings.strangers[0])}",
            f"Leave out what does not belong to {department.name}, or say what it means for it",
        )
    if findings.words < ENOUGH_WORDS:
        yield _Point(
            f"Only {_counted(findings.words, 'word')} in {_counted(findings.pieces, 'piece')}: too little to build on",
            f"Describe it in at least {ENOUGH_WORDS} words, with who, what, when and why",
        )
    elif findings.specifics / findings.words < 0.02:
        facts = f"{_counted(findings.numbers, 'number')} and {_counted(findings.names, 'name')}"
        yield _Point(f"Few concrete facts: {facts} in {findings.words} words", "Name people, places, dates and amounts")
    if findings.words >= ENOUGH_WORDS and findings.variety < 6:
        yield _Point("The text says the same in few different words", "Replace repetition by new information")


def _of_repetition(findings: Findings) -> Iterator[_Point]:
    if findings.repeated:
        what = f"{len(findings.repeated)} of {_counted(findings.pieces, 'piece')}"
        yield _Point(
            f"{what} repeat another one: {_quote(findings.repeated[0])}",
            "Remove repeated pieces, or replace them by what is missing",
        )


def _of_form(findings: Findings) -> Iterator[_Point]:
    for field, number in findings.empty.items():
        yield _Point(
            f"{number} of {_counted(findings.pieces, 'piece')} without {field}", f"Fill in the {field} of each piece"
        )
    for summary in findings.unlike[:1]:
        yield _Point(
            f"The summary {_quote(summary)} shares no word with its content", "Summarise what the content says"
        )


def _of_others(department: Department, earlier: Sequence[Earlier]) -> Iterator[_Point]:
    for each in sorted(earlier, key=lambda each: (each.rating, each.department)):
        if each.rating < 50 and each.department != department.slug:
            yield _Point(
                f"{department.name} builds on {shortened(each.department, _QUOTE)}, which was rated {each.rating:g}",
                f"Improve {shortened(each.department, _QUOTE)} first, and check what follows from it here",
            )


def _quote(text: str) -> str:
    return f"“{shortened(text, _QUOTE)}”"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
