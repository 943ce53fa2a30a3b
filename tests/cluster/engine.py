"""Given to the workers of these tests in place of their engines: works for as long as a task says.

It leaves marks in the media folder: who started and who ended which task, and under which token.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from genfleet.contract.task_types import TASK_TYPES
from genfleet_workers.engines.base import Engine, Job, Product, Report

MARKS = Path("/media/marks.txt")


class Working:
    """Works for `seconds` of the task data."""

    def run(self, job: Job, report: Report) -> Product:
        """Work, and leave a mark at the start and at the end."""
        says = job.data.model_extra or {}
        _mark("start", job)
        deadline = time.monotonic() + float(says.get("seconds", 0))
        while time.monotonic() < deadline:
            report(0.5, "working")
            time.sleep(0.1)
        _mark("end", job)
        file = job.folder / "made.txt"
        file.write_text(job.task_id)
        return Product(file)


def _mark(what: str, job: Job) -> None:
    with MARKS.open("a") as marks:
        marks.write(f"{what} {job.task_id} {job.token} {os.environ['POD_NAME']}\n")


def engines(_settings: object) -> dict[str, Engine]:
    """One for every task type."""
    return dict.fromkeys(TASK_TYPES, Working())
