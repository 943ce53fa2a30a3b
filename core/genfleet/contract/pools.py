"""The pools of a GenerationQueue: where its workers run, and what each asks of its node."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from genfleet.contract.fields import LABEL, Absent, Part, Quantity, Replicas, Seconds


class Toleration(Part):
    """A taint of nodes that the workers put up with, as in a pod."""

    key: str | Absent = Field(default=None, description="Of the taint. Left out, with operator Exists: every taint.")
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="How the value is compared.")
    value: str | Absent = Field(default=None, description="Of the taint, for operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | Absent = Field(
        default=None, description="Of the taint. Left out: every effect."
    )
    toleration_seconds: Seconds | Absent = Field(
        default=None, description="Seconds after which a NoExecute taint evicts all the same. Left out: never."
    )


class Resources(Part):
    """What one worker asks of its node, as in a container. GPUs are asked for by `gpus`."""

    requests: dict[str, Quantity] = Field(default={}, description="What is set aside for it, such as {cpu: 500m}.")
    limits: dict[str, Quantity] = Field(default={}, description="What it may not exceed, such as {memory: 2Gi}.")


class Pool(Part):
    """Workers of one kind: one Deployment in a cluster, one group of processes on a laptop."""

    name: str = Field(
        max_length=30, pattern=LABEL, description="Lower-case letters, digits and inner hyphens, at most 30."
    )
    worker_class: Literal["gpu", "cpu"] = Field(default="cpu", alias="class", description="What the workers run on.")
    max_replicas: Replicas | Absent = Field(
        default=None, description="Workers of this pool at most. Left out: as many as spec.scaling.maxReplicas."
    )
    gpus: Annotated[int, Field(ge=0, le=64)] | Absent = Field(
        default=None,
        description="Whole GPUs of one worker (nvidia.com/gpu). Left out: 1 for class gpu, none for class cpu. "
        "0 for class gpu when resources asks for a share of one.",
    )
    node_selector: dict[str, str] = Field(default={}, description="Labels that a node must have to run it.")
    tolerations: tuple[Toleration, ...] = Field(default=(), strict=False, description="Taints that it puts up with.")
    resources: Resources = Field(default=Resources(), description="What one worker asks of its node.")
    spillover_after_seconds: Seconds | Absent = Field(
        default=None,
        description="This pool is taken when the pool before it could not place its workers for so many seconds. "
        "Left out: only when that one is at its maxReplicas.",
    )
    template: dict[str, JsonValue] = Field(
        default={},
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        description="Anything else of a pod template, merged strategically into the generated one.",
    )

    @property
    def gpu_count(self) -> int:
        """Whole GPUs of one worker, with the default applied."""
        return self.gpus if self.gpus is not None else int(self.worker_class == "gpu")

    @model_validator(mode="after")
    def _gpus_belong_to_gpu_workers(self) -> Self:
        if self.gpus and self.worker_class != "gpu":
            raise ValueError(f"gpus ({self.gpus}) is for class gpu only: set class: gpu or remove gpus")
        return self
