"""What some of these tests share: an API that calls back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from genfleet.store.client import SyncStore
from tests.support.servers import Redis, Site
from tests.support.waiting import wait_for

CALLS_BACK = {
    "GENFLEET_ALLOW_HTTP_CALLBACKS": "true",
    "GENFLEET_ALLOW_PRIVATE_CALLBACKS": "true",
    "GENFLEET_WEBHOOK_TIMEOUT": "1.5",
    "GENFLEET_WEBHOOK_DELAYS": "[0.1, 0.2, 0.4]",
}
"""An API that delivers to receivers on this machine, and is not patient."""


@dataclass(frozen=True, slots=True)
class Calling:
    """An API that delivers webhooks, and the store behind it."""

    api: httpx.Client
    store: SyncStore
    redis: Redis
    log: Path

    def deliveries(self, task_id: str) -> list[dict[str, Any]]:
        """What the API tells of a task's webhook."""
        found: list[dict[str, Any]] = self.api.get(f"/api/v1/tasks/{task_id}/deliveries").json()["deliveries"]
        return found

    def over(self, task_id: str, within: float = 15.0) -> dict[str, Any]:
        """The delivery of a task's webhook, once it is delivered or given up."""

        def look() -> dict[str, Any] | None:
            return next((found for found in self.deliveries(task_id) if found["status"] != "pending"), None)

        return wait_for(f"the webhook of {task_id} is delivered or given up", look, within=within)


@pytest.fixture(scope="module")
def _calling(_redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calling]:
    site, store = Site(_redis, tmp_path_factory.mktemp("calling")), SyncStore(_redis.url)
    with site.api(**CALLS_BACK) as client:
        yield Calling(client, store, _redis, site.folder / "api.log")
    store.close()


@pytest.fixture
def calling(redis_server: Redis, _calling: Calling) -> Calling:
    """An API that calls back, with an empty Redis behind it."""
    return _calling
