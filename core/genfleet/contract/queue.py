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
from genfleet.contract.rules import Rule, checked_by
from genfleet.contract.task_types import QUEUES
from genfleet.errors import ConfigurationError

API_VERSION = "genfleet.dev/v1alpha1"
KIND = "GenerationQueue"
LONGEST_NAME = 63
"""Of `<queue>-<pool>`, in characters: Kubernetes takes no more in a name that becomes part of others."""
NAME = "Name of the resource: lower-case letters, digits and inner hyphens, at most 52, such as gpu-heavy."

NAME_FITS = Rule(
    holds=f"size(self.metadata.name) <= 52 && self.metadata.name.matches('{LABEL}')",
    sentence=f"metadata.name: '{{name}}' does not fit. {NAME}",
    values={"name": "self.metadata.name"},
)
NAMES_FIT_TOGETHER = Rule(
    holds=f"self.spec.pools.all(pool, size(self.metadata.name) + 1 + size(pool.name) <= {LONGEST_NAME})",
    sentence="metadata.name and a pool's name make '{name}-{pool}', longer than the "
    f"{LONGEST_NAME} characters that Kubernetes takes: shorten one of them",
    values={
        "name": "self.metadata.name",
        "pool": f"self.spec.pools.filter(pool, size(self.metadata.name) + 1 + size(pool.name) > {LONGEST_NAME})[0].name",
    },
)
ONE_TARGET = Rule(
    holds="has(self.waitSeconds) != has(self.tasksPerWorker)",
    sentence="set exactly one of waitSeconds and tasksPerWorker",
)
MINIMUM_BELOW_MAXIMUM = Rule(
    holds="self.minReplicas <= self.maxReplicas",
    sentence="spec.scaling.minReplicas ({minimum}) must not be above spec.scaling.maxReplicas ({maximum}): lower it or "
    "raise maxReplicas",
    values={"minimum": "self.minReplicas", "maximum": "self.maxReplicas"},
)
WINDOWS_BELOW_MAXIMUM = Rule(
    holds="!has(self.schedule) || self.schedule.all(entry, entry.minReplicas <= self.maxReplicas)",
    sentence="spec.scaling.schedule[{at}].minReplicas ({minimum}) must not be above spec.scaling.maxReplicas "
    "({maximum}): lower it or raise maxReplicas",
    values={
        "at": "self.schedule.map(entry, entry.minReplicas > self.maxReplicas).indexOf(true)",
        "minimum": "self.schedule.filter(entry, entry.minReplicas > self.maxReplicas)[0].minReplicas",
        "maximum": "self.maxReplicas",
    },
)
SOME_POOL = Rule(
    holds="size(self.pools) > 0",
    sentence="spec.pools is empty: name a pool, or leave pools out for one without wishes",
)
POOLS_DIFFER = Rule(
    holds="self.pools.all(pool, self.pools.exists_one(other, other.name == pool.name))",
    sentence="spec.pools: two pools are named '{name}': give each its own name",
    values={"name": "self.pools.filter(pool, !self.pools.exists_one(other, other.name == pool.name))[0].name"},
)
_ROOM = "self.pools.map(pool, has(pool.maxReplicas) ? pool.maxReplicas : self.scaling.maxReplicas).sum()"
POOLS_HOLD_MAXIMUM = Rule(
    holds=f"size(self.pools) == 0 || {_ROOM} >= self.scaling.maxReplicas",
    sentence="spec.scaling.maxReplicas ({maximum}) cannot be reached, as the pools hold {room} together: lower it, or "
    "raise maxReplicas of a pool or leave it out",
    values={"maximum": "self.scaling.maxReplicas", "room": _ROOM},
)
QUEUE_STAYS = Rule(
    holds="self == oldSelf",
    sentence="spec.queue cannot be changed, as its workers would not know whose tasks they hold: delete this resource and "
    "make another",
)
"""For the API server alone, which knows what was there before."""
FIRST_POOL_WAITS_FOR_NONE = Rule(
    holds="size(self.pools) == 0 || !has(self.pools[0].spilloverAfterSeconds)",
    sentence="spec.pools[0].spilloverAfterSeconds has no pool before it to wait for: remove it",
)


