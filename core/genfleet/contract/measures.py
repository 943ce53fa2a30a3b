"""Every number that genfleet exports, in one place: name, kind, unit, labels, and what it means.

The programs make their metrics from these rows, the page `docs/metrics.md` is made from them, and dashboards and alerts take
names from here. Labels are words of closed lists, or names of queues and pools: never an id, never free text.

What happens to tasks and webhooks is counted in Redis, by the very scripts that do it (`store/measures.py`): in the same step,
so that it counts exactly once, whatever dies; and outside every worker, so that one that is gone takes nothing with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Bounds of what tasks wait and run, in seconds: from a prompt that is answered at once to an hour's rendering."""
ANSWER_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Bounds of what the API takes to answer."""
REACTION_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
"""Bounds of what the operator takes to react."""


class Kind(StrEnum):
    """What Prometheus calls its type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Who exports it, and so what may be added up.

    `FLEET`: one number of the whole fleet, kept in Redis. Every process of the API exports the same one: take the maximum over
    instances, not the sum. `API` and `OPERATOR`: of one process.
    """

    FLEET = "fleet"
    API = "api"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric."""

    name: str
    """As it is exported: a counter's ends with `_total`."""
    kind: Kind
    source: Source
    means: str
    """A sentence."""
    labels: tuple[str, ...] = ()
    unit: str = ""
    """`seconds`, `bytes`, `percent`; empty: a number of things."""
    bounds: tuple[float, ...] = ()
    """Of a histogram's buckets."""


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    """For good."""
    RETRIED = "retried"
    """Failed for a passing reason; another attempt is due."""
    LOST = "lost"
    """With its worker or its process: a lease ran out, or a watchdog took it away."""
    HANDED_BACK = "handed_back"
    """Its worker had to stop. Nothing is counted against it."""
    CANCELLED = "cancelled"


class Cause(StrEnum):
    """Why an attempt failed, as far as a label may say."""

    TIMEOUT = "timeout"
    """The soft time limit, or a service that did not answer in time."""
    CONNECTION = "connection"
    """A service could not be reached."""
    HTTP = "http"
    """A service answered with an error."""
    MEMORY = "memory"
    EXHAUSTED = "exhausted"
    """Disk, files or processes."""
    ENGINE = "engine"
    """The engine says itself that it failed, or raised something else."""
    INPUT = "input"
    """What was submitted cannot be done."""


class WebhookOutcome(StrEnum):
    """What came of one attempt to deliver a webhook."""

    DELIVERED = "delivered"
    RETRIED = "retried"
    FAILED = "failed"
    """For good."""


_TASK = ("queue", "type")
_OPERATED = ("namespace", "name", "queue")


def _counter(name: str, means: str, *labels: str, source: Source = Source.FLEET) -> Measure:
    return Measure(name, Kind.COUNTER, source, means, labels)


def _gauge(name: str, means: str, *labels: str, unit: str = "", source: Source = Source.FLEET) -> Measure:
    return Measure(name, Kind.GAUGE, source, means, labels, unit)


def _histogram(
    name: str, means: str, *labels: str, bounds: tuple[float, ...] = SECONDS, source: Source = Source.FLEET
) -> Measure:
    return Measure(name, Kind.HISTOGRAM, source, means, labels, "seconds", bounds)


# -- tasks: counted in Redis by the step that does it --------------------------------------------------------------------

SUBMITTED = _counter("genfleet_tasks_submitted_total", "Tasks that were accepted.", *_TASK)
ENDED = _counter("genfleet_tasks_total", "Tasks that ended, by how: completed, failed, cancelled.", *_TASK, "state")
ATTEMPTS = _counter("genfleet_attempts_total", f"Attempts that ended, by how: {', '.join(Outcome)}.", *_TASK, "outcome")
FAILURES = _counter("genfleet_failures_total", f"Attempts that failed, by why: {', '.join(Cause)}.", *_TASK, "cause")
WAIT = _histogram(
    "genfleet_queue_wait_seconds",
    "From when an attempt was due until a worker claimed it: what the fleet makes people wait.",
    *_TASK,
)
START = _histogram(
    "genfleet_task_start_seconds", "From submission, or the time that was asked for, to the first start.", *_TASK
)
RUN = _histogram("genfleet_run_seconds", "How long an attempt ran, whatever came of it.", *_TASK)
STALE = _counter(
    "genfleet_stale_results_total",
    "Results that were refused: the task had been given to another, or had failed meanwhile.",
    *_TASK,
)
SET_ASIDE = _counter("genfleet_dead_letters_total", "Messages and records that could not be judged and were set aside.")
POISONED = _counter("genfleet_quarantined_tasks_total", "Tasks that took three workers with them.")
RECOVERED = _counter("genfleet_recovered_messages_total", "Messages that were lost on the way and sent again.")
OVERDUE = _counter("genfleet_overdue_tasks_total", "Tasks that had not started by their deadline, and failed.")
WEBHOOKS = _counter(
    "genfleet_webhook_attempts_total",
    f"Attempts to deliver a webhook, by outcome: {', '.join(WebhookOutcome)}.",
    "outcome",
)

# -- the fleet as it is now ----------------------------------------------------------------------------------------------

