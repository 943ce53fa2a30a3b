"""`automated_gather_creation`: gathers texts and documents, and organises them into what departments are rated by.

Each entry of `departments` in the result is the `task_data` of an `evaluate_department` task. What cannot be read is left
out and named in `warnings`; nothing has to be sent at all (PI-023, TS-086).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from genfleet.contract.departments import BY_SLUG, DEPARTMENTS, Department
from genfleet.contract.task_data import AutomatedGatherCreation, GatherSource
from genfleet.contract.task_types import TASK_TYPES
from genfleet_workers.engines.base import Job, Product, Report
from genfleet_workers.engines.inputs import arguments
from genfleet_workers.engines.model.chat import Message
from genfleet_workers.engines.model.endpoint import Model, NoAnswer
from genfleet_workers.engines.model.structured import ask_for, enclosed
from genfleet_workers.engines.sources import Sources, shown
from genfleet_workers.engines.text.digest import summary
from genfleet_workers.engines.text.pieces import Piece, assigned, without_repeats
from genfleet_workers.engines.text.reading import Gathered, gathered
from genfleet_workers.engines.text.words import shortened

NO_MODEL = "none (extractive)"
"""What `metadata.model` says where no model wrote a summary."""
_SHARE = 0.4
"""Of the soft limit, that summaries by the model may take."""
_BATCH = 10
"""Pieces that are summarised in one question."""
_SUMMARY = 400


@dataclass(frozen=True, slots=True)
class Item:
    """A piece, whose it is, and what stands for it."""

    piece: Piece
    score: float
    context: str
    summary: str


class GatheringEngine:
    """Gathers content for departments."""

    def __init__(self, sources: Sources, model: Model | None, within: timedelta | None = None) -> None:
        limit = TASK_TYPES["automated_gather_creation"].soft_limit * _SHARE
        self._sources, self._model = sources, model
        self._within = (within or limit).total_seconds()

    def run(self, job: Job, report: Report) -> Product:
        """Read, split, drop repeats, assign, summarise."""
        data = arguments(job, AutomatedGatherCreation)
        found = gathered(data.sources, self._sources, lambda done, step: report(0.5 * done, step))
        report(0.55, "removing_repetition")
        pieces, repeated = without_repeats(found.pieces)
        report(0.65, "assigning_departments")
        by_slug, strays = _organised(data, pieces)
        kept = {slug: _best(items, data.max_items) for slug, items in by_slug.items()}
        report(0.7, "summarising")
        model, tokens = self._summarise(kept, found.warnings, report)
        statistics = _statistics(found, repeated, by_slug, kept, strays)
        if statistics["left_out"]:
            found.warnings.append(f"max_items: {statistics['left_out']} pieces that said less were left out")
        job.log(f"{statistics['items']} items for {len(kept)} departments, of {found.read} sources")
        report(1.0, "summarising")
        return Product(
            values={
                "departments": [_department(BY_SLUG[slug], items) for slug, items in kept.items()],
                "unassigned": [_item(each) for each in strays[: data.max_items]],
                "statistics": statistics,
            },
            metadata={
                "model": model,
                "tokens_used": tokens,
                **({"warnings": found.warnings} if found.warnings else {}),
            },
        )

    def _summarise(self, kept: dict[str, list[Item]], warnings: list[str], report: Report) -> tuple[str, int]:
        """Let the model write the summaries as far as it answers: who wrote them, and the tokens that it took."""
        if self._model is None:
            return NO_MODEL, 0
        end, wrote, tokens = time.monotonic() + self._within, NO_MODEL, 0
        batches = list(_batches(kept))
        for number, (slug, start) in enumerate(batches):
            batch = kept[slug][start : start + _BATCH]
            question = _question(batch, BY_SLUG[slug])
            try:
                given = ask_for(_Summaries, self._model, question, within=max(end - time.monotonic(), 0))
            except NoAnswer as none:
                tokens += none.tokens
                warnings.append(f"Summaries are extracts from {BY_SLUG[slug].name} on: {none.cause}")
                break
            wrote, tokens = self._model.name, tokens + given.tokens
            kept[slug][start : start + _BATCH] = _summarised(batch, given.value)
            report(0.7 + 0.3 * (number + 1) / len(batches), "summarising")
        return wrote, tokens


class _Summaries(BaseModel):
    """What the model is to answer."""

    model_config = ConfigDict(extra="forbid", title="summaries")

    summaries: list[str]


def _organised(data: AutomatedGatherCreation, pieces: Sequence[Piece]) -> tuple[dict[str, list[Item]], list[Item]]:
    """The items of each department that was asked for, in the order of their numbers, and those of nobody."""
    asked = [each for each in DEPARTMENTS if not data.departments or each.slug in data.departments]
    by_slug: dict[str, list[Item]] = defaultdict(list)
    strays = list[Item]()
    for piece in pieces:
        source = data.sources[piece.source]
        whose, score = _owner(piece, source, asked)
        extract = summary(piece.text, data.summary_sentences, _SUMMARY)
        item = Item(piece, score, _context(piece, source, data.context), extract)
        (by_slug[whose.slug] if whose else strays).append(item)
    return {each.slug: by_slug[each.slug] for each in asked if by_slug[each.slug] or data.departments}, strays


def _owner(piece: Piece, source: GatherSource, asked: Sequence[Department]) -> tuple[Department | None, float]:
    if source.department:
        named = BY_SLUG[source.department]
        return (named if named in asked else None), float(len(piece.text))
    return assigned(piece, source.title, asked) or (None, 0.0)


def _best(items: list[Item], most: int) -> list[Item]:
    """Those that say the most about their department, in the order in which they were found."""
    chosen = sorted(range(len(items)), key=lambda at: (-items[at].score, at))[:most]
    return [items[at] for at in sorted(chosen)]


def _context(piece: Piece, source: GatherSource, production: str) -> str:
    """Where a piece is from, for who reads it alone."""
    name = source.title or (shown(source.url) if source.url else "")
    return " · ".join(filter(None, (production.strip(), name, piece.heading)))


def _statistics(
    found: Gathered,
    repeated: int,
    by_slug: Mapping[str, list[Item]],
    kept: Mapping[str, list[Item]],
    strays: list[Item],
) -> dict[str, int]:
    items = sum(map(len, kept.values()))
    return {
        "sources_read": found.read,
        "characters": found.characters,
        "pieces": len(found.pieces),
        "repeated_pieces": repeated,
        "items": items,
        "left_out": sum(map(len, by_slug.values())) - items,
        "unassigned": len(strays),
    }


def _department(department: Department, items: Sequence[Item]) -> dict[str, Any]:
    """A `task_data` of `evaluate_department`."""
    return {
        "department_slug": department.slug,
        "department_number": department.number,
        "gather_data": [_item(each) for each in items],
    }


def _item(item: Item) -> dict[str, str]:
    return {"content": item.piece.text, "summary": item.summary, "context": item.context}


def _batches(kept: dict[str, list[Item]]) -> Iterator[tuple[str, int]]:
    for slug, items in kept.items():
        for start in range(0, len(items), _BATCH):
            yield slug, start


def _question(batch: Sequence[Item], department: Department) -> list[Message]:
    content, rule = enclosed([each.piece.text for each in batch])
    task = (
        f"Summarise each text for the {department.name} department of a film production, in one or two sentences that "
        "keep names and numbers and add nothing. Answer with one JSON object with the field summaries: a list of "
        f"{len(batch)} texts, in the order of what you were given. "
    )
    return [{"role": "system", "content": task + rule}, {"role": "user", "content": content}]


def _summarised(batch: Sequence[Item], given: _Summaries) -> list[Item]:
    """The items with the model's summaries; where one is missing, the extract stays."""
    if len(given.summaries) != len(batch):
        return list(batch)
    return [
        Item(each.piece, each.score, each.context, shortened(said, _SUMMARY) or each.summary)
        for each, said in zip(batch, given.summaries, strict=True)
    ]
