"""The numbers behind metrics and queue health, worked out from what the store saw. Pure: no server is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from genfleet.store.records import Overview, Pause, QueueSeen, WorkerSeen
from genfleet_service import fleet_health

QUIET = Overview(now_ms=0, counters={}, recent_completed=0, recent_failed=0, running=0, long_running=())


def overview(*, total: int = 0, completed: int = 0, failed: int = 0, **seen: Any) -> Overview:
    """What the store saw, with these lasting counters."""
    counters = {"total_tasks": total, "completed_tasks": completed, "failed_tasks": failed}
    return replace(QUIET, counters=counters, **seen)


def worker(name: str = "worker@gpu-1", **about: Any) -> WorkerSeen:
    """A worker that says this of itself."""
    return WorkerSeen(name, about, held=0, silent_ms=0, draining=False)


def queue(name: str = "gpu_heavy", waiting: int = 0, **seen: Any) -> QueueSeen:
    """A queue where nothing happens, but for what is said."""
    quiet = QueueSeen(name, waiting, 0, 0, 0, oldest_wait_ms=None, service_ms=None, workers=(), fleet=None)
    return replace(quiet, **seen)


def served_by(workers: list[WorkerSeen]) -> list[QueueSeen]:
    """A queue with these workers."""
    return [queue(workers=tuple(workers))]


CELLS = [
    pytest.param(overview(total=1000, failed=100), [], None, id="a failure rate of 10 percent is no alert"),
    pytest.param(overview(total=1000, failed=101), [], "warning", id="a failure rate above 10 percent warns"),
    pytest.param(overview(total=1000, failed=200), [], "warning", id="a failure rate of 20 percent still warns"),
    pytest.param(overview(total=1000, failed=201), [], "critical", id="a failure rate above 20 percent is critical"),
    pytest.param(overview(long_running=(("a", 480_000),)), [], None, id="8 minutes are no alert"),
    pytest.param(overview(long_running=(("a", 480_001),)), [], "warning", id="more than 8 minutes warn"),
    pytest.param(overview(long_running=(("a", 570_000),)), [], "warning", id="9.5 minutes still warn"),
    pytest.param(overview(long_running=(("a", 570_001),)), [], "critical", id="more than 9.5 minutes are critical"),
    pytest.param(QUIET, [worker(memory_bytes={"7": 1_500_000_000})], None, id="1.5 GB are no alert"),
    pytest.param(QUIET, [worker(memory_bytes={"7": 1_500_000_001})], "warning", id="more than 1.5 GB warn"),
    pytest.param(QUIET, [worker(memory_bytes={"7": 1_900_000_000})], "warning", id="1.9 GB still warn"),
    pytest.param(QUIET, [worker(memory_bytes={"7": 1_900_000_001})], "critical", id="more than 1.9 GB are critical"),
]


@pytest.mark.parametrize(("seen", "workers", "severity"), CELLS)
def test_all_six_cells_of_the_threshold_table(seen: Overview, workers: list[WorkerSeen], severity: str | None) -> None:
    """TS-075, PI-012, TS-074: strictly above a threshold there is one alert of its severity, and the status is that."""
    found = fleet_health.alerts(seen, served_by(workers))
    assert [alert["severity"] for alert in found] == ([severity] if severity else [])
    assert fleet_health.worst(found) == (severity or "healthy")


@pytest.mark.parametrize(
    ("seen", "workers", "alert"),
    [
        pytest.param(
            overview(total=1000, failed=115),
            [],
            {
                "severity": "warning",
                "message": "Elevated failure rate: 11.50%",
                "metric": "failure_rate",
                "value": 11.5,
            },
            id="the documented failure rate, two decimals",
        ),
        pytest.param(
            overview(total=3, failed=1),
            [],
            {
                "severity": "critical",
                "message": "Critical failure rate: 33.33%",
                "metric": "failure_rate",
                "value": 33.33,
            },
            id="a third failed",
        ),
        pytest.param(
            overview(long_running=(("abc-123-def", 485_900),)),
            [],
            {
                "severity": "warning",
                "message": "Task abc-123-def running for 485 seconds",
                "metric": "task_duration",
                "value": 485,
                "task_id": "abc-123-def",
            },
            id="the documented task of 485 seconds, with its id",
        ),
        pytest.param(
            QUIET,
            [worker(memory_bytes={"7": 1_600_000_000})],
            {
                "severity": "warning",
                "message": "Process 7 of worker worker@gpu-1 uses 1.60GB of memory",
                "metric": "memory_usage",
                "value": 1_600_000_000,
            },
            id="a process that grows",
        ),
    ],
)
def test_an_alert_word_by_word(seen: Overview, workers: list[WorkerSeen], alert: dict[str, Any]) -> None:
    """TS-072, TS-073: four fields, and `task_id` only where the alert is about one task."""
    assert fleet_health.alerts(seen, served_by(workers)) == [alert]


@pytest.mark.parametrize(
    ("completed", "failed", "severity"),
    [
        pytest.param(0, 4, None, id="four outcomes say nothing yet"),
        pytest.param(0, 5, "critical", id="five of five failed"),
        pytest.param(9, 1, None, id="one of ten failed"),
        pytest.param(8, 1, "warning", id="one of nine failed"),
        pytest.param(7, 2, "critical", id="two of nine failed"),
        pytest.param(1000, 0, None, id="nothing failed"),
    ],
)
def test_recent_failures_have_an_alert_of_their_own(completed: int, failed: int, severity: str | None) -> None:
    """TS-076: the last minutes count by themselves, under their own name, however good the years before were."""
    seen = overview(total=1_000_000, completed=999_000, failed=1_000, recent_completed=completed, recent_failed=failed)
    found = fleet_health.alerts(seen, [])
    assert [(alert["metric"], alert["severity"]) for alert in found] == (
        [("recent_failure_rate", severity)] if severity else []
    )


def test_a_bad_start_does_not_hide_that_it_is_well_now() -> None:
    """TS-076: the cumulative alert stays, as documented; the recent one is silent."""
    found = fleet_health.alerts(overview(total=100, failed=50, recent_completed=30), [])
    assert [alert["metric"] for alert in found] == ["failure_rate"]


def test_every_reason_is_listed() -> None:
    """TS-070, TS-078: several alerts stand side by side, one for each task and process that is out of bounds."""
    seen = overview(
        total=10, failed=5, long_running=(("a", 500_000), ("b", 600_000)), recent_failed=5, recent_completed=5
    )
    workers = [worker(memory_bytes={"7": 2_000_000_000, "8": 1}), worker("two", memory_bytes={"9": 1_600_000_000})]
    assert [(alert["metric"], alert["severity"]) for alert in fleet_health.alerts(seen, served_by(workers))] == [
        ("failure_rate", "critical"),
        ("recent_failure_rate", "critical"),
        ("task_duration", "warning"),
        ("task_duration", "critical"),
        ("memory_usage", "critical"),
        ("memory_usage", "warning"),
    ]


@pytest.mark.parametrize(
    ("severities", "status"),
    [
        pytest.param([], "healthy", id="no alerts"),
        pytest.param(["warning", "warning"], "warning", id="warnings only"),
        pytest.param(["warning", "critical", "warning"], "critical", id="one is critical"),
    ],
)
def test_the_status_is_the_worst_severity(severities: list[str], status: str) -> None:
    """TS-074: healthy, warning or critical."""
    found: list[fleet_health.Alert] = [
        {"severity": severity, "message": "m", "metric": "failure_rate", "value": 1} for severity in severities
    ]
    assert fleet_health.worst(found) == status


@pytest.mark.parametrize(
    ("total", "completed", "failed", "rates"),
    [
        pytest.param(0, 0, 0, (0.0, 0.0), id="nothing yet"),
        pytest.param(1, 1, 0, (100.0, 0.0), id="one of one"),
        pytest.param(1523, 1398, 89, (91.8, 5.8), id="the documents' numbers"),
        pytest.param(3, 1, 1, (33.3, 33.3), id="one decimal"),
        pytest.param(4, 1, 0, (25.0, 0.0), id="what waits lowers the rate"),
    ],
)
def test_rates(total: int, completed: int, failed: int, rates: tuple[float, float]) -> None:
    """TS-065: part by `total_tasks`, in percent, with one decimal."""
    counts = fleet_health.counts(overview(total=total, completed=completed, failed=failed))
    assert (counts["success_rate"], counts["failure_rate"]) == rates


def test_mean_durations() -> None:
    """TS-066: seconds with one decimal, by type; a type that never completed is left out."""
    counters = {"runs:generate_image": 3, "run_ms:generate_image": 100_000, "failed_tasks": 9}
    assert fleet_health.average_durations(counters) == {"generate_image": 33.3}


def test_each_machine_is_measured_once() -> None:
    """TS-057, TS-058: two workers of one machine share its numbers; machines are averaged, and their GPUs lined up."""
    one = {"host": "gpu-1", "cpu_percent": 50.0, "memory_percent": 30.0, "gpu_utilization": [85.5, 72.1]}
    two = {"host": "gpu-2", "cpu_percent": 25.1, "memory_percent": 30.1, "gpu_utilization": [0.0]}
    cpu = {"host": "cpu-1", "cpu_percent": 0.0, "memory_percent": 0.0}
    assert fleet_health.system_load(
        [worker("a", **one), worker("b", **one), worker("c", **two), worker("d", **cpu)]
    ) == {
        "cpu_percent": 25.0,
        "memory_percent": 20.0,
        "gpu_utilization": [85.5, 72.1, 0.0],
    }


def test_a_worker_that_has_not_said_anything_yet() -> None:
    """TS-058: a worker without numbers spoils nothing: no load, no GPUs, no alert."""
    assert fleet_health.system_load([worker()]) == {"cpu_percent": 0.0, "memory_percent": 0.0, "gpu_utilization": []}
    assert fleet_health.alerts(QUIET, served_by([worker()])) == []


@pytest.mark.parametrize(
    ("seen", "is_told"),
    [
        pytest.param(queue(waiting=3, oldest_wait_ms=61_000), True, id="tasks wait, and nobody is there or will come"),
        pytest.param(queue(waiting=3, oldest_wait_ms=60_000), False, id="they wait for a minute"),
        pytest.param(queue(waiting=3, oldest_wait_ms=61_000, workers=(worker(),)), False, id="a worker is there"),
        pytest.param(queue(waiting=3, oldest_wait_ms=61_000, fleet={"wanted": 1}), False, id="a fleet looks after it"),
        pytest.param(queue(waiting=3, oldest_wait_ms=61_000, paused=Pause(0, "")), False, id="it is paused"),
        pytest.param(queue(), False, id="nothing waits"),
    ],
)
def test_a_queue_without_consumers_is_told(seen: QueueSeen, is_told: bool) -> None:
    """TS-119: the documents' own fault, workers for other queues only, is critical after a minute, and names the queue."""
    alert = {
        "severity": "critical",
        "message": "gpu_heavy: tasks have waited for 61 seconds, and no worker serves this queue",
        "metric": "unserved_queue",
        "value": 3,
    }
    assert fleet_health.alerts(QUIET, [seen]) == ([alert] if is_told else [])


