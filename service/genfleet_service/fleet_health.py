"""The numbers of the metrics and health endpoints, worked out from what the store saw. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.contract.redis_terms import Finding, Severity, worse
from genfleet.contract.task_types import TASK_TYPES
from genfleet.store.records import Overview, QueueSeen, Survey, WorkerSeen
from genfleet_service.views import Moment

GB = 1_000_000_000
"""The documents' GB."""
LONG_RUN = timedelta(minutes=8)
VERY_LONG_RUN = timedelta(minutes=9.5)
RECENT = timedelta(minutes=10)
"""Window of the alert on recent failures."""
RECENT_LEAST = 5
"""Outcomes below which a recent failure rate says nothing."""
UNSERVED = timedelta(minutes=1)
"""How long a task may wait where nobody serves its queue: a worker that is started by hand takes a moment."""


class Counts(TypedDict):
    """The six numbers of queue health (TS-071)."""

    total_tasks: int
    completed_tasks: int
    failed_tasks: int
    success_rate: float
    failure_rate: float
    currently_running: int


class Metrics(Counts):
    """Counters since the store was made, and rates in percent (TS-063, TS-064).

    `retried_tasks` counts automatic retries, each by itself; a retry that somebody asks for is a new task, in `total_tasks`.
    """

    retried_tasks: int
    cancelled_tasks: int
    average_durations: dict[str, float]


class Losses(TypedDict):
    """What was lost and came back, and what waits for people.

    `quarantined` and `dead_letters` are those there now; the others count since the store was made, and `dropped_…` what
    nobody looked at in time.
    """

    quarantined: int
    dead_letters: int
    lost_workers_total: int
    recovered_messages_total: int
    quarantined_total: int
    dropped_quarantined_total: int
    dead_letters_total: int
    dropped_dead_letters_total: int


class MetricsBody(TypedDict):
    """Lasting numbers of all tasks (TS-063), and what was lost on the way."""

    metrics: Metrics
    losses: Losses
    timestamp: Moment


class Alert(TypedDict):
    """Something to look at (TS-073). `task_id` only where the alert is about one task."""

    severity: Annotated[str, Field(json_schema_extra={"enum": ["warning", "critical"]})]
    message: str
    metric: str
    value: float
    task_id: NotRequired[str]


class QueueHealthBody(TypedDict):
    """Whether the queues are well, and what to look at if not (TS-070 to TS-074)."""

    status: Annotated[str, Field(json_schema_extra={"enum": ["healthy", "warning", "critical"]})]
    metrics: Counts
    alerts: list[Alert]
    timestamp: Moment


class SystemLoad(TypedDict):
    """Load of the machines that run tasks (TS-058)."""

    cpu_percent: float
    memory_percent: float
    gpu_utilization: list[float]


@dataclass(frozen=True, slots=True)
class Threshold:
    """When a number is worth a warning, and when it is critical; strictly above (TS-075)."""

    warning: float
    critical: float

    def severity(self, value: float) -> str | None:
        """`warning`, `critical`, or None."""
        return "critical" if value > self.critical else "warning" if value > self.warning else None


FAILURE_RATE = Threshold(10, 20)
TASK_SECONDS = Threshold(LONG_RUN.total_seconds(), VERY_LONG_RUN.total_seconds())
WORKER_MEMORY = Threshold(1.5 * GB, 1.9 * GB)


def _rate(part: int, whole: int) -> float:
    """Percent, one decimal; nothing of nothing is 0 (TS-065)."""
    return round(100 * part / whole, 1) if whole else 0.0


def counts(seen: Overview) -> Counts:
    """TS-071."""
    total, completed, failed = (seen.counters.get(f"{name}_tasks", 0) for name in ("total", "completed", "failed"))
    return {
        "total_tasks": total,
        "completed_tasks": completed,
        "failed_tasks": failed,
        "success_rate": _rate(completed, total),
        "failure_rate": _rate(failed, total),
        "currently_running": seen.running,
    }


def metrics(seen: Overview) -> Metrics:
    """TS-063, TS-064."""
    return {
        **counts(seen),
        "retried_tasks": seen.counters.get("retried_tasks", 0),
        "cancelled_tasks": seen.counters.get("cancelled_tasks", 0),
        "average_durations": average_durations(seen.counters),
    }


def losses(seen: Overview, survey: Survey) -> Losses:
    """What people may have to see to."""
    count = seen.counters.get
    return {
        "quarantined": survey.quarantined,
        "dead_letters": survey.dead_letters,
        "lost_workers_total": count("lost_workers", 0),
        "recovered_messages_total": count("recovered_messages", 0),
        "quarantined_total": count("quarantined_tasks", 0),
        "dropped_quarantined_total": count("dropped_quarantined", 0),
        "dead_letters_total": count("dead_letters", 0),
        "dropped_dead_letters_total": count("dropped_dead_letters", 0),
    }


def average_durations(counters: Mapping[str, int]) -> dict[str, float]:
    """Mean run time in seconds by task type, of those that were completed (TS-066)."""
    runs = {name: counters.get(f"runs:{name}", 0) for name in TASK_TYPES}
    return {name: round(counters[f"run_ms:{name}"] / count / 1000, 1) for name, count in runs.items() if count}


