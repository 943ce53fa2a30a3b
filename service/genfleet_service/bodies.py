"""Reads the body of a request: a JSON object that fits a model, or a refusal that names each wrong field and the remedy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from genfleet_service import replies, slips
from genfleet_service.moments import NO_DAY, NO_TIME

Model = TypeVar("Model", bound=BaseModel)

MOST_EXPLAINED = 200
"""Wrong fields that one answer names: a body of some MiB may hold hundreds of thousands."""
_AT_LEAST_ONE = {
    "projects": "Name at least one project, or leave it out for all",
    "scopes": "Name at least one scope, or leave it out for submit and read",
    "tasks": "Give at least one task",
}
_MANY = {"tasks": "tasks in a batch"}
_SUCH_AS = {"task_data": ', such as {"prompt": "a red fox"}', "metadata": ', such as {"user_id": "user123"}'}
_NO_PRIORITY = ("greater_than_equal", "less_than_equal", "int_type")
_LABELS = {"project_id": "Project ID", "callback_url": "Callback URL"}


def json_object(body: bytes) -> dict[str, Any]:
    """What was sent. Raises Refusal if it is no JSON object."""
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise replies.invalid({"body": f"Not valid JSON: {error}"}, "The request body is not valid JSON") from None
    if not isinstance(sent, dict):
        raise replies.invalid({"body": "Must be a JSON object"}, "The request body is not a JSON object")
    return sent


def read(body: bytes, model: type[Model], *, if_none: str = "") -> Model:
    """What was sent, where nothing else has to be checked. Raises Refusal.

    No body is an empty object, unless that would do too much: then `if_none` says what to send.
    """
    if if_none and not body.strip():
        raise replies.invalid({"body": if_none}, "Invalid request")
    try:
        return model.model_validate(json_object(body or b"{}"))
    except ValidationError as error:
        raise replies.invalid(explained(error, known=model.model_fields), "Invalid request") from None


def explained(error: ValidationError, *above: str, known: Collection[str] = ()) -> dict[str, str]:
    """A sentence for each wrong field, by its dotted path (TS-146); of very many, for the first of them.

    `known`: the fields that there are, where no others are allowed.
    """
    faults = error.errors(include_url=False, include_input=False)[:MOST_EXPLAINED]
    return {
        ".".join((*above, *map(str, fault["loc"]))): sentence(fault, known if index < slips.LOOKED_AT else ())
        for index, fault in enumerate(faults)
    }


def sentence(fault: Mapping[str, Any], known: Collection[str] = ()) -> str:
    """What is wrong with a field or parameter, and the remedy. `fault` is pydantic's; `known` as in `explained`."""
    name, kind = str(fault["loc"][-1]) if fault["loc"] else "value", str(fault["type"])
    label = _LABELS.get(name) or name.replace("_", " ").capitalize()
    if kind == "extra_forbidden":
        there = f": use {', '.join(known)}" if known else ""
        return slips.question(name, known, slips.ALIKE_ALONE) or f"{label} is not known here{there}"
    if name == "priority" and kind in _NO_PRIORITY:
        return "Priority must be 1 (high), 2 (normal) or 3 (low)"
    words = _of_size(kind, name, label, fault.get("ctx", {})) or _of_kind(kind, name)
    return words or str(fault["msg"]).removeprefix("Value error, ")


def _of_size(kind: str, name: str, label: str, limits: Mapping[str, Any]) -> str | None:
    match kind:
        case "missing":
            return f"{label} is required"
        case "string_too_short" if limits["min_length"] == 1:
            return f"{label} is required"
        case "string_too_long":
            return f"{label} must have at most {limits['max_length']} characters"
        case "too_short":
            return _AT_LEAST_ONE.get(name)
        case "too_long":
            return f"At most {limits['max_length']} {_MANY.get(name, name)}; these are {limits['actual_length']}"
    return None


def _of_kind(kind: str, name: str) -> str | None:
    match kind.partition("_"):
        case "int", _, "parsing":
            return "Must be a whole number"
        case (("dict" | "model"), _, _):
            return "Must be a JSON object" + _SUCH_AS.get(name, "")
        case "datetime", _, _:
            return NO_TIME
        case "date", _, _:
            return NO_DAY
    return None
