"""API keys, for those who may give them out (NS-012)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from genfleet.store import api_keys
from genfleet_service import bodies, key_views, openapi, replies
from genfleet_service.audit import about
from genfleet_service.context import Service, ServiceDep
from genfleet_service.keys import GRACE, LONGEST_GRACE, ApiKey, KeyTerms, make, rotate
from genfleet_service.replies import json_reply

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])

KeyId = Annotated[str, Path(description="Id of the key, as it was made or listed")]

_BAD_TERMS = replies.invalid({"name": "Name is required"}, "Invalid request")
_OF_SETTINGS = replies.not_allowed_now("This key is in the settings of the API (API_KEY): change it there")
_UNKNOWN = replies.no_such_key("4f1c2a9d0b7e")


class KeyRotation(BaseModel):
    """How to give a key another secret; there may be no body."""

    model_config = ConfigDict(strict=True, extra="forbid")

    grace_seconds: Annotated[
        int, Field(ge=0, le=round(LONGEST_GRACE.total_seconds()), description="How long the old secret stays good")
    ] = round(GRACE.total_seconds())


@router.post("", responses=openapi.answers(key_views.MadeKey, _BAD_TERMS), openapi_extra=openapi.takes(KeyTerms))
async def create(request: Request, service: ServiceDep) -> Response:
    """Make a key. Its secret, `api_key`, is shown this once."""
    terms = bodies.read(await request.body(), KeyTerms)
    now_ms = (await service.store.run(api_keys.read())).now_ms
    made = make(terms, now_ms)
    about(request, target=made.id)
    await service.store.run(api_keys.save(made.id, made.key.entry()))
    await service.keys.refresh(service.store)
    return _secret(key_views.made_key(made, now_ms))


@router.get("", name="list", responses=openapi.answers(key_views.KeyList))
async def list_keys(service: ServiceDep) -> Response:
    """Every key and when it was last used, to a few seconds; never a secret."""
    seen = await service.store.run(api_keys.read())
    return json_reply(key_views.key_list(seen, service.keys.of_settings))


@router.post(
    "/{key_id}/rotate",
    name="rotate",
    responses=openapi.answers(key_views.MadeKey, _OF_SETTINGS, _UNKNOWN, 409),
    openapi_extra=openapi.takes(KeyRotation, required=False),
)
async def rotate_key(key_id: KeyId, request: Request, service: ServiceDep) -> Response:
    """Give a key a new secret, shown this once. The old one stays good for a while, so that nobody is locked out."""
    grace = timedelta(seconds=bodies.read(await request.body(), KeyRotation).grace_seconds)
    _refuse_of_settings(service, key_id)
    seen = await service.store.run(api_keys.read())
    entry = seen.entries.get(key_id, b"")
    key = ApiKey.read_or_none(entry)
    if key is None:
        raise replies.no_such_key(key_id)
    made = rotate(key_id, key, seen.now_ms, grace)
    if not await service.store.run(api_keys.save(key_id, made.key.entry(), entry)):
        raise replies.changed_meanwhile()
    await service.keys.refresh(service.store)
    return _secret(key_views.made_key(made, seen.now_ms, seen.used_ms.get(key_id)))


@router.delete("/{key_id}", responses=openapi.answers(key_views.RevokedKey, _OF_SETTINGS, _UNKNOWN))
async def revoke(key_id: KeyId, service: ServiceDep) -> Response:
    """Take a key back. Within 5 seconds no part of the service lets it in."""
    _refuse_of_settings(service, key_id)
    if not await service.store.run(api_keys.remove(key_id)):
        raise replies.no_such_key(key_id)
    await service.keys.refresh(service.store)
    body: key_views.RevokedKey = {"key_id": key_id, "status": "revoked", "message": "The API key has been revoked"}
    return json_reply(body)


def _secret(body: key_views.MadeKey) -> Response:
    return json_reply(body, headers={"Cache-Control": "no-store"})


def _refuse_of_settings(service: Service, key_id: str) -> None:
    if any(caller.key_id == key_id for caller in service.keys.of_settings):
        raise _OF_SETTINGS
