"""Queue resources with one mistake each, and what is said of it: by Python, and by the API server of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from genfleet.contract.queue import API_VERSION, KIND


@dataclass(frozen=True, kw_only=True)
class BadQueue:
    """A resource that nobody accepts."""

    id: str
    """The mistake, for the name of a test."""
    where: str
    """The path of the field, as Python names it."""
    says: str
    """What is wrong and what to write instead. The API server says the same sentence, unless `server` is there."""
    server: tuple[str, ...] = ()
    """Words of the API server, where it has a sentence of its own for such mistakes."""
    spec: dict[str, Any] = field(default_factory=dict)
    name: str = "bad"

    @property
    def document(self) -> dict[str, Any]:
        """The resource as somebody applies it."""
        spec = {"queue": "gpu_heavy"} | self.spec
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": self.name}, "spec": spec}

    @property
    def line(self) -> str:
        """The whole line that Python gives, without the source."""
        return self.says if self.says.startswith(self.where) else f"{self.where}: {self.says}"


CRON = (
    " is not a cron expression: write five fields, which are minute (0 to 59), hour (0 to 23), day of month, month and day "
    'of week, such as "0 8 * * 1-5"'
)


def _window(**wrong: Any) -> dict[str, Any]:
    """A spec with one window in its schedule, which has a mistake."""
    return {"scaling": {"schedule": [{"cron": "0 8 * * 1-5", "duration": "10h", "minReplicas": 2} | wrong]}}


BAD_QUEUES = (
    BadQueue(
        id="a minimum above the maximum",
        spec={"scaling": {"minReplicas": 5, "maxReplicas": 3}},
        where="spec.scaling",
        says="spec.scaling.minReplicas (5) must not be above spec.scaling.maxReplicas (3): lower it or raise maxReplicas",
    ),
    BadQueue(
        id="a scheduled minimum above the maximum",
        spec={
            "scaling": {
                "schedule": [
                    {"cron": "0 8 * * 1-5", "duration": "10h", "minReplicas": 2},
                    {"cron": "0 8 * * 6", "duration": "1h", "minReplicas": 11},
                ]
            }
        },
        where="spec.scaling",
        says="spec.scaling.schedule[1].minReplicas (11) must not be above spec.scaling.maxReplicas (10): lower it or raise "
        "maxReplicas",
    ),
    BadQueue(
        id="two targets",
        spec={"scaling": {"target": {"waitSeconds": 60, "tasksPerWorker": 2}}},
        where="spec.scaling.target",
        says="set exactly one of waitSeconds and tasksPerWorker",
    ),
    BadQueue(
        id="a target without a number",
        spec={"scaling": {"target": {}}},
        where="spec.scaling.target",
        says="set exactly one of waitSeconds and tasksPerWorker",
    ),
    BadQueue(
        id="two pools of one name",
        spec={"pools": [{"name": "spot"}, {"name": "on-demand"}, {"name": "spot"}]},
        where="spec.pools",
        says="spec.pools: two pools are named 'spot': give each its own name",
    ),
    BadQueue(
        id="no pool at all",
        spec={"pools": []},
        where="spec.pools",
        says="spec.pools is empty: name a pool, or leave pools out for one without wishes",
    ),
    BadQueue(
        id="pools too small for the maximum",
        spec={"pools": [{"name": "spot", "maxReplicas": 4}, {"name": "on-demand", "maxReplicas": 5}]},
        where="spec.scaling.maxReplicas",
        says="spec.scaling.maxReplicas (10) cannot be reached, as the pools hold 9 together: lower it, or raise maxReplicas "
        "of a pool or leave it out",
    ),
    BadQueue(
        id="a first pool that waits for another",
        spec={"pools": [{"name": "spot", "spilloverAfterSeconds": 90}]},
        where="spec.pools[0].spilloverAfterSeconds",
        says="spec.pools[0].spilloverAfterSeconds has no pool before it to wait for: remove it",
    ),
    BadQueue(
        id="GPUs for a worker without",
        spec={"pools": [{"name": "spot", "gpus": 1}]},
        where="spec.pools[0]",
        says="gpus (1) is for class gpu only: set class: gpu or remove gpus",
    ),
    BadQueue(
        id="GPUs among the resources",
        spec={"pools": [{"name": "spot", "class": "gpu", "resources": {"limits": {"nvidia.com/gpu": 1}}}]},
        where="spec.pools[0]",
        says="resources: whole GPUs are asked for by gpus: remove nvidia.com/gpu there, and set class: gpu and gpus",
    ),
    BadQueue(
        id="names too long together",
        name="q" * 40,
        spec={"pools": [{"name": "spot"}, {"name": "p" * 30}]},
        where="metadata.name",
        says=f"metadata.name and a pool's name make '{'q' * 40}-{'p' * 30}', longer than the 63 characters that Kubernetes "
        "takes: shorten one of them",
    ),
    BadQueue(
        id="a resource's name with a dot",
        name="gpu.heavy",
        where="metadata.name",
        says="'gpu.heavy' does not fit. Name of the resource: lower-case letters, digits and inner hyphens, at most 52, such "
        "as gpu-heavy.",
    ),
    BadQueue(
        id="a pool's name with capitals",
        spec={"pools": [{"name": "GPU"}]},
        where="spec.pools[0].name",
        says="'GPU' does not fit. Name of the pool, part of its Deployment's: lower-case letters, digits and inner hyphens, "
        "at most 30, such as spot.",
    ),
    BadQueue(
        id="a queue's name with a blank",
        spec={"queue": "gpu heavy"},
        where="spec.queue",
        says="'gpu heavy' does not fit. The broker's name of the queue: letters, digits, '_', '.' and '-', at most 100, such "
        "as gpu_heavy. Task types of this version are routed to gpu_heavy, gpu_medium, cpu_intensive, default.",
    ),
    BadQueue(
        id="a minute that no hour has",
        spec=_window(cron="99 * * * *"),
        where="spec.scaling.schedule[0].cron",
        says=f"'99 * * * *'{CRON} (Bad minute)",
        server=(f"'99 * * * *'{CRON}",),
    ),
    BadQueue(
        id="a cron expression of four fields",
        spec=_window(cron="0 8 * *"),
        where="spec.scaling.schedule[0].cron",
        says=f"'0 8 * *'{CRON}",
    ),
    BadQueue(
        id="a duration in words",
        spec=_window(duration="10 hours"),
        where="spec.scaling.schedule[0].duration",
        says="'10 hours' does not fit. How long it stays open: such as 10h, 30m or 1h30m, at most 31 days.",
    ),
    BadQueue(
        id="a window of no length",
        spec=_window(duration="0h0m"),
        where="spec.scaling.schedule[0].duration",
        says="'0h0m' must be longer than nothing and at most 31 days",
    ),
    BadQueue(
        id="a window longer than a month",
        spec=_window(duration="31d1s"),
        where="spec.scaling.schedule[0].duration",
        says="'31d1s' must be longer than nothing and at most 31 days",
    ),
    BadQueue(
        id="a time zone that is a path",
        spec=_window(timeZone="../etc/passwd"),
        where="spec.scaling.schedule[0].timeZone",
        says="'../etc/passwd' is no time zone: write an IANA name such as Europe/Berlin",
    ),
    BadQueue(
        id="an amount of no known unit",
        spec={"pools": [{"name": "spot", "resources": {"limits": {"memory": "16 GB"}}}]},
        where="spec.pools[0].resources.limits.memory",
        says="'16 GB' is no amount: write a number, and a unit where one is meant, such as 2, 500m or 16Gi",
    ),
    BadQueue(
        id="an amount below zero",
        spec={"pools": [{"name": "spot", "resources": {"requests": {"cpu": -1}}}]},
        where="spec.pools[0].resources.requests.cpu",
        says="'-1' is no amount: write a number, and a unit where one is meant, such as 2, 500m or 16Gi",
    ),
    BadQueue(
        id="a label that no node can have",
        spec={"pools": [{"name": "spot", "nodeSelector": {"pool": "gpu spot"}}]},
        where="spec.pools[0].nodeSelector.pool",
        says="'gpu spot' is no value of a label: write letters, digits, and '-', '_' or '.' between them",
    ),
    BadQueue(
        id="a toleration of nothing",
        spec={"pools": [{"name": "spot", "tolerations": [{"effect": "NoSchedule"}]}]},
        where="spec.pools[0].tolerations[0]",
        says="a toleration without key is for every taint: add the key, or write operator: Exists",
    ),
    BadQueue(
        id="a toleration of any value with a value",
        spec={"pools": [{"name": "spot", "tolerations": [{"key": "spot", "operator": "Exists", "value": "true"}]}]},
        where="spec.pools[0].tolerations[0]",
        says="value is for operator Equal only: remove it, or write operator: Equal",
    ),
    BadQueue(
        id="a toleration that ends, of a taint that does not evict",
        spec={"pools": [{"name": "spot", "tolerations": [{"key": "spot", "value": "true", "tolerationSeconds": 60}]}]},
        where="spec.pools[0].tolerations[0]",
        says="tolerationSeconds is for effect NoExecute only: write effect: NoExecute, or remove tolerationSeconds",
    ),
    BadQueue(
        id="a slip of the pen",
        spec={"scaling": {"maxReplica": 3}},
        where="spec.scaling.maxReplica",
        says="unknown field; did you mean 'maxReplicas'?",
        server=("unknown field", "spec.scaling.maxReplica"),
    ),
    BadQueue(
        id="a class that there is not",
        spec={"pools": [{"name": "spot", "class": "tpu"}]},
        where="spec.pools[0].class",
        says="should be 'gpu' or 'cpu', not 'tpu'",
        server=("spec.pools[0].class", "supported values", "gpu", "cpu"),
    ),
    BadQueue(
        id="a number in quotes",
        spec={"scaling": {"minReplicas": "1"}},
        where="spec.scaling.minReplicas",
        says="should be a whole number, not '1'",
        server=("spec.scaling.minReplicas", "must be of type integer"),
    ),
    BadQueue(
        id="a number out of bounds",
        spec={"concurrency": 0},
        where="spec.concurrency",
        says="should be greater than or equal to 1, not 0",
        server=("spec.concurrency", "should be greater than or equal to 1"),
    ),
)
