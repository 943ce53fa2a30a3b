"""The seam between the worker and the code that makes something: one method, plain values in and out.

An engine knows nothing of Celery, Redis or HTTP. It gets a `Job`, tells how far it is, and returns a `Product`. It
raises `TransientError` or `PermanentError` when it can tell which; the worker classifies everything else. When the
task is cancelled or runs past its soft limit, `celery.exceptions.SoftTimeLimitExceeded` is raised in the middle of
`run`: clean up (kill subprocesses) and let it pass. What an engine has started ends with its process at the latest: what it
lets go of, as a daemon does, is killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel

Level = Literal["debug", "info", "warning", "error"]


class Log(Protocol):
    """Says what the work is about: which inputs, which choices, what went wrong and was done without.

    For the person who submitted the task: no secrets, no paths of the machine. Cheap; bounded for each attempt.
    """

    def __call__(self, message: str, level: Level = "info") -> None:
        """One line, such as `2 of 3 storyboard images opened`. Progress is for `Report`."""


def _unheard(message: str, level: Level = "info") -> None:
    """For a job that nobody follows."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine is asked to make."""

    task_id: str
    project_id: str
    data: BaseModel
    """The validated `task_data`: the model of the task type in `genfleet.contract.task_data`."""
    folder: Path
    """An empty scratch folder of this attempt. Removed afterwards, whatever happens."""
    token: int
    """The fencing token of this attempt. Larger than that of any attempt before: use it to fence side effects."""
    log: Log = _unheard
    """Says a line of the work to whoever follows the task."""


@dataclass(frozen=True, slots=True)
class Product:
    """What an engine made: a file, values, or both."""

    file: Path | None = None
    """The finished file, inside `Job.folder`. The worker publishes it; without one, the result has no `media_url`."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What `result.metadata` shows, beside the size of a file: duration, resolution, fps, generation_model, model …"""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What else stands in `result`, beside `metadata`: the whole answer of a task type that makes no file (TS-092).

    At most 1 MiB of JSON with all the rest: what is larger is for the file."""


class Report(Protocol):
    """Tells how far the work is. Cheap to call often: the worker passes on what is worth passing on."""

    def __call__(self, fraction: float, step: str) -> None:
        """`fraction` is 0..1 of this attempt, `step` a short machine-readable word such as `rendering_video`."""


class Engine(Protocol):
    """Makes the products of one task type."""

    def run(self, job: Job, report: Report) -> Product:
        """Make it, or raise."""
