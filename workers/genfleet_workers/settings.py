"""Settings of a worker."""

from __future__ import annotations

import os
import re
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

import httpx
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from genfleet.contract.task_types import QUEUES, TASK_TYPES, TaskType
from genfleet.settings import ProgramSettings

_NO_LLM_URL = "must be the base of a chat endpoint, such as http://models:8000/v1"


def _llm_url(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError(_NO_LLM_URL) from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.host
        or parts.query
        or parts.fragment
        or set(url) & set(" \t")
    ):
        raise ValueError(_NO_LLM_URL)
    if parts.userinfo:
        raise ValueError("must not hold a password; the key belongs into GENFLEET_LLM_KEY")
    return url.rstrip("/")


LlmUrl = Annotated[str, AfterValidator(_llm_url)]


class WorkerSettings(ProgramSettings):
    """What `genfleet-worker` reads from its environment; the command line counts before it."""

    queue: str = "default"
    """The one queue that this worker serves."""
    concurrency: int = Field(default=4, ge=1, le=128)
    """Tasks run at once, each in a process of its own (TS-117)."""
    worker_name: str = Field(default="celery-redis-worker@%h", pattern=r"^[^@\s]+@[^@\s]+$")
    """Name of this worker; %h is the host's name. Unique among those that run (TS-120)."""
    gpus: float = Field(default=0, ge=0, le=64)
    """GPUs that this worker has, for the usage of projects: run time times this. The operator sets it from the pool."""
    scratch_dir: Path = Path(tempfile.gettempdir()) / "genfleet-scratch"
    """Folder for unfinished files."""
    drain_seconds: float | None = Field(default=None, ge=0)
    """How long running tasks may go on after SIGTERM before they are handed back. Default: as long as any may take."""
    give_up_seconds: float = Field(default=60, ge=0)
    """How long a worker that is to leave waits for a Redis that does not answer. Its leases have long run out by then."""
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
    memory_limit: int | None = Field(default=None, ge=64_000_000)
    """Bytes of memory above which a task is taken away and its process killed, with all that it has started."""
    process_limit: int = Field(default=256, ge=1)
    """Processes that a task may have: its own, and what it has started."""
    scratch_limit: int | None = Field(default=None, ge=1_000_000)
    """Bytes of unfinished files that a task may have."""
    patience_seconds: float = Field(default=30, ge=2)
    """How long a task, a process, the main loop or the consumer may make no move before the worker does something about it.
    Four times that where something may be slow, such as a disk."""
    load_seconds: float = Field(default=600, ge=1)
    """How long the engines of a process may take to load. A worker takes no task before all of its processes have."""
    engines: str = "genfleet_workers.engines:engines"
    """Who makes the engines: `module:function`, given these settings, returns an engine by task type."""
    time_limits: dict[str, tuple[float, float]] = Field(default={}, examples=[{"generate_video": [840, 900]}])
    """Soft and hard limit in seconds of task types that differ from the table (PI-001)."""
    allow_private_sources: bool = False
    """Whether pictures, sounds and documents may be fetched from private addresses."""
    llm_url: LlmUrl | None = None
    """Base URL of a chat endpoint in OpenAI's form, up to `/v1`, for the text engines. May be a private address."""
    llm_name: str | None = Field(default=None, min_length=1, max_length=200)
    """The model to ask there."""
    llm_key: SecretStr | None = None
    """Its key, if it wants one."""
    llm_timeout: float = Field(default=60, gt=0, le=600)
    """Seconds for one answer."""
    llm_max_tokens: int = Field(default=1_500, ge=16, le=100_000)
    """Longest answer."""
    llm_temperature: float = Field(default=0.2, ge=0, le=2)
    """How much chance there is in an answer."""

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

    @field_validator("llm_key")
    @classmethod
    def _is_one_word(cls, key: SecretStr | None) -> SecretStr | None:
        """An HTTP client that refuses a header quotes it."""
        if key is not None and not re.fullmatch(r"[\x21-\x7e]+", key.get_secret_value()):
            raise ValueError("must be of visible ASCII characters, without spaces")
        return key

    @model_validator(mode="after")
    def _endpoint_is_whole(self) -> Self:
        if bool(self.llm_url) != bool(self.llm_name):
            raise ValueError("GENFLEET_LLM_URL and GENFLEET_LLM_NAME belong together: set both, or neither")
        if self.llm_key and not self.llm_url:
            raise ValueError("GENFLEET_LLM_KEY is set without GENFLEET_LLM_URL: set both, or neither")
        return self

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
