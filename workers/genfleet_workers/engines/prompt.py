"""`test_prompt`: fills a prompt template, looks it over, and asks a model where there is one (TS-085, PI-020).

A person waits, so there is no more to it than one question.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from genfleet.contract.task_data import TestPrompt
from genfleet.contract.task_types import TASK_TYPES
from genfleet_workers.engines.base import Job, Product, Report
from genfleet_workers.engines.inputs import arguments
from genfleet_workers.engines.model.endpoint import Model, NoAnswer
from genfleet_workers.engines.text.prompt_checks import estimated_tokens, orders, remarks
from genfleet_workers.engines.text.template import render
from genfleet_workers.engines.text.words import shortened, words

NO_MODEL = "none (checks only)"
"""What `metadata.model` says where no model was asked."""

_SHARE = 0.8
"""Of the soft limit, that waiting for the model may take."""
_REMARKS, _ORDERS, _LINE = 40, 20, 200


class PromptEngine:
    """Tests prompts."""

    def __init__(self, model: Model | None, within: timedelta | None = None) -> None:
        limit = TASK_TYPES["test_prompt"].soft_limit * _SHARE
        self._model, self._within = model, (within or limit).total_seconds()

    def run(self, job: Job, report: Report) -> Product:
        """Fill, check, and ask. Raises a TaskError when there is a model and it does not answer."""
        began, data = time.monotonic(), arguments(job, TestPrompt)
        rendered = render(data.prompt_template, data.test_parameters)
        noted = remarks(data.prompt_template, rendered)
        whole = not any(remark.level == "error" for remark in noted)
        output, metadata = self._answer(rendered.text, report) if whole else (None, _not_asked("the prompt has errors"))
        report(1.0, "testing_prompt")
        return Product(
            values={
                "prompt_id": data.prompt_id,
                "agent_type": data.agent_type,
                "test_result_id": data.test_result_id,
                "rendered_prompt": rendered.text,
                "output": output,
                "missing_parameters": list(rendered.missing),
                "unused_parameters": [shortened(name, _LINE) for name in rendered.unused],
                "checks": [asdict(remark) for remark in noted[:_REMARKS]],
                "instructions": [shortened(each, _LINE) for each in orders(rendered.text)[:_ORDERS]],
                "length": {
                    "characters": len(rendered.text),
                    "words": len(words(rendered.text)),
                    "estimated_tokens": estimated_tokens(rendered.text),
                },
                "processing_time": round(time.monotonic() - began, 3),
            },
            metadata=metadata,
        )

    def _answer(self, prompt: str, report: Report) -> tuple[str | None, dict[str, Any]]:
        if self._model is None:
            return None, _not_asked("no model is configured")
        report(0.1, "testing_prompt")
        try:
            answer = self._model.ask([{"role": "user", "content": prompt}], within=self._within)
        except NoAnswer as none:
            raise none.as_task_error() from none
        return answer.text, {"model": self._model.name, "tokens_used": answer.tokens, "truncated": answer.cut}


def _not_asked(why: str) -> dict[str, Any]:
    return {"model": NO_MODEL, "tokens_used": 0, "not_asked_because": why}
