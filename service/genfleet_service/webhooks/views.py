"""How webhooks look from outside: the bodies of `genfleet_service.routes.webhooks`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.store.outbox import Delivery
from genfleet_service.views import Pagination, maybe_timestamp, timestamp
from genfleet_service.webhooks.signature import message_id


class AttemptBody(TypedDict):
    """One attempt. `status_code` and `response`, its start, only where there was an answer."""

    at: str
    status_code: int | None
    error: str | None
    duration_ms: int | None
    response: str | None


class DeliveryBody(TypedDict):
    """The webhook of one task."""

    webhook_id: str
    task_id: str
    project_id: str
    task_type: str
    task_status: str
    callback_url: str
    status: str
    created_at: str
    next_attempt_at: str | None
    attempts: list[AttemptBody]


class TaskDeliveries(TypedDict):
    """Those of one task: none, or one."""

    task_id: str
    deliveries: list[DeliveryBody]


class Deliveries(TypedDict):
    """One page of them."""

    deliveries: list[DeliveryBody]
    pagination: Pagination


class SecretBody(TypedDict):
    """What the webhooks of a key are signed with."""

    secret: str
    created_at: str
    previous_valid_until: str | None


class WebhookRules(TypedDict):
    """How webhooks are delivered."""

    addresses: list[str]
    attempts: int
    retry_delays_seconds: list[float]
    timeout_seconds: float
    success_codes: list[int]


def delivery(found: Delivery) -> DeliveryBody:
    """One delivery, with the attempts that were read with it."""
    return {
        "webhook_id": message_id(found.task_id),
        "task_id": found.task_id,
        "project_id": found.project,
        "task_type": found.task_type,
        "task_status": found.task_state,
        "callback_url": found.url,
        "status": found.state.value,
        "created_at": timestamp(found.ended_ms),
        "next_attempt_at": maybe_timestamp(found.due_ms),
        "attempts": [_attempt(made) for made in found.attempts],
    }


def _attempt(made: Mapping[str, Any]) -> AttemptBody:
    return {
        "at": timestamp(made["at_ms"]),
        "status_code": made.get("status_code"),
        "error": made.get("error"),
        "duration_ms": made.get("duration_ms"),
        "response": made.get("response"),
    }
