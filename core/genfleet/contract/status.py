"""What the controller says of a GenerationQueue in its `status`: written for people and tools, never read to decide."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from genfleet.contract.fields import Absent, Part
from genfleet.contract.reasons import Reason

Time = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", max_length=20)
]
"""A moment as Kubernetes writes it: 2026-11-23T15:33:42Z."""
Count = Annotated[int, Field(ge=0)]


class Told(Part):
    """A part of the status. Programs write it, by the names of its fields."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)


class Condition(Told):
    """One aspect of the queue, in the usual shape, so that `kubectl wait --for=condition=Ready` works."""

    type: Literal["Ready", "ScalingActive", "ScalingLimited", "Degraded"] = Field(
        description="Ready: as many workers are ready as are wanted. ScalingActive: the work is seen and followed. "
        "ScalingLimited: a bound decides, not the work. Degraded: something needs a person's attention."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it is so.")
    reason: str = Field(max_length=64, description="Why, in one word.")
    message: str = Field(default="", max_length=1024, description="Why, in a sentence.")
    last_transition_time: Time = Field(description="When the status last changed.")
    observed_generation: Count = Field(default=0, description="The metadata.generation that it is about.")


class LastDecision(Told):
    """The last change of the fleet's size, or of the reason for it."""

    replicas: Count = Field(description="Workers that are to be there.")
    reason: Reason = Field(description="The rule that made the number.")
    message: str = Field(max_length=1024, description="The reason with its numbers.")
    time: Time = Field(description="When it was decided.")


class PoolStatus(Told):
    """The workers of one pool."""

    name: str = Field(max_length=63, description="Name of the pool.")
    deployment: str = Field(
        default="", max_length=253, description="The Deployment that gets its workers, if there is one."
    )
    replicas: Count = Field(default=0, description="Workers that are there or on their way, draining ones not counted.")
    ready: Count = Field(default=0, description="Workers that take work.")
    draining: Count = Field(default=0, description="Workers that finish what they have and leave.")
    outdated: Count = Field(default=0, description="Workers of an earlier revision; they leave as they fall idle.")
    unschedulable: Count = Field(default=0, description="Workers for which no node has room.")
    failing: Count = Field(default=0, description="Workers that crash, cannot be made, or are not heard of.")
    message: str = Field(default="", max_length=512, description="Why workers of this pool do not start, if so.")


class QueueStatus(Told):
    """What was seen of the queue, and what came of it."""

    observed_generation: Count = Field(default=0, description="The metadata.generation that was last acted on.")
    waiting: Count | Absent = Field(default=None, description="Tasks that no worker holds. Not there: not known.")
    running: Count | Absent = Field(default=None, description="Tasks that a worker holds. Not there: not known.")
    oldest_wait_seconds: Count | Absent = Field(
        default=None, description="How long the oldest waiting task has waited. Not there: none waits, or not known."
    )
    desired: Count = Field(default=0, description="Workers that are to be there.")
    replicas: Count = Field(default=0, description="Workers that are there or on their way, draining ones not counted.")
    ready: Count = Field(default=0, description="Workers that take work.")
    draining: Count = Field(default=0, description="Workers that finish what they have and leave.")
    workers: str = Field(
        default="0/0", max_length=32, description="Ready and desired workers, and those that drain, for people."
    )
    degraded: str = Field(
        default="",
        max_length=64,
        description="The reason of condition Degraded, if something needs a person's attention.",
    )
    message: str = Field(
        default="",
        max_length=1024,
        description="What needs a person's attention; or, if nothing does, why there are so many workers.",
    )
    selector: str = Field(default="", max_length=512, description="Label selector of the workers' pods.")
    last_decision: LastDecision | Absent = Field(default=None, description="The last change of size or reason.")
    pools: tuple[PoolStatus, ...] = Field(
        default=(), strict=False, max_length=20, description="The workers by pool, in the order of spec.pools."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        strict=False,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="The state of the queue under four aspects.",
    )
