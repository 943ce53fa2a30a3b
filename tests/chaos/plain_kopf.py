"""The operator that people write today: a kopf timer that reads how long the queue is, and sets a Deployment's replicas.

As kopf's documentation shows it, with kopf's default settings, run by `kopf run`. Kinder than most: it also counts what
workers hold (Celery's `unacked`), so that it does not take work that runs for none.

    kopf run -n default tests/chaos/plain_kopf.py
"""

from __future__ import annotations

import math
import os
from typing import Any

import kopf
import redis
from lightkube import Client
from lightkube.resources.apps_v1 import Deployment

broker = redis.Redis.from_url(os.environ["REDIS_URL"])


@kopf.timer("genfleet.dev", "v1alpha1", "generationqueues", interval=1.0)
def scale(spec: kopf.Spec, name: str | None, namespace: str | None, **_: Any) -> None:
    """Once a second, for each queue."""
    scaling = spec.get("scaling", {})
    tasks: Any = broker.llen(spec["queue"]) + broker.hlen("unacked")
    wanted = math.ceil(tasks / scaling.get("target", {}).get("tasksPerWorker", 1))
    replicas = max(scaling.get("minReplicas", 0), min(wanted, scaling.get("maxReplicas", 10)))
    client: Any = Client()
    if client.get(Deployment, f"{name}-workers", namespace=namespace).spec.replicas != replicas:
        client.patch(Deployment, f"{name}-workers", {"spec": {"replicas": replicas}}, namespace=namespace)
