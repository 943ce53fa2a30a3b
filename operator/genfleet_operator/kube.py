"""Writes to the API server, and lists from it; watching is kopf's.

Server-side apply, with our field manager: a field that we do not write stays whoever's it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import httpx2
import orjson
import structlog
from lightkube import ApiError, AsyncClient
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from genfleet.errors import ConfigurationError, GenfleetError
from genfleet_operator import metrics, names

log = structlog.get_logger(__name__)

Json = dict[str, Any]

UNREADABLE = "failed to create typed patch object"
"""In a failure of the API server that is our document's fault: it has a field that there is not, or of the wrong kind."""

QUEUES: Any = create_namespaced_resource(names.GROUP, "v1alpha1", "GenerationQueue", "generationqueues")
DEPLOYMENTS: Any = create_namespaced_resource("apps", "v1", "Deployment", "deployments")
REPLICA_SETS: Any = create_namespaced_resource("apps", "v1", "ReplicaSet", "replicasets")
PODS: Any = create_namespaced_resource("", "v1", "Pod", "pods")
EVENTS: Any = create_namespaced_resource("events.k8s.io", "v1", "Event", "events")
LEASES: Any = create_namespaced_resource("coordination.k8s.io", "v1", "Lease", "leases")

EVERYWHERE = "*"
"""All namespaces at once, for a list."""
ANSWER_WITHIN_S = 10.0
"""Longest time for one request."""
AT_ONCE = 16
"""Requests at a time. The API server has fair queues of its own; this keeps ours from filling one."""


class ClusterUnavailable(GenfleetError):
    """The API server could not be reached, or asks us to wait. Nothing is known; what runs, stays."""


class ClusterRefused(GenfleetError):
    """The API server understood and refused. Its message says why."""

    def __init__(self, status: int, message: str, causes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.causes = tuple(causes)
        """For a conflict: each manager and field, in the server's words."""

    @property
    def gone(self) -> bool:
        """Whether what was written to is not there any more, or on its way out."""
        return self.status == 404 or (self.status == 403 and "being terminated" in str(self))


class Cluster:
    """The API server."""

    def __init__(self, namespaces: Sequence[str] = ()) -> None:
        try:
            # Its types know one class for each resource, and ours are dicts.
            self._client: Any = AsyncClient(field_manager=names.MANAGER, timeout=httpx2.Timeout(ANSWER_WITHIN_S))
        except ConfigError as error:
            raise ConfigurationError(
                f"KUBECONFIG: no cluster to talk to ({error}): run in a pod with a service account, or name a kubeconfig"
            ) from error
        self._namespaces = tuple(namespaces) or (EVERYWHERE,)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def list(self, resource: Any, labels: str | None = None) -> tuple[list[Json], tuple[str, ...]]:
        """Every object of a kind, and the namespaces that could be listed; none: all there are.

        One namespace that is refused, as it or its Role is gone, keeps nobody from the others. Raises ClusterRefused if
        none could be listed.
        """
        found: list[Json] = []
        listed: list[str] = []
        selected = dict(part.split("=", 1) for part in labels.split(",")) if labels else None
        refusal: ClusterRefused | None = None
        for namespace in self._namespaces:
            try:
                async with self._turn("list"):
                    objects = self._client.list(resource, namespace=namespace, chunk_size=500, labels=selected)
                    found += [obj async for obj in objects]
            except ClusterRefused as error:
                log.warning("not_listed", namespace=namespace, reason=str(error))
                refusal = error
            else:
                listed.append(namespace)
        if refusal and not listed:
            raise refusal
        return found, tuple(name for name in listed if name != EVERYWHERE)

    async def apply(self, manifest: Json, *, force: bool = False) -> Json:
        """A Deployment as it is to be. Raises ClusterRefused with status 409 if fields are somebody else's."""
        meta = manifest["metadata"]
        call = self._client.patch(
            DEPLOYMENTS,
            meta["name"],
            manifest,
            namespace=meta["namespace"],
            patch_type=PatchType.APPLY,
            force=force,
        )
        return await self._ask("apply", call)

    async def scale(self, namespace: str, name: str, replicas: int) -> Json:
        """The number of replicas of a Deployment, and nothing else of it."""
        body = {"spec": {"replicas": replicas}}
        call = self._client.patch(DEPLOYMENTS, name, body, namespace=namespace, patch_type=PatchType.MERGE)
        return await self._ask("scale", call)

    async def remove(self, namespace: str, name: str) -> None:
        """A Deployment."""
        await self._ask("delete", self._client.delete(DEPLOYMENTS, name, namespace=namespace))

    async def set_cost(self, namespace: str, pod: str, cost: int) -> Json:
        """The deletion cost of a pod; 0, the default, is none. And the label by which its ReplicaSet shows that it knows."""
        annotations = {names.DELETION_COST: str(cost) if cost else None}
        labels = {names.KEPT: names.MAY_GO if cost else names.IS_KEPT}
        body = {"metadata": {"annotations": annotations, "labels": labels}}
        return await self._ask(
            "patch", self._client.patch(PODS, pod, body, namespace=namespace, patch_type=PatchType.MERGE)
        )

    async def set_status(self, namespace: str, name: str, status: Json) -> None:
        """What a queue's status says."""
        body = {
            "apiVersion": f"{names.GROUP}/v1alpha1",
            "kind": "GenerationQueue",
            "metadata": {"name": name},
            "status": status,
        }
        await self._ask(
            "status",
            self._client.patch(QUEUES.Status, name, body, namespace=namespace, patch_type=PatchType.APPLY, force=True),
        )

    async def tell(self, event: Json) -> None:
        """An Event."""
        await self._ask("event", self._client.create(EVENTS(event), namespace=event["metadata"]["namespace"]))

    async def lease(self, namespace: str, name: str) -> Json | None:
        """A Lease. None: there is none."""
        try:
            return await self._ask("lease", self._client.get(LEASES, name, namespace=namespace))
        except ClusterRefused as error:
            if error.status == 404:
                return None
            raise

    async def keep_lease(self, lease: Json) -> Json:
        """A new Lease, or the next version of one. Raises ClusterRefused if somebody was faster."""
        write = self._client.replace if "resourceVersion" in lease["metadata"] else self._client.create
        return await self._ask("lease", write(LEASES(lease), namespace=lease["metadata"]["namespace"]))

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _ask(self, verb: str, call: Awaitable[Json]) -> Json:
        async with self._turn(verb):
            return await call

    @asynccontextmanager
    async def _turn(self, verb: str) -> AsyncIterator[None]:
        """One request: it waits for its turn, is counted, and fails in our words."""
        outcome = "unreachable"
        # Writes that hang must not keep the lease from being renewed.
        turns = nullcontext() if verb == "lease" else self._turns
        try:
            async with turns:
                yield
            outcome = "ok"
        except ApiError as error:
            refusal = _refusal(error)
            outcome = str(error.status.code)
            raise refusal from error
        except (httpx2.HTTPError, OSError, orjson.JSONDecodeError) as error:
            raise ClusterUnavailable(f"the API server did not answer: {type(error).__name__} {error}") from error
        finally:
            metrics.API_REQUESTS.labels(verb, outcome).inc()


def _refusal(error: ApiError) -> GenfleetError:
    status = error.status
    code = int(status.code or 0)
    if code == 429 or (code >= 500 and UNREADABLE not in str(status.message)):
        return ClusterUnavailable(f"the API server cannot answer now: {status.message}")
    details = status.details
    causes = [f"{cause.message}: {cause.field}" for cause in (details.causes or [])] if details else []
    return ClusterRefused(code, str(status.message), causes)
