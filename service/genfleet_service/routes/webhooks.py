"""Webhooks for those who receive them: what was delivered, sending it again, and what it is signed with (2.15)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from genfleet.contract.limits import Refused
from genfleet.store import outbox
from genfleet.store.outbox import DeliveryState, Secrets
from genfleet_service import admission, bodies, openapi, replies, views
from genfleet_service.audit import about
from genfleet_service.context import CallerDep, ServiceDep
from genfleet_service.lookup import find
from genfleet_service.replies import json_reply
from genfleet_service.routes.projects import Limit, Page
from genfleet_service.routes.tasks import TaskId
from genfleet_service.webhooks import signature
from genfleet_service.webhooks import views as shown
from genfleet_service.webhooks.attempt import SUCCESS

router = APIRouter(prefix="/api/v1", tags=["webhooks"])


def _no_webhook() -> replies.Refusal:
    return replies.not_allowed_now("This task has no webhook: it has no callback_url, was cancelled or has not ended")


_BAD_QUERY = replies.invalid({"status": "Input should be 'pending', 'delivered' or 'failed'"}, "Invalid query")

GRACE = timedelta(days=1)
"""How long the secret before signs as well, unless it is said otherwise."""


class SecretRotation(BaseModel):
    """How a secret is changed; there may be no body."""

    model_config = ConfigDict(strict=True, extra="forbid")

    grace_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = round(GRACE.total_seconds())
    """How long the present secret goes on signing beside the new one. 0: it is known to others, and ends at once."""


@router.get("/webhooks", responses=openapi.answers(shown.WebhookRules))
async def rules(service: ServiceDep) -> Response:
    """How webhooks are delivered, and the addresses that they come from."""
    settings = service.settings
    body: shown.WebhookRules = {
        "addresses": list(settings.webhook_addresses),
        "attempts": 1 + len(settings.webhook_delays),
        "retry_delays_seconds": list(settings.webhook_delays),
        "timeout_seconds": settings.webhook_timeout,
        "success_codes": sorted(SUCCESS),
    }
    return json_reply(body)


@router.get("/webhooks/deliveries", responses=openapi.answers(shown.Deliveries, _BAD_QUERY))
async def deliveries(
    service: ServiceDep,
    caller: CallerDep,
    status: Annotated[DeliveryState | None, Query(description="Only deliveries in this state")] = None,
    project_id: Annotated[str | None, Query(min_length=1, description="Only those of this project's tasks")] = None,
    page: Page = 1,
    limit: Limit = 20,
) -> Response:
    """The webhooks of all tasks, those that ended last first, each with its last attempt.

    A key for some projects has to say which one.
    """
    admission.check_project(caller, project_id)
    found = await service.store.run(outbox.deliveries(status, project_id, (page - 1) * limit, limit))
    body: shown.Deliveries = {
        "deliveries": [shown.delivery(each) for each in found.deliveries],
        "pagination": views.pagination(page, limit, found.total),
    }
    return json_reply(body)


@router.get("/tasks/{task_id}/deliveries", responses=openapi.answers(shown.TaskDeliveries, 404))
async def deliveries_of_task(task_id: TaskId, service: ServiceDep, caller: CallerDep) -> Response:
    """The webhook of a task, with every attempt. None before the task has ended, nor if nobody asked to be told."""
    await find(service, caller, task_id)
    found = await service.store.run(outbox.read(task_id))
    body: shown.TaskDeliveries = {"task_id": task_id, "deliveries": [shown.delivery(found)] if found else []}
    return json_reply(body)


@router.post(
    "/tasks/{task_id}/deliveries/resend", responses=openapi.answers(shown.DeliveryBody, _no_webhook(), 404, 429)
)
async def resend(task_id: TaskId, request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Send a webhook again, with the same body and `webhook-id`, in up to as many attempts as at first.

    It counts as a submission.
    """
    about(request, project=(await find(service, caller, task_id)).project)
    answer = await service.store.run(outbox.resend(task_id, caller.key_id, caller.limits.submissions))
    if isinstance(answer, Refused):
        raise admission.rate_refusal(answer, caller.limits)
    found = await service.store.run(outbox.read(task_id))
    if found is None:
        raise _no_webhook()
    return json_reply(shown.delivery(found))


@router.get("/webhooks/secret", responses=openapi.answers(shown.SecretBody))
async def secret(service: ServiceDep, caller: CallerDep) -> Response:
    """What the webhooks of this API key's tasks are signed with. Made when it is first needed."""
    return _secret(*await service.store.run(outbox.secrets(caller.key_id, signature.new_secret())))


@router.post(
    "/webhooks/secret/rotate",
    responses=openapi.answers(shown.SecretBody, 400),
    openapi_extra=openapi.takes(SecretRotation, required=False),
)
async def rotate(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Sign with a new secret from now on, and for a while with the present one as well."""
    grace = timedelta(seconds=bodies.read(await request.body(), SecretRotation).grace_seconds)
    return _secret(*await service.store.run(outbox.rotate(caller.key_id, signature.new_secret(), grace)))


def _secret(now_ms: int, found: Secrets) -> Response:
    previous = len(found.signing(now_ms)) > 1
    body: shown.SecretBody = {
        "secret": found.current,
        "created_at": views.timestamp(found.created_ms),
        "previous_valid_until": views.timestamp(found.previous_until_ms) if previous else None,
    }
    return json_reply(body, headers={"Cache-Control": "no-store"})
