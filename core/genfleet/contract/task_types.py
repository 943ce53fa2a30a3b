"""The task types: one row each, and the only place that knows a type's queue, limits, estimate and retry schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from genfleet.contract import animation_data, audio_data, task_data

DEFAULT_PRIORITY = 2
"""1: a person waits. 2: normal. 3: batch and cleanup (TS-012)."""

MINUTE_BACKOFF = (60, 120, 240)
"""Seconds before attempts 2, 3 and 4; then the failure is final (TS-110, PI-002)."""


@dataclass(frozen=True, slots=True)
class TaskType:
    """One kind of work. Its name is also the name of its Celery task."""

    name: str
    queue: str
    hard_limit: timedelta
    """The child that runs the task is killed after this long, and the task has failed (TS-108)."""
    soft_limit: timedelta
    """The task is asked to stop after this long; it is tried again (PI-016)."""
    estimate: timedelta
    """What `estimated_duration` says until real durations are known (TS-173)."""
    data: type[task_data.TaskData]
    retry_delays: tuple[int, ...] = MINUTE_BACKOFF

    @property
    def max_attempts(self) -> int:
        """The first run and every automatic retry."""
        return 1 + len(self.retry_delays)


def _row(
    name: str,
    queue: str,
    limits: tuple[float, float],
    estimate: int,
    data: type[task_data.TaskData],
    *,
    retry_delays: tuple[int, ...] = MINUTE_BACKOFF,
) -> TaskType:
    soft, hard = (timedelta(seconds=seconds) for seconds in limits)
    return TaskType(
        name=name,
        queue=queue,
        soft_limit=soft,
        hard_limit=hard,
        estimate=timedelta(seconds=estimate),
        data=data,
        retry_delays=retry_delays,
    )


_TABLE = (
    # TS-017, TS-104 to TS-107, TS-110, TS-173: type, queue, (soft, hard) s, estimate s, arguments
    _row("generate_video", "gpu_heavy", (540, 600), 300, task_data.GenerateVideo),
    _row("render_animation", "gpu_heavy", (540, 600), 300, animation_data.RenderAnimation),
    _row("generate_image", "gpu_medium", (270, 300), 45, task_data.GenerateImage),
    _row("generate_character_voice", "cpu_intensive", (108, 120), 20, audio_data.GenerateCharacterVoice),
    _row("process_audio", "cpu_intensive", (540, 600), 22, audio_data.ProcessAudio),
    _row("evaluate_department", "cpu_intensive", (270, 300), 90, task_data.EvaluateDepartment),
    _row(
        "automated_gather_creation",
        "cpu_intensive",
        (540, 600),
        240,
        task_data.AutomatedGatherCreation,
    ),
    _row("test_prompt", "default", (54, 60), 10, task_data.TestPrompt, retry_delays=(60,)),
)

TASK_TYPES: Mapping[str, TaskType] = MappingProxyType({row.name: row for row in _TABLE})

QUEUES: tuple[str, ...] = tuple(dict.fromkeys(row.queue for row in _TABLE))
"""Every queue that some task type is routed to, in the order of the table."""


def broker_queues(queue: str) -> tuple[str, ...]:
    """Names of a queue in the broker, the one we push to first.

    The light queue is called `default` in the API and `celery` in Redis, as in the documents' commands; its workers
    listen to a list called `default` as well (XC-007).
    """
    return ("celery", "default") if queue == "default" else (queue,)
