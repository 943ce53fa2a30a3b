"""Engines that do what a test's `task_data` says. Real engines plug in the same way: GENFLEET_ENGINES=module:function.

- seconds: how long to work; later: how long in each attempt after the first, if that differs
- until: a file that ends the work when it is there
- fail: the name of the error to raise then; fails: in how many attempts, all of them if it does not say; die: SIGKILL oneself
- silent: how long to sleep first, in one go and without a word
- traced: the name of a span to make, as engines and their libraries do
- aloud: what to write to the log of a library, to stdout, and to a traceback
- stubborn: go on when told to stop; marks: a file that is told of each start, stop and end
"""

from __future__ import annotations

import builtins
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from opentelemetry import trace

from genfleet.contract.task_types import TASK_TYPES
from genfleet.errors import PermanentError, TransientError
from genfleet_workers.engines.base import Engine, Job, Product, Report
from genfleet_workers.settings import WorkerSettings

ERRORS: dict[str, type[Exception]] = {"TransientError": TransientError, "PermanentError": PermanentError}


class Acting:
    """Works for a while, telling how far it is, then does what it was told."""

    def run(self, job: Job, report: Report) -> Product:
        """Do what the task data says."""
        says: dict[str, Any] = job.data.model_extra or {}
        # Each attempt leaves a mark, so that a test can count what really started and ended.
        _mark(says, f"start {job.task_id} {job.token} {os.getpid()}")
        if "traced" in says:
            trace.get_tracer("engine").start_span(says["traced"]).end()
        if "aloud" in says:
            _say(says["aloud"])
        try:
            time.sleep(float(says.get("silent", 0)))
            _work(_seconds(says, job.token), report)
            while "until" in says and not Path(says["until"]).exists():
                time.sleep(0.02)
        except SoftTimeLimitExceeded:
            _mark(says, f"stop {job.task_id} {job.token}")
            if says.get("stubborn"):
                _go_on()
            raise
        if says.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if "fail" in says and job.token <= says.get("fails", job.token):
            kind = ERRORS.get(says["fail"]) or getattr(builtins, says["fail"])
            raise kind(says.get("message", "as the test asked"))
        _mark(says, f"end {job.task_id} {job.token}")
        file = job.folder / "made.txt"
        file.write_text(job.task_id)
        return Product(file, {"duration": 1.0})


def _say(words: str) -> None:
    """As libraries do, which know of no policy."""
    library = logging.getLogger("some.library")
    library.warning("asked for %s and for %r", words, words)
    sys.stdout.write(f"asked for {words}\n")
    try:
        dict[str, str]()[words]
    except KeyError:
        library.exception("it is not there")


def _go_on() -> None:
    """Whatever is said, and however often: a report that is refused may come before the signal."""
    while True:
        with suppress(SoftTimeLimitExceeded):
            time.sleep(3600)


def _seconds(says: dict[str, Any], token: int) -> float:
    first = float(says.get("seconds", 0))
    return first if token == 1 else float(says.get("later", first))


def _work(seconds: float, report: Report) -> None:
    began = time.monotonic()
    while (spent := time.monotonic() - began) < seconds:
        report(spent / seconds, "first_half" if 2 * spent < seconds else "second_half")
        time.sleep(0.02)


def _mark(says: dict[str, Any], line: str) -> None:
    if "marks" in says:
        with Path(says["marks"]).open("a") as marks:
            marks.write(line + "\n")


def engines(_settings: object) -> dict[str, Engine]:
    """One for every task type."""
    return dict.fromkeys(TASK_TYPES, Acting())


def of_a_package_that_is_missing(_settings: object) -> dict[str, Engine]:
    """As where a package was not installed after an update."""
    import_module("a_package_that_nobody_installed")
    return {}


def of_a_large_model(settings: WorkerSettings) -> dict[str, Engine]:
    """Loaded once a test has put the file `loaded` into the folder of media."""
    while not (settings.media_dir / "loaded").exists():
        time.sleep(0.02)
    logging.getLogger("engine").info("the model is loaded")
    return engines(settings)
