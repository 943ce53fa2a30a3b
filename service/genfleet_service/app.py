"""Puts the API together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from importlib.metadata import version
from itertools import chain
from pkgutil import iter_modules

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from genfleet import traces
from genfleet.errors import ConfigurationError, StoreUnavailable
from genfleet.store.client import AsyncStore
from genfleet.store.upkeep import keep_up
from genfleet_service import bodies, gates, openapi, replies, routes
from genfleet_service.audit import Audit
from genfleet_service.context import Service
from genfleet_service.docs_page import docs
from genfleet_service.feed import Feed
from genfleet_service.keyring import KeyRing
from genfleet_service.listeners import Listeners
from genfleet_service.media import Media
from genfleet_service.metrics import ApiMetrics, Meter
from genfleet_service.routes import (
    audit,
    batches,
    bulk,
    dead_letters,
    doctor,
    events,
    fleet,
    health,
    projects,
    quarantine,
    queues,
    tasks,
    usage,
    webhooks,
)
from genfleet_service.routes import keys as key_routes
from genfleet_service.routes import metrics as metrics_route
from genfleet_service.settings import ServiceSettings
from genfleet_service.slips import refuse_misspelt_query
from genfleet_service.watchman import watch
from genfleet_service.webhooks.courier import Courier

log = structlog.get_logger(__name__)

# Fixed paths before those with an id in them: /tasks/metrics is no task (TS-069).
ROUTERS = (
    health.router,
    metrics_route.router,
    fleet.router,
    doctor.router,
    queues.router,
    key_routes.router,
    audit.router,
    projects.router,
    bulk.router,
    usage.router,
    webhooks.router,
    quarantine.router,
    dead_letters.router,
    batches.router,
    tasks.router,
    events.router,
)


def create_app(settings: ServiceSettings, stopping: asyncio.Event) -> ASGIApp:
    """The API as it is served: what every request passes, then the express lane, then the routes.

    `stopping` tells it that the program is about to end: answers that go on for long are ended then.
    """
    keys = KeyRing(settings.keys(), settings.limits())
    metrics = ApiMetrics({route.endpoint: route.path for route in _routes()})
    api = create_api(settings, keys, metrics, stopping)
    app: ASGIApp = gates.Express(api, tasks.EXPRESS)
    app = gates.BodyGate(app, limit=settings.body_limit)
    app = gates.KeyGate(app, keys, health_needs_key=settings.health_needs_key)
    actions = {route.endpoint: openapi.operation_id(route) for route in _routes()}
    return Meter(Audit(gates.Net(app), api, actions), metrics)


def _routes() -> list[APIRoute]:
    every = chain.from_iterable(router.routes for router in ROUTERS)
    return [route for route in every if isinstance(route, APIRoute)]


def create_api(settings: ServiceSettings, keys: KeyRing, metrics: ApiMetrics, stopping: asyncio.Event) -> FastAPI:
    """The routes and their document."""
    app = FastAPI(
        title="genfleet",
        version=version("genfleet"),
        description="Runs generation work on a fleet that is exactly as large as the work needs.",
        dependencies=[Depends(refuse_misspelt_query)],
        lifespan=_lifespan(settings, keys, metrics, stopping),
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
    )
    for router in ROUTERS:
        app.include_router(router)
    if settings.docs:
        app.add_route("/docs", docs)
    _check_routers()
    settings.media_dir.mkdir(parents=True, exist_ok=True)
    app.mount("/media", Media(directory=settings.media_dir), name="media")
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]  # the documented way to extend it
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(RequestValidationError, _bad_parameters)
    for error in (replies.Refusal, StoreUnavailable):
        app.add_exception_handler(error, _refused)
    app.add_exception_handler(Exception, _unexpected)
    return app


def _check_routers() -> None:
    """Nothing is left out: every module of routes has its router in `ROUTERS`, or the API does not start (TS-175)."""
    modules = [import_module(f"{routes.__name__}.{module.name}") for module in iter_modules(routes.__path__)]
    left_out = [module.__name__ for module in modules if getattr(module, "router", None) not in ROUTERS]
    if left_out:
        raise ConfigurationError(f"{', '.join(left_out)}: has routes that are not served; add its router to ROUTERS")


def _lifespan(settings: ServiceSettings, keys: KeyRing, metrics: ApiMetrics, stopping: asyncio.Event):  # type: ignore[no-untyped-def]  # FastAPI names no type for it
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop, store = asyncio.get_running_loop(), AsyncStore(settings.redis)
        feed = Feed(store)
        app.state.service = Service(
            settings, store, keys, feed, Listeners(settings.key_listeners), metrics, loop.time()
        )
        try:
            await keys.refresh(store)
        except StoreUnavailable as error:
            log.warning("redis_not_there_yet", reason=str(error))
        courier = Courier(store, settings)
        alerts = watch(store, timedelta(seconds=settings.alert_period_seconds))
        work = (keys.follow(store), keep_up(store, "api"), alerts, courier.run(), feed.run(), _close(feed, stopping))
        background = [asyncio.create_task(each) for each in work]
        yield
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await store.close()
        await asyncio.to_thread(traces.end)

    return lifespan


async def _close(feed: Feed, stopping: asyncio.Event) -> None:
    await stopping.wait()
    feed.close()


async def _refused(_request: Request, error: Exception) -> Response:
    return gates.refusal_of(error).reply()


async def _unexpected(_request: Request, _error: Exception) -> Response:
    """TS-149. The framework sends this and raises the error again, so `gates.Net` logs it."""
    return replies.broken().reply()


async def _not_routed(request: Request, error: Exception) -> Response:
    """Unknown paths and methods."""
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            refusal = replies.Refusal(404, "not_found", f"There is nothing at {request.url.path}; see /docs")
        case 405:
            refusal = replies.Refusal(
                405,
                "method_not_allowed",
                f"{request.url.path} does not take {request.method}; see /docs",
                headers={"Allow": ", ".join(_allowed(request))},
            )
        case status:
            refusal = replies.Refusal(status, "http_error", str(error.detail), headers=error.headers)
    return refusal.reply()


def _allowed(request: Request) -> list[str]:
    """Every method of a path. The framework names those of the first route alone, and a path may have several.

    Of the paths that fit the first one is meant: /tasks/metrics is no task (TS-069).
    """
    # What the app itself has in its list for a router does not tell its methods.
    every = chain(request.app.routes, *(router.routes for router in ROUTERS))
    fitting = [
        route for route in every if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    ]
    return sorted({method for route in fitting if route.path == fitting[0].path for method in route.methods or ()})


async def _bad_parameters(_request: Request, error: Exception) -> Response:
    """Query and path parameters that do not fit: 400 as documented, not the framework's 422 (TS-146)."""
    assert isinstance(error, RequestValidationError)
    details = {str(fault["loc"][-1]): bodies.sentence(fault) for fault in error.errors()}
    return replies.invalid(details, "Invalid query").reply()
