"""Probes and metrics over HTTP: /healthz, /readyz, /metrics."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from genfleet.errors import ConfigurationError
from genfleet_operator import metrics
from genfleet_operator.controller import Controller
from genfleet_operator.leader import Leadership
from genfleet_operator.settings import OperatorSettings

STUCK_AFTER_S = 60.0
"""Without a look at all queues for so long, the loop is stuck: blind or not, it looks every second."""


class Probes:
    """What the probes say."""

    def __init__(self) -> None:
        self.leading: Controller | None = None
        """Who looks after the queues. None: we stand by."""
        self.leadership: Leadership | None = None
        """Our claim to lead."""

    async def healthy(self, _: web.Request) -> web.Response:
        """Whether the loop turns. One that stands by has none."""
        if self.leading and (age := time.monotonic() - self.leading.last_tick) > STUCK_AFTER_S:
            return web.Response(status=503, text=f"no look at the queues for {age:.0f} s\n")
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """That the program could lead. It is ready as standby, too: a rollout waits for that before the leader goes."""
        if self.leadership and self.leadership.refusal:
            return web.Response(status=503, text=f"may not lead: {self.leadership.refusal}\n")
        return web.Response(text="leading\n" if self.leading else "standing by\n")

    async def metrics(self, _: web.Request) -> web.Response:
        """Our numbers, for Prometheus."""
        return web.Response(body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


@asynccontextmanager
async def serving(settings: OperatorSettings, probes: Probes) -> AsyncIterator[None]:
    """Serve while the block runs. Raises ConfigurationError if the port is taken."""
    app = web.Application()
    app.add_routes(
        [web.get("/healthz", probes.healthy), web.get("/readyz", probes.ready), web.get("/metrics", probes.metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.probe_port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigurationError(
            f"GENFLEET_PROBE_PORT: cannot listen on {settings.host}:{settings.probe_port} ({error.strerror}): "
            "stop what has it, or set another port"
        ) from error
    try:
        yield
    finally:
        await runner.cleanup()