def alerts(seen: Overview, queues: Iterable[QueueSeen], redis: tuple[Finding, ...] = ()) -> list[Alert]:
    """Everything that somebody should look at (TS-072, TS-075, TS-076, TS-119)."""
    found = [
        *map(_redis_alert, worse(redis)),
        *_failure_alerts("failure_rate", "failure rate", seen.counters.get("failed_tasks", 0), _total(seen)),
        *_recent_failures(seen),
        *_long_runs(seen),
    ]
    for queue in queues:
        found += _unserved(queue)
        for worker in queue.workers:
            found += _memory_alerts(worker)
            found += _trouble(worker)
    return found


def _redis_alert(finding: Finding) -> Alert:
    severity = "critical" if finding.severity is Severity.FAILURE else "warning"
    return {"severity": severity, "message": f"Redis: {finding}", "metric": f"redis_{finding.check}", "value": 1}


def name_of(alert: Alert) -> str:
    """The same for as long as it is about the same: its metric, and what it is about where there are several."""
    if alert["metric"] == "memory_usage":
        return f"memory_usage:{alert['message'].partition(' uses ')[0]}"
    if alert["metric"] == "unserved_queue":
        return f"unserved_queue:{alert['message'].partition(':')[0]}"
    if alert["metric"] == "broken_worker":
        return f"broken_worker:{alert['message'].partition(':')[0]}"
    return f"{alert['metric']}:{alert['task_id']}" if "task_id" in alert else alert["metric"]


def worst(found: Iterable[Alert]) -> str:
    """TS-074."""
    severities = {alert["severity"] for alert in found}
    return next((word for word in ("critical", "warning") if word in severities), "healthy")


def _total(seen: Overview) -> int:
    return seen.counters.get("total_tasks", 0)


def _failure_alerts(metric: str, name: str, failed: int, total: int) -> list[Alert]:
    rate = 100 * failed / total if total else 0.0
    severity = FAILURE_RATE.severity(rate)
    if severity is None:
        return []
    word = "Elevated" if severity == "warning" else "Critical"
    return [{"severity": severity, "message": f"{word} {name}: {rate:.2f}%", "metric": metric, "value": round(rate, 2)}]


def _recent_failures(seen: Overview) -> list[Alert]:
    outcomes = seen.recent_completed + seen.recent_failed
    if outcomes < RECENT_LEAST:
        return []
    name = f"failure rate of the last {RECENT.seconds // 60} minutes"
    return _failure_alerts("recent_failure_rate", name, seen.recent_failed, outcomes)


def _long_runs(seen: Overview) -> list[Alert]:
    found: list[Alert] = []
    for task_id, run_ms in seen.long_running:
        seconds = run_ms // 1000
        severity = TASK_SECONDS.severity(run_ms / 1000)
        if severity:
            message = f"Task {task_id} running for {seconds} seconds"
            found.append(
                {
                    "severity": severity,
                    "message": message,
                    "metric": "task_duration",
                    "value": seconds,
                    "task_id": task_id,
                }
            )
    return found


def _unserved(queue: QueueSeen) -> list[Alert]:
    """Tasks wait, no worker listens, and no fleet controller is going to start one. A fleet at zero is no such case."""
    waited_ms = queue.oldest_wait_ms or 0
    if queue.workers or queue.fleet is not None or queue.paused or waited_ms <= UNSERVED.total_seconds() * 1000:
        return []
    message = f"{queue.queue}: tasks have waited for {waited_ms // 1000} seconds, and no worker serves this queue"
    return [{"severity": "critical", "message": message, "metric": "unserved_queue", "value": queue.waiting}]


def _trouble(worker: WorkerSeen) -> list[Alert]:
    """It says so itself: it takes nothing more, and ends when its work is done, so that another is started."""
    trouble = worker.about.get("trouble")
    if not trouble:
        return []
    message = f"{worker.id}: {trouble}"
    return [{"severity": "warning", "message": message, "metric": "broken_worker", "value": worker.held}]


def _memory_alerts(worker: WorkerSeen) -> list[Alert]:
    found: list[Alert] = []
    for pid, used in worker.about.get("memory_bytes", {}).items():
        severity = WORKER_MEMORY.severity(used)
        if severity:
            message = f"Process {pid} of worker {worker.id} uses {used / GB:.2f}GB of memory"
            found.append({"severity": severity, "message": message, "metric": "memory_usage", "value": used})
    return found


def queue_sizes(queues: Iterable[QueueSeen]) -> dict[str, int]:
    """Waiting tasks by queue, all priorities (TS-059). The three documented keys, and the others (PI-005)."""
    return {seen.queue: seen.waiting for seen in queues}


def system_load(workers: Iterable[WorkerSeen]) -> SystemLoad:
    """Load of the machines that run tasks, each machine counted once (TS-057, TS-058)."""
    hosts = {worker.about["host"]: worker.about for worker in workers if "host" in worker.about}
    return {
        "cpu_percent": _mean(host.get("cpu_percent", 0.0) for host in hosts.values()),
        "memory_percent": _mean(host.get("memory_percent", 0.0) for host in hosts.values()),
        "gpu_utilization": [percent for host in hosts.values() for percent in host.get("gpu_utilization", ())],
    }


def _mean(numbers: Iterable[float]) -> float:
    values = list(numbers)
    return round(sum(values) / len(values), 1) if values else 0.0
