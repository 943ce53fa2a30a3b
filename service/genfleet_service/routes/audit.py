"""The audit log, for those who may see what everybody did."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Query, Response
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.store import audit
from genfleet_service import openapi, replies, views
from genfleet_service.context import ServiceDep
from genfleet_service.replies import json_reply

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

_BAD_QUERY = replies.invalid({"limit": "Input should be less than or equal to 1000"}, "Invalid query")


class AuditEntry(TypedDict):
    """A request that changed something, or tried to. `name` and `key_id` say whose key it was, `status` what it was answered."""

    id: str
    at: views.Moment
    action: str
    """The operation id of the route, such as `keys-create`; method and path where it was refused before any."""
    key_id: str | None
    name: str | None
    project: str | None
    target: str | None
    """The task, queue or key that it was about."""
    address: str | None
    status: int


class AuditBody(TypedDict):
    """Entries, the newest first. `next`: ask for those before this one; null: there are no more."""

    entries: list[AuditEntry]
    next: str | None


@router.get("", name="read", responses=openapi.answers(AuditBody, _BAD_QUERY))
async def read(
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many")] = 100,
    before: Annotated[
        str | None, Query(pattern=r"^[1-9]\d{0,14}-\d{1,15}$", description="Only those before the entry with this id")
    ] = None,
) -> Response:
    """Who changed what, the newest first: about the last 10,000 changes, submissions left out. The log has all of them."""
    found = await service.store.run(audit.read(limit, before or ""))
    body: AuditBody = {
        "entries": [
            cast(AuditEntry, {"id": number, "at": views.moment(int(number.partition("-")[0]))} | entry)
            for number, entry in found
        ],
        "next": found[-1][0] if len(found) == limit else None,
    }
    return json_reply(body)
