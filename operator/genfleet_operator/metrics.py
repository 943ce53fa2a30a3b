"""The operator's own numbers, for Prometheus: rows of `genfleet.contract.measures`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from genfleet.contract import measures
from genfleet.exposition import counter, gauge, histogram
from genfleet.scaling.observation import Phase

REGISTRY = CollectorRegistry()
"""Ours alone: no numbers about the Python process that nobody asked for."""

WAITING = gauge(measures.DEMAND, REGISTRY)
RUNNING = gauge(measures.HELD, REGISTRY)
OLDEST_WAIT = gauge(measures.OLDEST_SEEN, REGISTRY)
DESIRED = gauge(measures.DESIRED, REGISTRY)
WORKERS = gauge(measures.WORKERS, REGISTRY)
UNSCHEDULABLE = gauge(measures.UNSCHEDULABLE, REGISTRY)
DEGRADED = gauge(measures.DEGRADED, REGISTRY)
DECISIONS = counter(measures.DECISIONS, REGISTRY)
DRAINS = counter(measures.DRAINS, REGISTRY)
BUSY_STOPPED = counter(measures.BUSY_STOPPED, REGISTRY)
REACTION = histogram(measures.REACTION, REGISTRY)
LOOK = histogram(measures.LOOK, REGISTRY)
OBSERVATION_AGE = gauge(measures.OBSERVATION_AGE, REGISTRY)
REDIS_ROUND_TRIPS = counter(measures.ROUND_TRIPS, REGISTRY)
REDIS_ERRORS = counter(measures.REDIS_ERRORS, REGISTRY)
API_REQUESTS = counter(measures.API_SERVER_REQUESTS, REGISTRY)
LEADER = gauge(measures.LEADER, REGISTRY)
QUARANTINED = gauge(measures.IN_QUARANTINE, REGISTRY)
DEAD_LETTERS = gauge(measures.LETTERS, REGISTRY)
"""The same as every API exports."""

_OF_A_QUEUE = (
    WAITING,
    RUNNING,
    OLDEST_WAIT,
    DESIRED,
    WORKERS,
    UNSCHEDULABLE,
    DEGRADED,
    DECISIONS,
    DRAINS,
    BUSY_STOPPED,
)


def forget(namespace: str, name: str) -> None:
    """A queue is no more, or another one now: nor are its numbers."""
    for metric in _OF_A_QUEUE:
        metric.remove_by_labels({"namespace": namespace, "name": name})


class QueueMetrics:
    """The metrics of one queue, looked up once: most are set at every look. A count of 0 is there from the beginning."""

    def __init__(self, namespace: str, name: str, queue: str) -> None:
        """`queue`: the one that its tasks wait in; empty where the resource does not say."""
        key = self.labels = (namespace, name, queue)
        self.waiting = WAITING.labels(*key)
        self.running = RUNNING.labels(*key)
        self.oldest_wait = OLDEST_WAIT.labels(*key)
        self.desired = DESIRED.labels(*key)
        self.workers = {phase: WORKERS.labels(*key, phase.value) for phase in Phase}
        self.unschedulable = UNSCHEDULABLE.labels(*key)
        self.degraded = DEGRADED.labels(*key)
        self.drains = DRAINS.labels(*key)
        self.busy_stopped = {by: BUSY_STOPPED.labels(*key, by) for by in ("scaling", "other")}
