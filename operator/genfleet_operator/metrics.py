"""The operator's own numbers, for Prometheus. Labels are a queue's namespace and name, and words of closed lists."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from genfleet.scaling.observation import Phase

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for

REGISTRY = CollectorRegistry()
"""Ours alone: no numbers about the Python process that nobody asked for."""

_QUEUE = ("namespace", "queue")

WAITING = Gauge("genfleet_queue_waiting", "Tasks that no worker holds.", _QUEUE, registry=REGISTRY)
RUNNING = Gauge("genfleet_queue_running", "Tasks that a worker holds.", _QUEUE, registry=REGISTRY)
OLDEST_WAIT = Gauge(
    "genfleet_queue_oldest_wait_seconds",
    "How long the oldest waiting task has waited; 0 if none does.",
    _QUEUE,
    registry=REGISTRY,
)
DESIRED = Gauge("genfleet_workers_desired", "Workers that are to be there.", _QUEUE, registry=REGISTRY)
WORKERS = Gauge(
    "genfleet_workers",
    "Workers that are there, by state: starting, ready, draining.",
    (*_QUEUE, "state"),
    registry=REGISTRY,
)
UNSCHEDULABLE = Gauge(
    "genfleet_workers_unschedulable", "Workers for which no node has room.", _QUEUE, registry=REGISTRY
)
DEGRADED = Gauge("genfleet_queue_degraded", "1 if something needs a person's attention.", _QUEUE, registry=REGISTRY)
QUARANTINED = Gauge("genfleet_quarantined_tasks", "Tasks in quarantine, of all queues.", registry=REGISTRY)
DEAD_LETTERS = Gauge(
    "genfleet_dead_letters", "Messages and records that were set aside, and that nobody has seen to.", registry=REGISTRY
)

DECISIONS = Counter(
    "genfleet_decisions_total", "Changes of size or reason, by the reason.", (*_QUEUE, "reason"), registry=REGISTRY
)
DRAINS = Counter("genfleet_drains_total", "Workers that were told to drain.", _QUEUE, registry=REGISTRY)
BUSY_STOPPED = Counter(
    "genfleet_busy_workers_stopped_total",
    "Workers that were removed while they held a task, by who did it: scaling (must stay 0) or other, such as a node drain.",
    (*_QUEUE, "by"),
    registry=REGISTRY,
)
REACTION = Histogram(
    "genfleet_reaction_seconds",
    "From the wake-up of a submission to the API server's answer to more replicas.",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
LOOK = Histogram(
    "genfleet_look_seconds",
    "One look at up to 50 queues, with its decisions.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
OBSERVATION_AGE = Gauge("genfleet_observation_age_seconds", "Time since Redis last answered a look.", registry=REGISTRY)
REDIS_ROUND_TRIPS = Counter("genfleet_redis_round_trips_total", "Round trips to Redis.", registry=REGISTRY)
REDIS_ERRORS = Counter("genfleet_redis_errors_total", "Round trips to Redis that failed.", registry=REGISTRY)
API_REQUESTS = Counter(
    "genfleet_api_server_requests_total",
    "Requests to the API server, watches not included, by verb and outcome (ok, a status code, unreachable).",
    ("verb", "outcome"),
    registry=REGISTRY,
)
LEADER = Gauge("genfleet_operator_leader", "1 while this operator leads.", registry=REGISTRY)

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


def forget(namespace: str, queue: str) -> None:
    """A queue is no more: nor are its numbers."""
    for metric in _OF_A_QUEUE:
        metric.remove_by_labels({"namespace": namespace, "queue": queue})


class QueueGauges:
    """The gauges of one queue, looked up once: they are set at every look."""

    def __init__(self, namespace: str, queue: str) -> None:
        key = (namespace, queue)
        self.waiting = WAITING.labels(*key)
        self.running = RUNNING.labels(*key)
        self.oldest_wait = OLDEST_WAIT.labels(*key)
        self.desired = DESIRED.labels(*key)
        self.workers = {phase: WORKERS.labels(*key, phase.value) for phase in Phase}
        self.unschedulable = UNSCHEDULABLE.labels(*key)
        self.degraded = DEGRADED.labels(*key)
