"""What schemathesis is told of our API beside its document (`tests/service/test_fuzz.py`)."""

from __future__ import annotations

from typing import Any

import schemathesis
from pydantic import ValidationError

from genfleet_service.submissions import Submission

QUICK = {"task_type": "generate_image", "task_data": {"seconds": 0}}
"""What the worker of the test does at once."""


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], **_more: Any) -> None:
    """A log that is followed goes on until the task ends, and most tasks here have no worker."""
    if case.operation.path.endswith("/logs") and isinstance(case.query, dict):
        case.query.pop("follow", None)


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """What the document allows in a submission is made one that can run: what `task_data` may hold depends on the type.

    Otherwise almost every submission would be refused, and what comes after one never be reached.
    """
    if context.operation is None or context.operation.path != "/api/v1/tasks/submit":
        return body
    try:
        Submission.model_validate(body)
    except ValidationError:
        return body
    kept = ("project_id", "priority", "metadata")
    return {name: body[name] for name in kept if name in body} | QUICK