def test_each_queue_without_consumers_is_an_alert_of_its_own() -> None:
    """TS-119, TS-079: two are told apart, and one stays the same while its wait grows."""
    waits = [("gpu_heavy", 61_000), ("gpu_medium", 61_000), ("gpu_heavy", 99_000)]
    found = fleet_health.alerts(QUIET, [queue(name, waiting=1, oldest_wait_ms=wait) for name, wait in waits])
    assert [fleet_health.name_of(alert) for alert in found] == [
        "unserved_queue:gpu_heavy",
        "unserved_queue:gpu_medium",
        "unserved_queue:gpu_heavy",
    ]


def test_a_broken_worker_is_an_alert_until_it_is_gone() -> None:
    """It is still there because something runs; two are told apart."""
    workers = (worker(trouble="its main loop has not turned for 31 s"), worker())
    found = fleet_health.alerts(QUIET, [queue(workers=workers)])
    assert found == [
        {
            "severity": "warning",
            "message": f"{workers[0].id}: its main loop has not turned for 31 s",
            "metric": "broken_worker",
            "value": workers[0].held,
        }
    ]
    assert fleet_health.name_of(found[0]) == f"broken_worker:{workers[0].id}"


def test_queue_sizes_name_every_queue() -> None:
    """PI-005: each queue with what waits in it."""
    seen = [queue(waiting=3, running=9), queue("x", running=9)]
    assert fleet_health.queue_sizes(seen) == {"gpu_heavy": 3, "x": 0}
