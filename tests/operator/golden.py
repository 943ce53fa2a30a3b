"""The manifests that stand for all others. `python -m tests.operator.golden` writes them anew; then read the difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from genfleet.contract.queue import GenerationQueue
from genfleet_operator.blueprint import Installation, blueprint
from tests.operator.queues import INSTALLATION, UID, container, queue

FOLDER = Path(__file__).parent / "golden"

SHARED = Installation(
    "registry.example/genfleet-worker:1",
    {
        "metadata": {"annotations": {"prometheus.io/scrape": "false"}},
        "spec": {
            "containers": [
                {
                    "name": "worker",
                    "env": [{"name": "REDIS_URL", "valueFrom": {"secretKeyRef": {"name": "redis", "key": "url"}}}],
                    "volumeMounts": [{"name": "media", "mountPath": "/media"}],
                }
            ],
            "volumes": [{"name": "media", "persistentVolumeClaim": {"claimName": "media"}}],
        },
    },
)

RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""What a container beside the worker has to say of itself."""

CASES: dict[str, tuple[GenerationQueue, Installation]] = {
    "cpu": (queue({"name": "default"}, queue="cpu_intensive", concurrency=4), INSTALLATION),
    "gpu-with-everything": (
        queue(
            {
                "name": "spot",
                "class": "gpu",
                "gpus": 2,
                "nodeSelector": {"pool": "gpu-spot"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "resources": {"requests": {"cpu": 2, "memory": "16Gi"}, "limits": {"memory": "16Gi"}},
                "template": {
                    "metadata": {"labels": {"team": "film"}},
                    "spec": {
                        "runtimeClassName": "nvidia",
                        "priorityClassName": "batch",
                        **container(
                            image="registry.example/film-worker:7",
                            env=[{"name": "MODEL", "value": "wan"}],
                            volumeMounts=[{"name": "models", "mountPath": "/models"}],
                        )["spec"],
                        "volumes": [{"name": "models", "emptyDir": {}}],
                    },
                },
            }
        ),
        INSTALLATION,
    ),
    "installation-and-pool": (
        queue(
            {
                "name": "default",
                "template": {
                    "spec": {
                        "terminationGracePeriodSeconds": 120,
                        "containers": [
                            {
                                "name": "worker",
                                "env": [
                                    {"name": "REDIS_URL", "$patch": "delete"},
                                    {"name": "REDIS_HOST", "value": "r"},
                                ],
                            },
                            {"name": "sidecar", "image": "registry.example/sidecar:1", "securityContext": RESTRICTED},
                        ],
                        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}],
                    }
                },
            }
        ),
        SHARED,
    ),
}


def manifest(name: str) -> dict[str, Any]:
    """The Deployment of a case, for two workers."""
    one, installation = CASES[name]
    return blueprint(one, UID, one.spec.pools[0], installation).with_replicas(2)


def text(name: str) -> str:
    """The same as YAML."""
    return yaml.safe_dump(manifest(name), sort_keys=False, width=120)


def main() -> None:
    """Write all."""
    for name in CASES:
        (FOLDER / f"{name}.yaml").write_text(text(name))


if __name__ == "__main__":
    main()
