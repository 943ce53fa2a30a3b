"""The GenerationQueue resource: what a person writes to declare a queue and the workers that serve it.

The custom resource definition is generated from these models, and the local fleet reads the same documents, so a
queue means the same thing on a laptop and in a cluster. Names on the wire are camelCase, here they are snake_case.
Reading a file is the program's business: `GenerationQueue.parse` is given what was in it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, ValidationError, model_validator

from genfleet.contract.faults import sentences
from genfleet.contract.fields import DAY, LABEL, Absent, Cron, Duration, Part, Replicas, Seconds, TimeZone, seconds_of
from genfleet.contract.pools import Pool
from genfleet.errors import ConfigurationError

API_VERSION = "genfleet.dev/v1alpha1"
KIND = "GenerationQueue"
LONGEST_NAME = 63
"""Of a Deployment, `<queue>-<pool>`, in characters: its pods carry it as a label, and no label may be longer."""


class Metadata(Part):
    """The part of Kubernetes' object metadata that is read here. The rest of it (uid, generation, …) is let through."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(
        max_length=52, pattern=LABEL, description="Lower-case letters, digits and inner hyphens, at most 52."
    )
    namespace: str | Absent = Field(default=None, description="Where it lives. The local fleet does not look at it.")
    labels: dict[str, str] = Field(default={}, description="For selecting. Nothing is read from them.")
    annotations: dict[str, str] = Field(default={}, description="For tools. Nothing is read from them.")


class Target(Part):
    """How fast work is to be done: exactly one of the two."""

    wait_seconds: Annotated[int, Field(ge=1, le=DAY)] | Absent = Field(
        default=None,
        description="Seconds within which all work that is there is to be done, by the measured time of one task.",
    )
    tasks_per_worker: Annotated[int, Field(ge=1, le=10_000)] | Absent = Field(
        default=None, description="Tasks, waiting and running, for which one worker is wanted."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.wait_seconds is None) == (self.tasks_per_worker is None):
            raise ValueError("set exactly one of waitSeconds and tasksPerWorker")
        return self


class ScheduleEntry(Part):
    """A window of time in which at least so many workers are kept, whatever the work."""

    cron: Cron = Field(description='When the window opens: five fields of a cron expression, such as "0 8 * * 1-5".')
    duration: Duration = Field(description="How long it stays open: such as 10h, 30m or 1h30m, at most 31 days.")
    min_replicas: Replicas = Field(description="Workers kept while it is open. Of several open windows the highest.")
    time_zone: TimeZone = Field(default="UTC", description="In which cron is read: an IANA name.")

    @property
    def seconds(self) -> int:
        """How long the window stays open."""
        return seconds_of(self.duration)


class Scaling(Part):
    """How many workers there may be, and how fast they come and go."""

    min_replicas: Replicas = Field(default=0, description="Workers kept without any work. The default keeps none.")
    max_replicas: Replicas = Field(default=10, description="Workers at most, of all pools together.")
    target: Target = Field(
        default=Target.model_validate({"waitSeconds": 60}),
        json_schema_extra={"default": {"waitSeconds": 60}},
        description="How fast work is to be done.",
    )
    cooldown_seconds: Seconds = Field(
        default=120,
        description="Seconds a worker may idle before it leaves. The default is about what a GPU worker takes to "
        "start and to load its model: to let it go sooner costs more than it saves.",
    )
    schedule: tuple[ScheduleEntry, ...] = Field(
        default=(), strict=False, max_length=50, description="Windows of time with a higher minimum."
    )

    @model_validator(mode="after")
    def _minimums_below_maximum(self) -> Self:
        minimums = {"minReplicas": self.min_replicas}
        minimums |= {f"schedule[{at}].minReplicas": entry.min_replicas for at, entry in enumerate(self.schedule)}
        for name, minimum in minimums.items():
            if minimum > self.max_replicas:
                raise ValueError(
                    f"spec.scaling.{name} ({minimum}) must not be above spec.scaling.maxReplicas "
                    f"({self.max_replicas}): lower it or raise maxReplicas"
                )
        return self


class Spec(Part):
    """What is wanted of the queue."""

    queue: str = Field(
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="The broker's name of the queue: letters, digits, '_', '.' and '-', at most 100.",
    )
    concurrency: int = Field(
        default=1, ge=1, le=256, description="Tasks one worker runs at once. The default suits one GPU, one model."
    )
    scaling: Scaling = Field(default=Scaling(), description="How many workers there may be.")
    pools: tuple[Pool, ...] = Field(
        default=(Pool.model_validate({"name": "default"}),),
        strict=False,
        max_length=20,
        json_schema_extra={"default": [{"name": "default"}], "minItems": 1},
        description="Where the workers run, in order of preference.",
    )
    paused: bool = Field(
        default=False,
        description="No work is handed out and no worker is added; workers that hold a task finish it and leave, also "
        "below minReplicas. Work that is submitted meanwhile waits.",
    )

    @model_validator(mode="after")
    def _pools_differ(self) -> Self:
        if not self.pools:  # not as `min_length`: pydantic counts only the valid ones, and would complain twice
            raise ValueError("spec.pools is empty: name a pool, or leave pools out for one without wishes")
        names = [pool.name for pool in self.pools]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"spec.pools: two pools are named {name!r}: give each its own name")
        return self

    @model_validator(mode="after")
    def _pools_hold_the_maximum(self) -> Self:
        wanted = self.scaling.max_replicas
        room = sum(wanted if pool.max_replicas is None else pool.max_replicas for pool in self.pools)
        if room < wanted:
            raise ValueError(
                f"spec.scaling.maxReplicas ({wanted}) cannot be reached, as the pools hold {room} together: "
                "lower it, or raise maxReplicas of a pool or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _first_pool_waits_for_none(self) -> Self:
        if self.pools[0].spillover_after_seconds is not None:
            raise ValueError("spec.pools[0].spilloverAfterSeconds has no pool before it to wait for: remove it")
        return self


class GenerationQueue(Part):
    """One Celery queue and the pools of workers that serve it."""

    api_version: Literal["genfleet.dev/v1alpha1"] = Field(description="The version of this schema.")
    kind: Literal["GenerationQueue"] = Field(description="What this is.")
    metadata: Metadata = Field(description="Its name, and what tools attach to it.")
    spec: Spec = Field(description="What is wanted of the queue.")
    status: dict[str, JsonValue] = Field(
        default={}, description="What the controller reports. It is written only, never a source of a decision."
    )

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        for pool in self.spec.pools:
            name = f"{self.metadata.name}-{pool.name}"
            if len(name) > LONGEST_NAME:
                raise ValueError(
                    f"metadata.name and a pool's name make {name!r}, {len(name)} characters where Kubernetes takes "
                    f"{LONGEST_NAME}: shorten one of them"
                )
        return self

    @classmethod
    def parse(cls, document: object, *, source: str) -> Self:
        """The queue that a parsed YAML or JSON document declares. `source` (a file name) tells people where to look.

        Raises ConfigurationError with one line per fault: the source, the path of the field, and the remedy.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise ConfigurationError("\n".join(f"{source}: {line}" for line in sentences(error, cls))) from error
