"""What the routes work with. Built once, when the program starts; a route asks for it by type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from genfleet.store.client import AsyncStore
from genfleet_service import replies
from genfleet_service.access import Caller
from genfleet_service.feed import Feed
from genfleet_service.keyring import KeyRing
from genfleet_service.listeners import Listeners
from genfleet_service.metrics import ApiMetrics
from genfleet_service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running API."""

    settings: ServiceSettings
    store: AsyncStore
    keys: KeyRing
    feed: Feed
    listeners: Listeners
    metrics: ApiMetrics
    started: float
    """By the event loop's clock."""


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    return cast(Service, request.app.state.service)


CALLER = "genfleet.caller"
"""Where `gates.KeyGate` leaves the caller in a request's scope."""


def caller_of(request: Request) -> Caller:
    """Whose key a request came with. Raises Refusal if it came without one, which only /api/v1/health may."""
    caller: Caller | None = request.scope.get(CALLER)
    if caller is None:
        raise replies.unauthorized()
    return caller


CallerDep = Annotated[Caller, Depends(caller_of)]
ServiceDep = Annotated[Service, Depends(service_of)]
