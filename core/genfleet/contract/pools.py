"""The pools of a GenerationQueue: where its workers run, and what each asks of its node."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from genfleet.contract.fields import LABEL, Absent, Labels, LabelValue, Part, Quantity, Replicas, Seconds
from genfleet.contract.rules import Rule, checked_by

Amounts = Annotated[dict[str, Quantity], Field(max_length=32)]
"""By the name of the resource, as in a container."""

GPUS = Rule(
    holds="!has(self.gpus) || self.gpus == 0 || self.class == 'gpu'",
    sentence="gpus ({gpus}) is for class gpu only: set class: gpu or remove gpus",
    values={"gpus": "self.gpus"},
)
_NO_GPUS = "(!has(self.resources.{0}) || !('nvidia.com/gpu' in self.resources.{0}))"
GPUS_BY_GPUS = Rule(
    holds=f"!has(self.resources) || ({_NO_GPUS.format('requests')} && {_NO_GPUS.format('limits')})",
    sentence="resources: whole GPUs are asked for by gpus: remove nvidia.com/gpu there, and set class: gpu and gpus",
)
KEY_OR_EXISTS = Rule(
    holds="has(self.key) || self.operator == 'Exists'",
    sentence="a toleration without key is for every taint: add the key, or write operator: Exists",
)
VALUE_FOR_EQUAL = Rule(
    holds="!has(self.value) || self.operator == 'Equal'",
    sentence="value is for operator Equal only: remove it, or write operator: Equal",
)
SECONDS_FOR_NO_EXECUTE = Rule(
    holds="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
    sentence="tolerationSeconds is for effect NoExecute only: write effect: NoExecute, or remove tolerationSeconds",
)


class Toleration(Part):
    """A taint of nodes that the workers put up with, as in a pod."""

    # Kubernetes' own rules: broken, they would keep the pool's Deployment from being made.
    model_config = ConfigDict(json_schema_extra=checked_by(KEY_OR_EXISTS, VALUE_FOR_EQUAL, SECONDS_FOR_NO_EXECUTE))

    key: Annotated[str, Field(max_length=317)] | Absent = Field(
        default=None,
        description="Name of the taint, such as nvidia.com/gpu. Left out, with operator Exists: every taint.",
    )
    operator: Literal["Exists", "Equal"] = Field(
        default="Equal", description="Equal: the taint must have this value. Exists: whatever its value is."
    )
    value: LabelValue | Absent = Field(default=None, description="Value of the taint, for operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | Absent = Field(
        default=None, description="Effect of the taint that is tolerated. Left out: every effect."
    )
    toleration_seconds: Seconds | Absent = Field(
        default=None,
        description="Seconds after which a taint of effect NoExecute evicts the worker all the same. Left out: never.",
    )

    @model_validator(mode="after")
    def _as_kubernetes_wants_it(self) -> Self:
        if self.key is None and self.operator != "Exists":
            raise ValueError(KEY_OR_EXISTS.says())
        if self.value is not None and self.operator != "Equal":
            raise ValueError(VALUE_FOR_EQUAL.says())
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError(SECONDS_FOR_NO_EXECUTE.says())
        return self


class Resources(Part):
    """What one worker asks of its node, as in a container. GPUs are asked for by gpus, not here.

    Example: {requests: {cpu: 2, memory: 16Gi}, limits: {memory: 16Gi}}.
    """

    requests: Amounts = Field(
        default={}, description="What a node must have free to get the worker, such as {cpu: 500m, memory: 2Gi}."
    )
    limits: Amounts = Field(
        default={},
        description="What the worker may not exceed, such as {memory: 2Gi}: with more memory it is killed, and its task "
        "goes back to the queue.",
    )


class Pool(Part):
    """Workers of one kind: one Deployment in a cluster, one group of processes on a laptop."""

    model_config = ConfigDict(json_schema_extra=checked_by(GPUS, GPUS_BY_GPUS))

    name: str = Field(
        max_length=30,
        pattern=LABEL,
        description="Name of the pool, part of its Deployment's: lower-case letters, digits and inner hyphens, at most "
        "30, such as spot.",
    )
    worker_class: Literal["gpu", "cpu"] = Field(
        default="cpu", alias="class", description="What the workers compute on. Class gpu asks for GPUs, see gpus."
    )
    max_replicas: Replicas | Absent = Field(
        default=None,
        description="Workers of this pool at most. Left out: as many as spec.scaling.maxReplicas. When the pool is full, "
        "the next one is taken.",
    )
    gpus: Annotated[int, Field(ge=0, le=64)] | Absent = Field(
        default=None,
        description="Whole GPUs of one worker: nvidia.com/gpu, as request and as limit. Left out: 1 for class gpu, none "
        "for class cpu. 0 for class gpu when resources asks for a share of one.",
    )
    node_selector: Labels = Field(
        default={},
        description="Labels that a node must have to run the workers, such as {pool: gpu-spot}. Left out: any node.",
    )
    tolerations: tuple[Toleration, ...] = Field(
        default=(),
        strict=False,
        max_length=32,
        description="Taints of nodes that the workers put up with, such as [{key: nvidia.com/gpu, operator: Exists}].",
    )
    resources: Resources = Resources()
    spillover_after_seconds: Seconds | Absent = Field(
        default=None,
        description="Seconds after which this pool is taken because the pool before it cannot place its workers, such as "
        "90. Left out: only when that one is at its maxReplicas. Not for the first pool, which has none before it.",
    )
    template: dict[str, JsonValue] = Field(
        default={},
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        description="Anything else of a pod template, merged strategically into the generated one: its container is "
        "named worker. Example: {spec: {priorityClassName: batch, containers: [{name: worker, env: [{name: "
        "GENFLEET_LOG_LEVEL, value: debug}]}]}}.",
    )

    @property
    def gpu_count(self) -> int:
        """Whole GPUs of one worker, with the default applied."""
        return self.gpus if self.gpus is not None else int(self.worker_class == "gpu")

    @model_validator(mode="after")
    def _gpus_belong_to_gpu_workers(self) -> Self:
        if self.gpus and self.worker_class != "gpu":
            raise ValueError(GPUS.says(gpus=self.gpus))
        return self

    @model_validator(mode="after")
    def _gpus_are_asked_for_by_gpus(self) -> Self:
        if "nvidia.com/gpu" in {**self.resources.requests, **self.resources.limits}:
            raise ValueError(GPUS_BY_GPUS.says())
        return self