class Metadata(Part):
    """The part of Kubernetes' object metadata that is read here. The rest of it (uid, generation, …) is let through."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(max_length=52, pattern=LABEL, description=NAME)
    namespace: str | Absent = Field(default=None, description="Where it lives. The local fleet does not look at it.")
    labels: dict[str, str] = Field(default={}, description="For selecting. Nothing is read from them.")
    annotations: dict[str, str] = Field(default={}, description="For tools. Nothing is read from them.")


class Target(Part):
    """How fast work is to be done: exactly one of waitSeconds and tasksPerWorker. Left out: {waitSeconds: 60}."""

    # Atomic: whoever applies another target replaces this one, and does not add a second kind to it.
    model_config = ConfigDict(json_schema_extra=checked_by(ONE_TARGET) | {"x-kubernetes-map-type": "atomic"})

    wait_seconds: Annotated[int, Field(ge=1, le=DAY)] | Absent = Field(
        default=None,
        description="Seconds within which all work that is there is to be done, such as 60. From the measured time of one "
        "task follows how many workers that takes; never more than there are tasks.",
    )
    tasks_per_worker: Annotated[int, Field(ge=1, le=10_000)] | Absent = Field(
        default=None,
        description="Tasks, waiting and running, for which one worker is wanted, however long they take. As many as "
        "spec.concurrency: no task waits for another while maxReplicas allows.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.wait_seconds is None) == (self.tasks_per_worker is None):
            raise ValueError(ONE_TARGET.says())
        return self


class ScheduleEntry(Part):
    """A window of time in which at least so many workers are kept, whatever the work.

    Example: {cron: "0 8 * * 1-5", duration: 10h, minReplicas: 2, timeZone: Europe/Berlin}.
    """

    cron: Cron = Field(
        description="When the window opens: five fields of a cron expression, which are minute, hour, day of month, month "
        'and day of week. "0 8 * * 1-5" is eight in the morning from Monday to Friday.'
    )
    duration: Duration = Field(description="How long it stays open: such as 10h, 30m or 1h30m, at most 31 days.")
    min_replicas: Replicas = Field(
        description="Workers kept while it is open. Of several open windows, and of spec.scaling.minReplicas, the highest "
        "counts."
    )
    time_zone: TimeZone = Field(
        default="UTC", description="Time zone in which cron is read: an IANA name such as Europe/Berlin."
    )

    @property
    def seconds(self) -> int:
        """How long the window stays open."""
        return seconds_of(self.duration)


class Scaling(Part):
    """How many workers there may be, and how fast they come and go.

    Workers are added at once when the work needs them. They leave when they have been idle for the cooldown; a worker
    that holds a task is never stopped. The status says which rule made the present number.
    """

    model_config = ConfigDict(json_schema_extra=checked_by(MINIMUM_BELOW_MAXIMUM, WINDOWS_BELOW_MAXIMUM))

    min_replicas: Replicas = Field(
        default=0,
        description="Workers kept without any work. 0: none, and the first task wakes the fleet. This is the number that "
        "kubectl scale sets.",
    )
    max_replicas: Replicas = Field(default=10, description="Workers at most, of all pools together.")
    target: Target = Target.model_validate({"waitSeconds": 60})
    cooldown_seconds: Seconds = Field(
        default=120,
        description="Seconds a worker may idle before it leaves. The default is about what a GPU worker takes to "
        "start and to load its model: to let it go sooner costs more than it saves.",
    )
    schedule: tuple[ScheduleEntry, ...] = Field(
        default=(),
        strict=False,
        max_length=50,
        description="Windows of time with a higher minimum, such as two warm workers in office hours.",
    )

    @model_validator(mode="after")
    def _minimums_below_maximum(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(MINIMUM_BELOW_MAXIMUM.says(minimum=self.min_replicas, maximum=self.max_replicas))
        for at, entry in enumerate(self.schedule):
            if entry.min_replicas > self.max_replicas:
                raise ValueError(
                    WINDOWS_BELOW_MAXIMUM.says(at=at, minimum=entry.min_replicas, maximum=self.max_replicas)
                )
        return self


class Spec(Part):
    """What is wanted of the queue: who serves it, how many of them, and where they run."""

    model_config = ConfigDict(
        json_schema_extra=checked_by(SOME_POOL, POOLS_DIFFER, POOLS_HOLD_MAXIMUM, FIRST_POOL_WAITS_FOR_NONE)
    )

    queue: str = Field(
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        json_schema_extra=checked_by(QUEUE_STAYS),
        description="The broker's name of the queue: letters, digits, '_', '.' and '-', at most 100, such as gpu_heavy. "
        f"Task types of this version are routed to {', '.join(QUEUES)}.",
    )
    concurrency: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Tasks one worker runs at once, each in a process of its own. The default suits one GPU, one model.",
    )
    scaling: Scaling = Scaling()
    pools: tuple[Pool, ...] = Field(
        default=(Pool.model_validate({"name": "default"}),),
        strict=False,
        max_length=20,
        json_schema_extra={"default": [{"name": "default"}], "minItems": 1, "x-kubernetes-list-type": "atomic"},
        description="Where the workers run, in order of preference: the first pool is filled first. Each has a name of its "
        "own and becomes one Deployment.",
    )
    paused: bool = Field(
        default=False,
        description="No work is handed out and no worker is added; workers that hold a task finish it and leave, also "
        "below minReplicas. Work that is submitted meanwhile waits.",
    )

    @model_validator(mode="after")
    def _pools_differ(self) -> Self:
        if not self.pools:  # not as `min_length`: pydantic counts only the valid ones, and would complain twice
            raise ValueError(SOME_POOL.says())
        names = [pool.name for pool in self.pools]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(POOLS_DIFFER.says(name=name))
        return self

    @model_validator(mode="after")
    def _pools_hold_the_maximum(self) -> Self:
        wanted = self.scaling.max_replicas
        room = sum(wanted if pool.max_replicas is None else pool.max_replicas for pool in self.pools)
        if room < wanted:
            raise ValueError(POOLS_HOLD_MAXIMUM.says(maximum=wanted, room=room))
        return self

    @model_validator(mode="after")
    def _first_pool_waits_for_none(self) -> Self:
        if self.pools[0].spillover_after_seconds is not None:
            raise ValueError(FIRST_POOL_WAITS_FOR_NONE.says())
        return self


class GenerationQueue(Part):
    """One Celery queue and the pools of workers that serve it."""

    model_config = ConfigDict(json_schema_extra=checked_by(NAME_FITS, NAMES_FIT_TOGETHER))

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
            if len(f"{self.metadata.name}-{pool.name}") > LONGEST_NAME:
                raise ValueError(NAMES_FIT_TOGETHER.says(name=self.metadata.name, pool=pool.name))
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
