"""Says what is wrong with a document in sentences that help: where, what, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

Path = Sequence[str | int]
"""Where a fault is: keys and list positions from the top of the document."""

PLAIN = {
    "int_type": "should be a whole number",
    "string_type": "should be text (a number in quotes)",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping of fields",
}
"""Pydantic speaks to programmers; these are for people who write YAML."""


def sentences(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line per fault that `model` found, each beginning with the dotted path of the field."""
    return [_sentence(fault, model) for fault in error.errors(include_url=False)]


def _sentence(fault: ErrorDetails, model: type[BaseModel]) -> str:
    where, what = dotted(fault["loc"]), _what(fault, model)
    # A rule over several fields names them itself, by their whole path.
    return what if not where or what.startswith(where) else f"{where}: {what}"


def _what(fault: ErrorDetails, model: type[BaseModel]) -> str:
    match fault["type"]:
        case "extra_forbidden":
            return _unknown_field(str(fault["loc"][-1]), _names(_model_at(model, fault["loc"][:-1])))
        case "missing":
            return "missing; add it." + _meaning(model, fault["loc"])
        case "value_error":
            return str(fault["ctx"]["error"])
        case "string_pattern_mismatch" | "string_too_long":
            return f"{fault['input']!r} does not fit." + _meaning(model, fault["loc"])
        case other:
            return PLAIN.get(other, fault["msg"].removeprefix("Input ")) + _got(fault["input"])


def _got(value: object) -> str:
    """The value that was found, if it is short enough to be recognised."""
    return f", not {value!r}" if len(repr(value)) <= 60 else ""


def _unknown_field(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
    return f"unknown field; {remedy}"


def _meaning(model: type[BaseModel], loc: Path) -> str:
    """What the field is for, in the words of its description."""
    owner = _model_at(model, loc[:-1])
    field = _field(owner, loc[-1]) if owner else None
    return f" {field.description}" if field and field.description else ""


def dotted(loc: Path) -> str:
    """The path as people write it, e.g. `spec.pools[0].gpus`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).removeprefix(".")


def _model_at(model: type[BaseModel], loc: Path) -> type[BaseModel] | None:
    """The model of the part of the document that `loc` leads to. None inside free maps."""
    here: type[BaseModel] | None = model
    for step in loc:
        if isinstance(step, str) and here:
            field = _field(here, step)
            here = _model_in(field.annotation) if field else None
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field of this type holds, also one of many, also perhaps."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _field(model: type[BaseModel], alias: str | int) -> FieldInfo | None:
    return next((field for field in _fields(model) if field.alias == alias), None)


def _names(model: type[BaseModel] | None) -> list[str]:
    return [field.alias for field in _fields(model) if field.alias] if model else []


def _fields(model: type[BaseModel]) -> Iterable[FieldInfo]:
    return model.model_fields.values()
