"""KEDA as the peer: a ScaledObject on a Redis list, for a Deployment with pods like ours.

KEDA asks Redis itself, so it has to reach this machine's loopback, as one that runs here as a process does.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from lightkube import ApiError
from lightkube.generic_resource import create_namespaced_resource
from redis.asyncio import Redis

from bench import cluster
from bench.cluster import IMAGE, NOWHERE, Json, Stage, say, until
from genfleet_operator.kube import DEPLOYMENTS

SCALED_OBJECTS: Any = create_namespaced_resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
DEFINITION = "scaledobjects.keda.sh"
MOST = 20
HPA_TURN_S = 15.0
"""How often the HPA controller looks, on managed clusters; elsewhere it may be set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a ScaledObject is set."""

    name: str
    trials: str
    """Which number of the environment says how often."""
    poll_s: int
    cooldown_s: int
    spec: Json = field(default_factory=dict)
    falls: bool = True
    """Whether the way back to zero is waited for each time; else there is a new ScaledObject for each trial."""


_UNBOUNDED = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1000, "periodSeconds": 1}]}
AGGRESSIVE = Settings(
    "most aggressive",
    "KEDA_TRIALS",
    1,
    10,
    {
        "pollingInterval": 1,
        "cooldownPeriod": 10,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": _UNBOUNDED, "scaleDown": _UNBOUNDED}}},
    },
)
DEFAULT = Settings("default", "KEDA_DEFAULT_TRIALS", 30, 300, falls=False)


async def look_for(stage: Stage) -> None:
    """Raises AbsentError if KEDA is not there, or does not take up a ScaledObject."""
    if not await cluster.is_defined(stage.client, DEFINITION):
        raise cluster.AbsentError("the cluster has no ScaledObjects")
    try:
        async with scaled("look", stage, AGGRESSIVE):
            pass
    except TimeoutError as error:
        raise cluster.AbsentError(f"it does not work here: {error}") from error


@asynccontextmanager
async def scaled(name: str, stage: Stage, settings: Settings) -> AsyncIterator[None]:
    """A Deployment of KEDA's, at rest, with a list of the same name."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "worker", "image": IMAGE}], **NOWHERE},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
    trigger = {"address": f"127.0.0.1:{stage.redis.port}", "listName": name, "listLength": "1"}
    scaled_object = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": 0,
            "maxReplicaCount": MOST,
            "triggers": [{"type": "redis", "metadata": trigger}],
            **settings.spec,
        },
    }
    await stage.apply(DEPLOYMENTS, deployment)
    await stage.apply(SCALED_OBJECTS, scaled_object)
    try:
        await until("KEDA takes up a ScaledObject", lambda: _is_ready(stage, name), within=30)
        yield
    finally:
        await stage.client.delete(SCALED_OBJECTS, name, namespace=stage.namespace)
        await until("the ScaledObject is gone", lambda: _is_gone(stage, name), within=60)
        await stage.client.delete(DEPLOYMENTS, name, namespace=stage.namespace)


async def _is_ready(stage: Stage, name: str) -> bool:
    found = await stage.client.get(SCALED_OBJECTS, name, namespace=stage.namespace)
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


async def _is_gone(stage: Stage, name: str) -> bool:
    try:
        await stage.client.get(SCALED_OBJECTS, name, namespace=stage.namespace)
    except ApiError as error:
        return bool(error.status.code == 404)
    return False


async def measure(stage: Stage, settings: Settings, replicas: int, trials: int) -> tuple[list[float], list[float]]:
    """Seconds from a push to as many replicas, and from an empty list to none."""
    risen: list[float] = []
    fallen: list[float] = []
    if settings.falls:
        async with scaled("keda", stage, settings):
            for _ in range(trials):
                await _trial("keda", stage, settings, replicas, risen)
                fallen.append(await _fall("keda", stage, settings))
                say(f"KEDA {settings.name}: 0 → {replicas} in {risen[-1]:.2f} s, back in {fallen[-1]:.1f} s")
        return risen, fallen
    for trial in range(trials):
        name = f"keda-{replicas}-{trial}"
        async with scaled(name, stage, settings):
            await _trial(name, stage, settings, replicas, risen)
            say(f"KEDA {settings.name}: 0 → {replicas} in {risen[-1]:.2f} s")
            if trial == trials - 1:
                fallen.append(await _fall(name, stage, settings))
    return risen, fallen


async def _trial(name: str, stage: Stage, settings: Settings, replicas: int, risen: list[float]) -> None:
    """At a random phase of KEDA's and of the HPA's turns."""
    await asyncio.sleep(random.uniform(0, max(HPA_TURN_S, settings.poll_s)))  # noqa: S311  no secret
    async with Redis.from_url(stage.redis.url) as redis:
        began = time.monotonic()
        await redis.lpush(name, *["task"] * replicas)
        there = await stage.replicas.become(name, lambda number: number >= replicas, within=180)
    risen.append(there - began)


async def _fall(name: str, stage: Stage, settings: Settings) -> float:
    async with Redis.from_url(stage.redis.url) as redis:
        began = time.monotonic()
        await redis.delete(name)
    none = await stage.replicas.become(name, lambda number: number == 0, within=settings.cooldown_s + 120)
    return none - began
