"""What `/openapi.json` says beyond what the routes show: error bodies, the key, and the bodies read by hand."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from genfleet_service.submissions import Submission
from genfleet_service.views import ErrorBody

_ERRORS = {
    400: "The request is not valid; `details` names each field",
    401: "The key is missing or wrong",
    404: "There is no such task, or it has expired",
    413: "The body is too large",
    503: "Redis cannot be reached; try again after `retry_after` seconds",
}

TASK_ID = {"parameters": [{"name": "task_id", "in": "path", "required": True, "schema": {"type": "string"}}]}
SUBMISSION = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Submission"}}},
    }
}


def answers(body: Any, *errors: int) -> dict[int | str, dict[str, Any]]:
    """The documented answers of a route: its body, the errors it names, and those that any route may give."""
    documented: dict[int | str, dict[str, Any]] = {200: {"model": body, "description": "Done"}} if body else {}
    for status in (*errors, 401, 503):
        documented[status] = {"model": ErrorBody, "description": _ERRORS[status]}
    return documented


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document. Made once, and only when somebody asks."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Submission"] = Submission.model_json_schema()
        _leave_out_422(document)
        components["securitySchemes"] = {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
        document["security"] = [{"ApiKey": []}]
        app.openapi_schema = document
    return app.openapi_schema


def _leave_out_422(document: dict[str, Any]) -> None:
    """The framework's answer to wrong parameters, which nobody gets: it is 400 here (TS-146)."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