WAITING = _gauge(
    "genfleet_tasks_waiting", "Tasks in line, by priority: 1 (a person waits) to 3 (batch).", "queue", "priority"
)
RUNNING = _gauge("genfleet_tasks_running", "Tasks that a worker holds.", "queue")
SCHEDULED = _gauge("genfleet_tasks_scheduled", "Tasks that wait for their time or their next attempt.", "queue")
OLDEST = _gauge(
    "genfleet_oldest_wait_seconds", "How long the first in line has waited; 0: nobody does.", "queue", unit="seconds"
)
PAUSED = _gauge("genfleet_queue_paused", "1 while nothing of it may start.", "queue")
WORKERS_SEEN = _gauge(
    "genfleet_fleet_workers",
    "Workers that Redis hears of, by what they say: ready, draining, drained, broken.",
    "queue",
    "state",
)
SLOTS = _gauge("genfleet_fleet_slots", "Tasks that these workers can run at once.", "queue")
WORKER_MEMORY = _gauge(
    "genfleet_worker_memory_bytes", "Memory of the largest worker, all its processes together.", "queue", unit="bytes"
)
FLEET_MEMORY = _gauge("genfleet_fleet_memory_bytes", "Memory of all workers together.", "queue", unit="bytes")
GPU = _gauge("genfleet_gpu_utilization_percent", "How busy the GPUs are, on average.", "queue", unit="percent")
GPU_COUNT = _gauge("genfleet_gpus", "GPUs that workers see.", "queue")
GPU_MEMORY = _gauge(
    "genfleet_gpu_memory_bytes", "Memory of these GPUs, by what it is: used, total.", "queue", "what", unit="bytes"
)
IN_QUARANTINE = _gauge("genfleet_tasks_in_quarantine", "Tasks in quarantine now.")
LETTERS = _gauge("genfleet_dead_letters_waiting", "Dead letters that nobody has seen to.")
WEBHOOKS_DUE = _gauge("genfleet_webhooks_due", "Webhooks that are to be delivered, now or later.")
REDIS_MEMORY = _gauge("genfleet_redis_memory_bytes", "Memory that Redis uses.", unit="bytes")
REDIS_MEMORY_MOST = _gauge("genfleet_redis_memory_limit_bytes", "Its maxmemory; 0: it has none.", unit="bytes")
REDIS_CLIENTS = _gauge("genfleet_redis_clients", "Connections to Redis.")

# -- one process of the API ----------------------------------------------------------------------------------------------

API_REQUESTS = _counter(
    "genfleet_api_requests_total",
    "Requests, by method, route (its pattern; `other`: none fits) and status.",
    "method",
    "route",
    "status",
    source=Source.API,
)
API_SECONDS = _histogram(
    "genfleet_api_request_seconds",
    "From a request to the end of its answer; streams not included.",
    "route",
    bounds=ANSWER_SECONDS,
    source=Source.API,
)
API_ROUND_TRIPS = _counter("genfleet_api_redis_round_trips_total", "Round trips to Redis.", source=Source.API)
API_REDIS_ERRORS = _counter("genfleet_api_redis_errors_total", "Round trips to Redis that failed.", source=Source.API)
API_REDIS_UP = _gauge(
    "genfleet_api_redis_up", "1 if Redis answered this scrape; 0: what is kept there is missing.", source=Source.API
)

# -- one process of the operator -----------------------------------------------------------------------------------------


def _operated(name: str, means: str, *labels: str, unit: str = "") -> Measure:
    return _gauge(name, means, *_OPERATED, *labels, unit=unit, source=Source.OPERATOR)


DEMAND = _operated("genfleet_queue_waiting", "Tasks that no worker holds, as the operator saw them.")
HELD = _operated("genfleet_queue_running", "Tasks that a worker holds, as the operator saw them.")
OLDEST_SEEN = _operated(
    "genfleet_queue_oldest_wait_seconds",
    "How long the oldest waiting task has waited, as the operator saw it; 0 if none does.",
    unit="seconds",
)
DESIRED = _operated("genfleet_workers_desired", "Workers that are to be there.")
WORKERS = _operated("genfleet_workers", "Workers that are there, by state: starting, ready, draining.", "state")
UNSCHEDULABLE = _operated("genfleet_workers_unschedulable", "Workers for which no node has room.")
DEGRADED = _operated("genfleet_queue_degraded", "1 if something needs a person's attention.")
DECISIONS = _counter(
    "genfleet_decisions_total",
    "Changes of size or reason, by the reason.",
    *_OPERATED,
    "reason",
    source=Source.OPERATOR,
)
DRAINS = _counter("genfleet_drains_total", "Workers that were told to drain.", *_OPERATED, source=Source.OPERATOR)
BUSY_STOPPED = _counter(
    "genfleet_busy_workers_stopped_total",
    "Workers that were removed while they held a task, by who did it: scaling (must stay 0) or other, such as a node drain.",
    *_OPERATED,
    "by",
    source=Source.OPERATOR,
)
REACTION = _histogram(
    "genfleet_reaction_seconds",
    "From the wake-up of a submission to the API server's answer to more replicas.",
    bounds=REACTION_SECONDS,
    source=Source.OPERATOR,
)
LOOK = _histogram(
    "genfleet_look_seconds",
    "One look at up to 50 queues, with its decisions.",
    bounds=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
    source=Source.OPERATOR,
)
OBSERVATION_AGE = _gauge(
    "genfleet_observation_age_seconds",
    "Time since Redis last answered a look.",
    unit="seconds",
    source=Source.OPERATOR,
)
ROUND_TRIPS = _counter("genfleet_redis_round_trips_total", "Round trips to Redis.", source=Source.OPERATOR)
REDIS_ERRORS = _counter("genfleet_redis_errors_total", "Round trips to Redis that failed.", source=Source.OPERATOR)
API_SERVER_REQUESTS = _counter(
    "genfleet_api_server_requests_total",
    "Requests to the API server, watches not included, by verb and outcome (ok, a status code, unreachable).",
    "verb",
    "outcome",
    source=Source.OPERATOR,
)
LEADER = _gauge("genfleet_operator_leader", "1 while this operator leads.", source=Source.OPERATOR)

EVERY: tuple[Measure, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Measure))
"""In the order above."""
