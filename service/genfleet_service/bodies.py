"""Reads the body of a request: a JSON object that fits a model, or a refusal that names each wrong field and the remedy."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from genfleet_service import replies

Model = TypeVar("Model", bound=BaseModel)

MOST_EXPLAINED = 200
"""Wrong fields that one answer names: a body of some MiB may hold hundreds of thousands."""
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
        raise replies.invalid(explained(error), "Invalid request") from None


def explained(error: ValidationError, *above: str) -> dict[str, str]:
    """A sentence for each wrong field, by its dotted path (TS-146); of very many, for the first of them."""
    faults = error.errors(include_url=False, include_input=False)[:MOST_EXPLAINED]
    return {".".join((*above, *map(str, fault["loc"]))): _sentence(fault) for fault in faults}


def _sentence(fault: ErrorDetails) -> str:
    name = str(fault["loc"][-1]) if fault["loc"] else "value"
    label = _LABELS.get(name) or name.replace("_", " ").capitalize()
    limits = fault.get("ctx", {})
    match fault["type"]:
        case "missing":
            return f"{label} is required"
        case "string_too_short" if limits["min_length"] == 1:
            return f"{label} is required"
        case "string_too_long":
            return f"{label} must have at most {limits['max_length']} characters"
        case "greater_than_equal" | "less_than_equal" if name == "priority":
            return "Priority must be 1 (high), 2 (normal) or 3 (low)"
        case "extra_forbidden":
            return f"{label} is not known here"
        case _:
            return fault["msg"].removeprefix("Value error, ")
