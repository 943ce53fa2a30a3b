"""Every route of the API as a request that can be made: read from the routes themselves, so that a new one is in each test."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.routing import APIRoute

from genfleet_service.access import changes, is_protected
from genfleet_service.app import ROUTERS
from genfleet_service.openapi import operation_id
from tests.service.acts import submission

BODIES: Mapping[str, Any] = {
    "tasks-submit": submission(project_id="{project}"),
    "tasks-submit_batch": {"tasks": [submission(project_id="{project}")]},
    "projects-cancel_tasks": {},
    "projects-retry_tasks": {},
    "quarantine-retry": {"project_id": "{project}"},
    "dead_letters-resend_all": {},
    "dead_letters-remove_all": {},
    "keys-create": {"name": "somebody"},
}
"""Those of routes that need one."""


@dataclass(frozen=True, slots=True)
class Way:
    """One route with one method."""

    action: str
    method: str
    path: str
    """With its parameters in braces."""

    @property
    def is_change(self) -> bool:
        """Whether it changes something."""
        return changes(self.method)

    def request(
        self, *, task: str = "none", project: str = "none", key: str = "none", queue: str = "default"
    ) -> dict[str, Any]:
        """The arguments of `httpx.Client.request`."""
        values = {"task_id": task, "project_id": project, "key_id": key, "queue": queue, "letter_id": "1"}
        path = re.sub(r"{(\w+)(?::\w+)?}", lambda found: values[found[1]], self.path)
        body = BODIES.get(self.action)
        return {
            "method": self.method,
            "url": path,
            "json": _filled(body, project) if body is not None else None,
        }


def ways() -> Iterator[Way]:
    """Every route under a key."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and is_protected(route.path):
                for method in sorted(route.methods or ()):
                    yield Way(operation_id(route), method, route.path)


def _filled(body: Any, project: str) -> Any:
    match body:
        case dict():
            return {name: _filled(value, project) for name, value in body.items()}
        case list():
            return [_filled(value, project) for value in body]
        case "{project}":
            return project
        case _:
            return body


WAYS = tuple(ways())
