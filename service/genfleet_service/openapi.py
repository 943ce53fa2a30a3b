"""What `/openapi.json` says beyond what the routes show: errors, examples, the key, and the bodies read by hand.

The document is kept in `docs/openapi.json`; the types of both clients are made from it (`make generate`).
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from genfleet.contract.limits import Left
from genfleet_service import admission, replies
from genfleet_service.examples import EXAMPLES
from genfleet_service.settings import ServiceSettings
from genfleet_service.submissions import Submission
from genfleet_service.views import ErrorBody

_USUAL_SETTINGS = ServiceSettings.model_construct()
USUAL = _USUAL_SETTINGS.limits()
"""The limits of examples: those that hold where nobody set others."""
_ERRORS: dict[int, tuple[str, replies.Refusal]] = {
    400: (
        "The request is not valid; `details` names each field",
        replies.invalid({"priority": "Priority must be 1 (high), 2 (normal) or 3 (low)"}),
    ),
    401: ("The key is missing or wrong", replies.unauthorized()),
    403: (
        "The key is good, but lacks the scope or the project",
        replies.forbidden("This API key lacks the scope 'submit'"),
    ),
    404: ("There is no such task, or it has expired", replies.no_such_task("abc123-def456-ghi789")),
    409: ("Somebody else changed it at the same time", replies.changed_meanwhile()),
    413: ("The body is too large", replies.too_large(_USUAL_SETTINGS.body_limit)),
    422: ("The Idempotency-Key came before, with another request", replies.reused_key()),
    429: (
        "A limit is reached; try again after `retry_after` seconds",
        replies.rate_limited(
            "This API key may submit 100 tasks a minute: try again in 1 s",
            1,
            {"Retry-After": "1", **admission.submission_headers(USUAL, Left(0, 600, 12))},
        ),
    ),
    503: ("Redis cannot be reached, or a queue is full; try again after `retry_after` seconds", replies.unavailable()),
}
"""What an error means, and one as it goes out."""

TASK_ID_WORDS = "Id of the task, as its submission was answered"
TASK_ID = {
    "parameters": [
        {
            "name": "task_id",
            "in": "path",
            "required": True,
            "description": TASK_ID_WORDS,
            "schema": {"type": "string"},
        }
    ]
}
ONCE = {
    "parameters": [
        {
            "name": admission.IDEMPOTENCY_KEY,
            "in": "header",
            "description": "A name for this request, such as a UUID. The same request under the same name makes no second "
            "task for 24 hours: it is answered as the first one was, with `Idempotent-Replayed: true`",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
    ]
}
WAIT: dict[str, Any] = {
    "parameters": [
        {
            "name": "Prefer",
            "in": "header",
            "description": "`wait=N`: the answer comes when the task has ended, and has the fields of its status, or after N "
            "seconds as without it. The service grants up to 60 (GENFLEET_LONGEST_WAIT_SECONDS); `Preference-Applied` says "
            "how many. Anything else is passed over (RFC 7240)",
            "schema": {"type": "string"},
            "example": "wait=30",
        }
    ]
}
SUBMISSION = {
    "parameters": [*ONCE["parameters"], *WAIT["parameters"]],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Submission"},
                "example": EXAMPLES["Submission"],
            }
        },
    },
}


def takes(model: type[BaseModel], *, required: bool = True, submissions: str = "") -> dict[str, Any]:
    """For a route that reads its body by hand: what it may hold. `submissions`: the field that is a list of these."""
    schema = model.model_json_schema()
    if submissions:
        schema["properties"][submissions]["items"] = {"$ref": "#/components/schemas/Submission"}
    return {
        "requestBody": {
            "required": required,
            "content": {"application/json": {"schema": schema, "example": EXAMPLES[model.__name__]}},
        }
    }


STREAM = """retry: 2000

id: 4
event: progress
data: {"task_id":"abc123-def456-ghi789","at":"2025-01-15T10:30:21.408Z","progress":0.4,"current_step":"rendering_video"}

