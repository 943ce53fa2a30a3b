"""Chat completions on the wire: how a question is put, and what an answer looks like. Pure.

Many servers speak OpenAI's form, each a little differently: `Dialect` is what one of them takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from pydantic import BaseModel, Field

Message = dict[str, str]
"""`role` and `content`."""

FORMS = ("json_schema", "json_object", "free")
"""How structured answers are asked for, the strictest first: servers differ in what they take."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked."""

    model: str
    messages: Sequence[Message]
    max_tokens: int
    temperature: float
    schema: Schema | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said."""

    text: str
    tokens: int
    """Of question and answer, as the endpoint counted them."""
    cut: bool
    """Whether the answer ends where the allowed length does."""
    declined: bool
    """Whether the model, or a filter before it, would not answer."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The form of a structured answer."""

    name: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which of the forms that are in use a server takes."""

    form: int = 0
    tokens_field: str = "max_tokens"
    temperature: bool = True

    def body(self, question: Question) -> bytes:
        """The request."""
        request: dict[str, Any] = {
            "model": question.model,
            "messages": question.messages,
            self.tokens_field: question.max_tokens,
        }
        if self.temperature:
            request["temperature"] = question.temperature
        form = FORMS[self.form]
        if question.schema and form == "json_schema":
            described = {"name": question.schema.name, "schema": question.schema.document, "strict": True}
            request["response_format"] = {"type": form, form: described}
        elif question.schema and form == "json_object":
            request["response_format"] = {"type": form}
        return orjson.dumps(request)

    def after(self, said: str, *, structured: bool) -> Dialect | None:
        """What to try next with a server that rejected this. None: there is nothing left."""
        if "max_completion_tokens" in said and self.tokens_field == "max_tokens":
            return replace(self, tokens_field="max_completion_tokens")
        if "temperature" in said and self.temperature:
            return replace(self, temperature=False)
        if structured and self.form + 1 < len(FORMS):
            return replace(self, form=self.form + 1)
        return None


class _Said(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Said
    finish_reason: str | None = None


class _Usage(BaseModel):
    total_tokens: int | None = Field(default=None, ge=0)
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class Reply(BaseModel):
    """A chat completion, as far as it is used here."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None

    def answer(self) -> Answer:
        """What matters of it."""
        usage, choice = self.usage or _Usage(), self.choices[0]
        counted = usage.prompt_tokens + usage.completion_tokens if usage.total_tokens is None else usage.total_tokens
        return Answer(
            text=choice.message.content or "",
            tokens=counted,
            cut=choice.finish_reason == "length",
            declined=bool(choice.message.refusal) or choice.finish_reason == "content_filter",
        )
