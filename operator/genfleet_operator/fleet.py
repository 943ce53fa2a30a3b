"""One queue and its workers: what was read of it, what was decided last, and what the next look needs to know."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import ValidationError

from genfleet.contract.queue import GenerationQueue
from genfleet.contract.status import QueueStatus
from genfleet.contract.task_types import QUEUES
from genfleet.errors import ConfigurationError
from genfleet.scaling.decide import Memory
from genfleet.scaling.moves import PoolView
from genfleet.scaling.policy import Policy
from genfleet_operator import metrics
from genfleet_operator.blueprint import Blueprint, Installation, Revision, blueprint
from genfleet_operator.busy_stops import BusyStops
from genfleet_operator.report import Fault, Trouble
from genfleet_operator.sight import Sight
from genfleet_operator.world import Key, QueueDocument

REOPEN_S = 300.0
"""How long a pool that passed workers on takes no new ones."""
COST_AGAIN_S = 2.0
"""A deletion cost that was set is not set again for so long: a watch that lags has not shown it yet."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A Deployment of a new revision that the API server did not take."""

    trouble: Trouble
    tries: int
    again_at: float
    """When it is tried again (monotonic)."""


@dataclass
class Fleet:
    """The state of one queue."""

    document: QueueDocument
    resource: GenerationQueue | None = None
    """As it was last valid. None: it never was."""
    policy: Policy | None = None
    blueprints: tuple[Blueprint, ...] = ()
    revisions: tuple[Revision, ...] = ()
    """Those in force at the last look."""
    refused: dict[str, Refused] = field(default_factory=dict)
    """New Deployments that cannot come in force, by name: the pool goes on with what it has."""
    refusal: Trouble = field(default_factory=Trouble)
    """Why the present document cannot be acted on."""
    memory: Memory = ()
    told: set[str] = field(default_factory=set)
    """Ids of workers that were told to drain, and whose beat may not show it yet."""
    closed_until: dict[str, float] = field(default_factory=dict)
    """When a pool that passed workers on may take new ones, by the clock of the observations."""
    applied: dict[str, int] = field(default_factory=dict)
    """Generation of each Deployment after we last applied it: another one now means that somebody changed it."""
    applying: bool = False
    """Whether writes to the API server are on their way: the next look waits for their end."""
    write_trouble: Trouble = field(default_factory=Trouble)
    """What the last writes ran into."""
    not_before: float = 0.0
    """No writes before this time (monotonic), after some that failed."""
    failures: int = 0
    contested: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Deployments that another controller scales: their generation, and since when it is that (monotonic)."""
    lowered: dict[str, float] = field(default_factory=dict)
    """When we last lowered a Deployment (monotonic)."""
    costs: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Deletion costs that we set, by pod, and when (monotonic)."""
    look_again: float = math.inf
    """When the cooldown ends (monotonic), if nothing happens before."""
    status: QueueStatus | None = None
    told_of: object = None
    """What the last report was made from: the same again needs no other one."""

    def __post_init__(self) -> None:
        self.metrics = metrics.QueueMetrics(*self.key, "")
        self.busy_stops = BusyStops(self.key)
        with suppress(ValidationError):  # of another version, or nothing yet
            self.status = QueueStatus.model_validate(self.document.status)

    @property
    def key(self) -> Key:
        """Namespace and name of the resource."""
        return self.document.key

    def read(self, document: QueueDocument, installation: Installation) -> None:
        """Take a new version of the resource. One that cannot work leaves the last good one in force."""
        self.document = document
        try:
            resource = GenerationQueue.parse(document.document, source=f"GenerationQueue {'/'.join(document.key)}")
            if resource.spec.queue not in QUEUES and not installation.any_queue:
                self.refusal = Trouble(Fault.UNKNOWN_QUEUE, _unknown(resource.spec.queue))
                return
            self.blueprints = tuple(
                blueprint(resource, document.uid, pool, installation) for pool in resource.spec.pools
            )
        except ConfigurationError as error:
            self.refusal = Trouble(Fault.INVALID_SPEC, str(error))
            return
        except Exception as error:  # noqa: BLE001  a template may hold anything anywhere; the other queues go on (T22)
            sentence = f"spec.pools: a template has a field of the wrong kind ({error}): compare it with a pod's"
            self.refusal = Trouble(Fault.INVALID_SPEC, sentence)
            return
        self.resource, self.policy, self.refusal = resource, Policy.of(resource), Trouble()
        labels = (*self.key, resource.spec.queue)
        if labels != self.metrics.labels:
            metrics.forget(*self.key)
            self.metrics = metrics.QueueMetrics(*labels)
        self.failures, self.not_before = 0, 0.0  # what was refused may have been mended by this version
        self.refused.clear()

    def may_try(self, deployment: str, now: float) -> bool:
        """Whether a new Deployment may be tried now (monotonic): one that was refused waits for its time."""
        return deployment not in self.refused or now >= self.refused[deployment].again_at

    def to_set(self, costs: Mapping[str, int], now: float) -> Mapping[str, int]:
        """Those of these deletion costs that were not set just now (monotonic)."""
        self.costs = {pod: (cost, at) for pod, (cost, at) in self.costs.items() if now - at < COST_AGAIN_S}
        return {pod: cost for pod, cost in costs.items() if pod not in self.costs or self.costs[pod][0] != cost}

    def pools(self, seen: Sight) -> Sequence[PoolView]:
        """The pools as the moves need them: what they hold, and which of their workers wait for a node in vain."""
        assert self.resource
        spec, now = self.resource.spec, seen.observation.now
        views = []
        for at, pool in enumerate(spec.pools):
            patience = spec.pools[at + 1].spillover_after_seconds if at + 1 < len(spec.pools) else None
            stuck = tuple(
                worker.view.id
                for worker in seen.workers.values()
                if worker.view.pool == pool.name
                and worker.pod
                and patience is not None
                and worker.pod.unschedulable_since is not None
                and now - worker.pod.unschedulable_since >= patience
            )
            maximum = spec.scaling.max_replicas if pool.max_replicas is None else pool.max_replicas
            closed = now < self.closed_until.get(pool.name, 0)
            views.append(PoolView(name=pool.name, maximum=maximum, stuck=stuck, closed=closed))
        return views


def _unknown(queue: str) -> str:
    return (
        f"spec.queue: no task type of this version is routed to {queue!r}, and its workers would not start: use one of "
        f"{', '.join(QUEUES)}"
    )