"""
"""How a stream of events begins, as it goes over the wire."""
OPEN: dict[str, Any] = {"security": []}
"""For a route that takes no key."""
KEY_IF_ANY: dict[str, Any] = {"security": [{}, {"ApiKey": []}]}
"""For a route that needs no key, and refuses a wrong one."""


def answer(body: Any) -> dict[int | str, dict[str, Any]]:
    """The answer of a route that always answers."""
    return {200: {"model": body, "description": "Done"}}


def waited_for(documented: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The same answers, of a route that `Prefer: wait` may hold back."""
    words = "How long the service was ready to wait; absent where it did not"
    header = {"description": words, "schema": {"type": "string"}, "example": "wait=30"}
    return {**documented, 200: {**documented[200], "headers": {"Preference-Applied": header}}}


def answers(body: Any, *errors: int | replies.Refusal) -> dict[int | str, dict[str, Any]]:
    """The documented answers of a route: its body, the errors it names, and those that any route may give.

    An error is its status, or one of them as it goes out, where the usual one is not what this route says.
    """
    documented = answer(body)
    for error in (*errors, 401, 403, 503):
        status = error if isinstance(error, int) else error.status
        words, usual = _ERRORS[status]
        documented.setdefault(status, _error(words, usual if isinstance(error, int) else error))
    return documented


def event_stream(body: Any, *errors: int | replies.Refusal) -> dict[int | str, dict[str, Any]]:
    """The documented answers of a route that streams events, or gives those so far as JSON."""
    documented = answers(body, *errors, 404, 429)
    documented[200]["content"] = {"text/event-stream": {"schema": {"type": "string"}, "example": STREAM}}
    return documented | {204: {"description": "The task has ended, and its last event was had before"}}


def _error(words: str, example: replies.Refusal) -> dict[str, Any]:
    documented = {
        "model": ErrorBody,
        "description": words,
        "content": {"application/json": {"example": example.body}},
    }
    if example.headers:
        documented["headers"] = {
            name: {"schema": {"type": "string"}, "example": value} for name, value in example.headers.items()
        }
    return documented


def operation_id(route: APIRoute) -> str:
    """`tasks-submit`: the subject and the function. Clients name their functions after it, so it does not change."""
    return f"{route.tags[0]}-{route.name}"


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document. Made once, and only when somebody asks."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            servers=[{"url": "/", "description": "Where this document came from"}],
        )
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Submission"] = Submission.model_json_schema()
        components["securitySchemes"] = {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
        document["security"] = [{"ApiKey": []}]
        _leave_out_422(document)
        _speak_to_users(document)
        _show_examples(document)
        _link_tasks(document)
        app.openapi_schema = document
    return app.openapi_schema


def _leave_out_422(document: dict[str, Any]) -> None:
    """The framework's answer to wrong parameters, which nobody gets: it is 400 here (TS-146)."""
    for operation in _operations(document):
        if operation["responses"].get("422", {}).get("description") == "Validation Error":
            del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


_ROWS = re.compile(r" ?\((?:[A-Z]{2}-\d{3}(?:, | to )?)+\)")
"""Rows of the requirements, as our docstrings name them. They say nothing to those who call the API."""


def _speak_to_users(document: dict[str, Any]) -> None:
    for said in (*_operations(document), *document["components"]["schemas"].values()):
        if "description" in said:
            said["description"] = _ROWS.sub("", said["description"])


def _show_examples(document: dict[str, Any]) -> None:
    """Beside each body its example, by the name of its schema."""
    for operation in _operations(document):
        for response in operation["responses"].values():
            content = response.get("content", {}).get("application/json", {})
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if name in EXAMPLES:
                content.setdefault("example", EXAMPLES[name])


_IDS = {"tasks-submit": "/task_id", "tasks-retry": "/new_task_id", "projects-list_tasks": "/tasks/0/task_id"}
"""Where answers hold the id of a task."""


def _link_tasks(document: dict[str, Any]) -> None:
    """From each answer with the id of a task to each operation on a task: what may be called next, and with what."""
    by_id = {operation["operationId"]: operation for operation in _operations(document)}
    on_tasks = [
        name
        for name, operation in by_id.items()
        if any(parameter["name"] == "task_id" for parameter in operation.get("parameters", ()))
    ]
    for source, pointer in _IDS.items():
        by_id[source]["responses"]["200"]["links"] = {
            target: {"operationId": target, "parameters": {"task_id": f"$response.body#{pointer}"}}
            for target in on_tasks
        }


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]
