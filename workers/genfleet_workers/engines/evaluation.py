"""`evaluate_department`: rates the gathered material of a department, by a model where there is one, else by rules (TS-088).

The result has the same nine fields whatever happens (PI-018): nothing to rate and no answer from the model have results
of their own (TS-096, TS-097), and neither is ever a pass.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from genfleet.contract.departments import Department, department
from genfleet.contract.task_data import EvaluateDepartment
from genfleet.contract.task_types import TASK_TYPES
from genfleet_workers.engines.base import Job, Log, Product, Report
from genfleet_workers.engines.inputs import arguments
from genfleet_workers.engines.model.chat import Message
from genfleet_workers.engines.model.endpoint import Model, NoAnswer
from genfleet_workers.engines.model.structured import ask_for, enclosed
from genfleet_workers.engines.text.digest import digest
from genfleet_workers.engines.text.review import Piece, review
from genfleet_workers.engines.text.verdict import Earlier, verdict
from genfleet_workers.engines.text.words import shortened

NO_MODEL = "none (rule-based)"
"""What `metadata.model` says where no model was asked."""

_SHARE = 0.8
"""Of the soft limit, that waiting for the model may take."""
_SHOWN = 16_000
"""Characters of all pieces that a model is shown, about 4,000 tokens: with its answer, what an evaluation costs (TS-095)."""
_LINE, _LINES = 500, 20


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found, in the words of the result."""

    rating: int
    passed: bool
    summary: str
    issues: list[str]
    suggestions: list[str]
    model: str
    tokens: int
    confidence: float


class EvaluationEngine:
    """Evaluates departments."""

    def __init__(self, model: Model | None, within: timedelta | None = None) -> None:
        limit = TASK_TYPES["evaluate_department"].soft_limit * _SHARE
        self._model, self._within = model, (within or limit).total_seconds()

    def run(self, job: Job, report: Report) -> Product:
        """Read, judge, and put into the documented form."""
        began, data = time.monotonic(), arguments(job, EvaluateDepartment)
        report(0.05, "reading_content")
        judged = self._judged(data, report, job.log)
        report(1.0, "evaluating")
        return Product(
            values={
                "department": data.department_slug,
                "rating": judged.rating,
                "evaluation_result": "pass" if judged.passed else "fail",
                "evaluation_summary": judged.summary,
                "issues": judged.issues,
                "suggestions": judged.suggestions,
                "iteration_count": _iteration(data),
                "processing_time": round(time.monotonic() - began, 3),
            },
            metadata={
                "model": judged.model,
                "tokens_used": judged.tokens,
                "confidence_score": judged.confidence,
            },
        )

    def _judged(self, data: EvaluateDepartment, report: Report, say: Log) -> Judgement:
        pieces = [
            piece
            for each in data.gather_data
            if (piece := Piece(each.content.strip(), each.summary.strip(), each.context.strip())).text
        ]
        judging = department(data.department_slug, data.department_number)
        if not pieces:
            return _nothing_to_rate()
        report(0.2, "evaluating")
        if self._model is None:
            return _by_rules(data, pieces, judging)
        try:
            return self._by_model(self._model, data, pieces, judging)
        except NoAnswer as none:
            say(f"The model did not answer: {none.cause}", "warning")
            return _no_answer(none, self._model.name)

    def _by_model(self, model: Model, data: EvaluateDepartment, pieces: list[Piece], judging: Department) -> Judgement:
        given = ask_for(_Evaluation, model, _question(data, pieces, judging), within=self._within)
        said = given.value
        return Judgement(
            rating=round(said.rating),
            passed=round(said.rating) >= data.threshold,
            summary=shortened(said.evaluation_summary, 2 * _LINE),
            issues=[shortened(each, _LINE) for each in said.issues[:_LINES]],
            suggestions=[shortened(each, _LINE) for each in said.suggestions[:_LINES]],
            model=model.name,
            tokens=given.tokens,
            confidence=round(said.confidence_score, 2),
        )


class _Evaluation(BaseModel):
    """What the model is to answer. Its fields are all required, as strict schemas want them."""

    model_config = ConfigDict(extra="forbid", title="evaluation")

    rating: float = Field(ge=0, le=100)
    evaluation_summary: str = Field(min_length=1)
    issues: list[str]
    suggestions: list[str]
    confidence_score: float = Field(ge=0, le=1)


def _nothing_to_rate() -> Judgement:
    """TS-096. A fail also where the threshold is 0."""
    return Judgement(
        rating=0,
        passed=False,
        summary="Insufficient data provided for evaluation",
        issues=["No gather data provided"],
        suggestions=["Gather content for department"],
        model=NO_MODEL,
        tokens=0,
        confidence=1.0,
    )


def _no_answer(none: NoAnswer, model: str) -> Judgement:
    """TS-097. A fail also where the threshold is 50 or less (PI-018)."""
    return Judgement(
        rating=50,
        passed=False,
        summary=f"Evaluation could not be completed: {none.cause}",
        issues=["AI evaluation service unavailable"],
        suggestions=["Retry evaluation when service is available"],
        model=model,
        tokens=none.tokens,
        confidence=0.0,
    )


def _by_rules(data: EvaluateDepartment, pieces: list[Piece], judging: Department) -> Judgement:
    earlier = [Earlier(each.department, each.rating) for each in data.previous_evaluations]
    judged = verdict(review(pieces, judging), judging, earlier)
    return Judgement(
        rating=judged.rating,
        passed=judged.rating >= data.threshold,
        summary=judged.summary,
        issues=judged.issues,
        suggestions=judged.suggestions,
        model=NO_MODEL,
        tokens=0,
        confidence=judged.confidence,
    )


def _iteration(data: EvaluateDepartment) -> int:
    """Which evaluation of this department it is, as far as the earlier ones were sent along."""
    return 1 + sum(each.department == data.department_slug for each in data.previous_evaluations)


def _question(data: EvaluateDepartment, pieces: list[Piece], judging: Department) -> list[Message]:
    content, rule = enclosed(
        {
            "gather_data": _shown(pieces),
            "previous_evaluations": [
                {"department": each.department[:100], "rating": each.rating, "summary": shortened(each.summary, _LINE)}
                for each in data.previous_evaluations[:_LINES]
            ],
        }
    )
    task = (
        f"You rate how ready the {judging.name} department of a film production is, by the material that was gathered "
        f"for it. Its scope is {', '.join(judging.scope)}. Rate 0 to 100: coverage of the scope, depth and concreteness, "
        "consistency between the pieces. Name each issue and quote what it is about; a suggestion for each. "
        "confidence_score, 0 to 1, is how sure you are. Answer with one JSON object with the fields rating, "
        "evaluation_summary (one or two sentences), issues, suggestions, confidence_score. "
    )
    return [{"role": "system", "content": task + rule}, {"role": "user", "content": content}]


def _shown(pieces: list[Piece]) -> list[Mapping[str, Any]]:
    """The pieces as a model gets them: as many as fit, the long ones as their most telling sentences."""
    share = max(_SHOWN // len(pieces), 400)
    return [
        asdict(
            Piece(digest(each.content, share), shortened(each.summary, share // 4), shortened(each.context, share // 4))
        )
        for each in pieces[: _SHOWN // share]
    ]
