"""Numbers for Prometheus. On the main app and without a key, as health is: who may come here is for the network to say."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from genfleet_service import openapi
from genfleet_service.context import ServiceDep

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "All numbers"}},
    response_class=Response,
    openapi_extra=openapi.OPEN,
)
async def exposed(service: ServiceDep) -> Response:
    """The numbers of the fleet and of this process, in Prometheus' text format. What each means: `docs/metrics.md`."""
    return Response(await service.metrics.exposed(service.store), media_type=CONTENT_TYPE_LATEST)
