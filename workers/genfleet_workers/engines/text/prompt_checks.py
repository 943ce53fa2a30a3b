"""Looks at a prompt as an editor would: is it clear what is asked for, and in which form? Pure; English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from genfleet_workers.engines.text.template import Rendered
from genfleet_workers.engines.text.words import sentences, shortened, words

CHARACTERS_PER_TOKEN = 4
"""Of English in the vocabularies of current models; other scripts take more tokens."""
LONG_TOKENS = 8_000
_QUOTE = 100

_VERBS = (
    "act add analyse analyze answer arrange assume avoid be begin brainstorm calculate check choose classify compare "
    "complete compose consider convert count create decide define describe design determine develop draft edit ensure "
    "estimate evaluate explain extend extract fill find focus generate give identify imagine improve include invent "
    "keep limit list make name outline output plan produce propose provide rank rate read recommend reply respond "
    "return review revise rewrite score select show start state suggest summarise summarize tell think translate use "
    "write"
)
_ORDERS = frozenset(_VERBS.split())
_VAGUE = re.compile(
    r"\b(some|several|various|a few|etc|and so on|maybe|perhaps|possibly|somehow|something|somewhat|appropriate|suitable|"
    r"good|nice|interesting|as needed|if necessary|relevant|proper|adequate|kind of|sort of|a bit)\b",
    re.IGNORECASE,
)
_FORM = re.compile(
    r"\b(json|yaml|xml|csv|markdown|table|list|bullets?|paragraphs?|sentences?|words|lines|format|schema|headings?|"
    r"fields?|characters long|between \d+ and \d+|at most \d+|exactly \d+)\b",
    re.IGNORECASE,
)
_ROLE = re.compile(r"\b(you are|act as|as an? \w+(?: \w+)?,|your role|imagine you)", re.IGNORECASE)
_OPPOSED = (
    (
        r"\b(brief|concise|short|terse)(?:ly)?\b",
        r"\b(detailed|in detail|comprehensive|exhaustive|thorough|long)(?:ly)?\b",
    ),
    (r"\bformal(?:ly)?\b", r"\b(informal|casual|colloquial)(?:ly)?\b"),
    (r"\b(only|nothing but) (?:\w+ )?json\b", r"\b(explain|introduce|comment on) your\b"),
)
_INJECTED = re.compile(
    r"\b(ignore|disregard|forget)\b.{0,40}\b(instructions?|prompt|rules?|above)\b|\bsystem prompt\b", re.IGNORECASE
)

Level = Literal["error", "warning", "hint"]


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to know about a prompt."""

    check: str
    """A short machine-readable word."""
    level: Level
    message: str


def estimated_tokens(text: str) -> int:
    """About how many tokens a model makes of it."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def orders(text: str) -> list[str]:
    """The sentences that tell the model to do something."""
    return [each for each in sentences(text) if _is_order(words(each))]


def remarks(template: str, rendered: Rendered) -> list[Remark]:
    """What there is to say about it, errors first."""
    found = [
        *_of_filling(rendered),
        *_of_length(rendered.text),
        *_of_wording(rendered.text),
        *_of_values(template, rendered),
    ]
    return sorted(found, key=lambda remark: ("error", "warning", "hint").index(remark.level))


def _is_order(spoken: list[str]) -> bool:
    lead = next(
        (at for at, word in enumerate(spoken) if word not in {"please", "then", "now", "also", "finally"}), None
    )
    return lead is not None and (spoken[lead] in _ORDERS or spoken[lead : lead + 2] in (["do", "not"], ["you", "must"]))


def _of_filling(rendered: Rendered) -> Iterator[Remark]:
    for name in rendered.missing:
        yield Remark("missing_parameter", "error", f"{{{{{name}}}}} has no value in test_parameters")
    for what in rendered.unreadable:
        yield Remark(
            "unreadable_placeholder", "warning", f"{shortened(what, _QUOTE)} is no placeholder: write {{{{name}}}}"
        )
    for name in rendered.unused:
        yield Remark("unused_parameter", "hint", f"The parameter {shortened(name, _QUOTE)} is not used by the template")


def _of_length(text: str) -> Iterator[Remark]:
    tokens = estimated_tokens(text)
    if not text.strip():
        yield Remark("empty", "error", "The prompt is empty")
    elif tokens < 5:
        yield Remark("short", "warning", "The prompt says almost nothing")
    elif tokens > LONG_TOKENS:
        yield Remark("long", "warning", f"About {tokens:,} tokens: some models read no more than {LONG_TOKENS:,}")


def _of_wording(text: str) -> Iterator[Remark]:
    if not text.strip():
        return
    if not orders(text) and "?" not in text:
        yield Remark("no_instruction", "warning", "No sentence says what to do: begin one with a verb, such as “Write”")
    if not _FORM.search(text):
        yield Remark("no_output_form", "hint", "It is not said how long the answer is to be, or in which form")
    if not _ROLE.search(text):
        yield Remark("no_role", "hint", "It is not said as whom the model is to answer")
    for sentence in sentences(text):
        if match := _VAGUE.search(sentence):
            yield Remark("vague", "hint", f"“{match[0]}” can mean anything: “{shortened(sentence, _QUOTE)}”")
    for one, other in _OPPOSED:
        first, second = (re.search(each, text, re.IGNORECASE) for each in (one, other))
        if first and second:
            yield Remark("opposed", "warning", f"“{first[0]}” and “{second[0]}” ask for opposites")


def _of_values(template: str, rendered: Rendered) -> Iterator[Remark]:
    """What came in by a parameter speaks with the same voice as the template."""
    match = _INJECTED.search(rendered.text)
    if match and not _INJECTED.search(template):
        yield Remark(
            "instruction_in_parameter",
            "warning",
            f"A parameter gives the model orders: “{shortened(match[0], _QUOTE)}”. Mark where its value begins and ends",
        )
