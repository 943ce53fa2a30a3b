"""Settings of a worker."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import Field, field_validator

from genfleet.contract.task_types import QUEUES, TASK_TYPES, TaskType
from genfleet.settings import ProgramSettings


class WorkerSettings(ProgramSettings):
    """What `genfleet-worker` reads from its environment; the command line counts before it."""

    queue: str = "default"
    """The one queue that this worker serves."""
    concurrency: int = Field(default=4, ge=1, le=128)
    """Tasks run at once, each in a process of its own (TS-117)."""
    worker_name: str = Field(default="celery-redis-worker@%h", pattern=r"^[^@\s]+@[^@\s]+$")
    """Name of this worker; %h is the host's name. Unique among those that run (TS-120)."""
    scratch_dir: Path = Path(tempfile.gettempdir()) / "genfleet-scratch"
    """Folder for unfinished files."""
    drain_seconds: float | None = Field(default=None, ge=0)
    """How long running tasks may go on after SIGTERM before they are handed back. Default: as long as any may take."""
    stop_grace_seconds: float = Field(default=30, ge=0)
    """Between the SIGTERM and the SIGKILL of a task that was cancelled (TS-046)."""
    remote_control: bool = False
    """Answer `celery inspect` and Flower. Costs traffic that grows with the square of the fleet; fine for a few."""
    beat_file: Path | None = None
    """Touched by the main loop while it turns, for liveness probes."""
    tasks_per_process: int = Field(default=10, ge=1)
    """A process is replaced after so many tasks (TS-116)."""
    memory_per_process: int = Field(default=2_000_000_000, ge=64_000_000)
    """Bytes of memory above which a process is replaced after its task (TS-115)."""
    engines: str = "genfleet_workers.engines:engines"
    """Who makes the engines: `module:function`, given these settings, returns an engine by task type."""
    time_limits: dict[str, tuple[float, float]] = Field(default={}, examples=[{"generate_video": [840, 900]}])
    """Soft and hard limit in seconds of task types that differ from the table (PI-001)."""
    allow_private_sources: bool = False
    """Whether pictures and sounds may be fetched from private addresses."""

    @field_validator("queue")
    @classmethod
    def _is_known(cls, queue: str) -> str:
        if queue not in QUEUES:
            raise ValueError(f"unknown queue '{queue}': no task type is routed to it; use one of {', '.join(QUEUES)}")
        return queue

    @field_validator("time_limits")
    @classmethod
    def _are_in_order(cls, limits: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (soft, hard) in limits.items():
            if name not in TASK_TYPES:
                raise ValueError(f"unknown task type '{name}': use one of {', '.join(TASK_TYPES)}")
            if not 0 < soft < hard:
                raise ValueError(f"{name}: the soft limit must be above 0 and below the hard one, such as [540, 600]")
        return limits

    @property
    def worker_id(self) -> str:
        """The worker's full name."""
        return self.worker_name.replace("%h", os.uname().nodename)

    @property
    def grace(self) -> timedelta:
        """How long running tasks may go on after SIGTERM."""
        if self.drain_seconds is not None:
            return timedelta(seconds=self.drain_seconds)
        served = [row for row in TASK_TYPES.values() if row.queue == self.queue]
        return timedelta(seconds=max(self.limits(row)[1] for row in served) + self.stop_grace_seconds)

    def limits(self, task_type: TaskType) -> tuple[float, float]:
        """Soft and hard limit of a task type here, in seconds."""
        documented = task_type.soft_limit.total_seconds(), task_type.hard_limit.total_seconds()
        return self.time_limits.get(task_type.name, documented)
