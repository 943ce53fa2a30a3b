"""What kopf is asked to watch. Handlers only take note: deciding is the controller's, in one loop for all queues.

Only `on.event`: kopf's other handlers add finalizers, so that an operator that is away would keep queues from being
deleted, and remember their state in annotations (facts K5, K6). What an event says counts only as news of the present.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from genfleet_operator import names
from genfleet_operator.world import World


def registry(world: World, on_news: Callable[[], None], on_begin: Callable[[], None]) -> kopf.OperatorRegistry:
    """The handlers, which put what they see into `world`. `on_begin`: a watch began, and listed what is there."""
    handlers = kopf.OperatorRegistry()

    def heard(event: kopf.RawEvent) -> None:
        on_news()
        if event["type"] is None:  # from a list
            on_begin()

    @kopf.on.login(registry=handlers)
    def login(**about: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**about) or kopf.login_with_kubeconfig(**about)

    @kopf.on.startup(registry=handlers)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False  # our events are deduplicated (facts K7)
        settings.peering.standalone = True  # we have a Lease (facts K4)
        settings.scanning.disabled = True  # needs no right to list namespaces and definitions
        settings.watching.server_timeout = 240
        settings.watching.client_timeout = 300
        settings.watching.connect_timeout = 10
        settings.watching.chunk_size = 500
        settings.watching.label_selectors["apps", "v1", "deployments"] = names.OURS
        settings.watching.label_selectors["apps", "v1", "replicasets"] = names.OURS
        settings.watching.label_selectors["v1", "pods"] = names.OURS
        settings.networking.request_timeout = 30
        # Hours, not 54 s (facts K3). And never long: who begins to see half a minute after an outage is late.
        settings.networking.error_backoffs = [1, 1, 2, 3, 5] + [8] * 4000
        # No `worker_limit`: kopf keeps a worker for each object until it has been idle for a while, and with a limit the
        # news of the next object waits for that. A hundred new pods would be heard of half a minute late.
        settings.queueing.idle_timeout = 1.0

    @kopf.on.event(names.GROUP, "v1alpha1", "generationqueues", registry=handlers)
    async def queue(event: kopf.RawEvent, **_: Any) -> None:
        world.take_queue(event["type"], event["object"])
        heard(event)

    @kopf.on.event("apps", "v1", "deployments", registry=handlers)
    async def deployment(event: kopf.RawEvent, **_: Any) -> None:
        world.take_deployment(event["type"], event["object"])
        heard(event)

    @kopf.on.event("apps", "v1", "replicasets", registry=handlers)
    async def replica_set(event: kopf.RawEvent, **_: Any) -> None:
        world.take_replica_set(event["type"], event["object"])
        heard(event)

    @kopf.on.event("v1", "pods", registry=handlers)
    async def pod(event: kopf.RawEvent, **_: Any) -> None:
        world.take_pod(event["type"], event["object"])
        heard(event)

    return handlers
