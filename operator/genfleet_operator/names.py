"""Names that the operator writes into the cluster, and finds its own things by."""

from __future__ import annotations

GROUP = "genfleet.dev"
MANAGER = "genfleet-operator"
"""Our field manager, and the value of the managed-by label."""

MANAGED_BY = "app.kubernetes.io/managed-by"
APP = "app.kubernetes.io/name"
QUEUE = f"{GROUP}/queue"
POOL = f"{GROUP}/pool"
REVISION = f"{GROUP}/revision"

OURS = f"{MANAGED_BY}={MANAGER}"
"""Label selector of everything that an operator made."""

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
EMPTY_COST = -1000
"""Of a worker that may go. Of all others it is 0, the default: a ReplicaSet removes the cheapest first."""
KEPT, IS_KEPT, MAY_GO = f"{GROUP}/kept", "yes", "no"
"""Label of a worker's pod, and its values. It changes with the cost: the ReplicaSet counts those that it has seen change."""

CONTAINER = "worker"
"""The container that templates refer to."""


def worker_id(pod: str, namespace: str) -> str:
    """Under which name the worker of a pod reports. The pod is told by GENFLEET_WORKER_NAME."""
    return f"{pod}@{namespace}"
