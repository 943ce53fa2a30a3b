"""What the routes work with. Built once, when the program starts; a route asks for it by type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from genfleet.store.client import AsyncStore
from genfleet_service.keyring import KeyRing
from genfleet_service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running API."""

    settings: ServiceSettings
    store: AsyncStore
    keys: KeyRing
    started: float
    """By the event loop's clock."""


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(service_of)]
