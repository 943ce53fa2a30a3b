"""The child's side: one attempt at a task, from its lease to its settlement.

The outcome is a value; what it means for the task is decided by the store. Nothing that an engine raises leaves this
module, so Celery never sees a failed task and never decides anything about one.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import structlog
from celery.exceptions import SoftTimeLimitExceeded
from pydantic import ValidationError

from genfleet import logs, traces
from genfleet.contract.measures import Cause
from genfleet.contract.measures import Outcome as Counted
from genfleet.contract.task_types import TASK_TYPES
from genfleet.errors import InputError, PermanentError, StoreUnavailable
from genfleet.store import steps
from genfleet.store.calls import Call
from genfleet.store.client import SyncStore
from genfleet.store.records import Lease
from genfleet_workers import failures
from genfleet_workers.artifacts import Artifacts
from genfleet_workers.engines.base import Engine, Job, Log
from genfleet_workers.job_log import JobLog
from genfleet_workers.scratch import Folder

log = structlog.get_logger(__name__)

REPORT_EVERY_S = 0.5
"""Progress within a step is passed on this often."""
RESULT_LIMIT = 2**20
"""Bytes of JSON that a result may have. It is read by everyone who asks for the task; what is larger is for a file."""
STEP_LIMIT = 100
"""Characters kept of the name of a step."""
PATIENCE_S = 2.0
"""Longest pause between two tries to reach Redis with an outcome."""


REFUSED = "refused"
"""What a parent hears of an attempt whose end did not count: its task was cancelled, or is another's by now."""


class Stopped(SoftTimeLimitExceeded):  # type: ignore[misc]  # billiard ships no types
    """The attempt is to stop at once: it was cancelled, or its worker has to go (TS-047, PI-015)."""


@dataclass(frozen=True, slots=True)
class Done:
    """The engine made it."""

    result: bytes
    """JSON."""
    file: Path | None
    """Where its file was published, if it has one."""


@dataclass(frozen=True, slots=True)
class Again:
    """It failed for a passing reason, and there are attempts left."""

    after: timedelta
    error: str
    trace: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed for good."""

    error: str
    trace: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It was stopped. If nobody else has ended the task, it goes back to its queue."""


@dataclass(frozen=True, slots=True)
class Lost:
    """This very attempt had begun before, in a process that died at once."""


Outcome = Done | Again | Failed | GivenUp | Lost


@contextmanager
def stoppable() -> Iterator[None]:
    """While this holds, SIGTERM raises `Stopped` right here.

    Installed for each attempt: billiard puts its own handler in place after every set-up of a process, and its own is
    right for a process that runs nothing. An engine may have put others in place meanwhile; those go with it.
    """
    with _handlers_kept():
        signal.signal(signal.SIGTERM, _stop)
        yield


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: the engine is to clean up in peace
    raise Stopped


@contextmanager
def undisturbed() -> Iterator[None]:
    """Neither SIGTERM nor the soft limit cut a settlement in two: the work is done. SIGKILL still can."""
    with _handlers_kept() as kept:
        for number in kept:
            signal.signal(number, signal.SIG_IGN)
        yield


@contextmanager
def _handlers_kept() -> Iterator[Iterable[signal.Signals]]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield before
    finally:
        for number, handler in before.items():
            if handler is not None:  # of a library, in C: it cannot be put back from here
                signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class Workbench:
    """What a child process works with."""

    store: SyncStore
    engines: Mapping[str, Engine]
    artifacts: Artifacts
    scratch: Path

    def work(self, lease: Lease) -> str:
        """Run the attempt and settle it. Says how it ended, for its parent, with the cause if it failed."""
        with structlog.contextvars.bound_contextvars(**lease.names):
            began = time.monotonic()
            said = JobLog(self.store, lease)
            with closing(Folder(self.scratch, lease.task_id, lease.token)) as folder:
                outcome = self._outcome(lease, folder, said)
                with undisturbed():
                    said.flush()
                    accepted = self._settle(lease, outcome, folder)
                    if isinstance(outcome, Done) and outcome.file and not accepted:
                        outcome.file.unlink(missing_ok=True)  # nobody will ever point to it
                    # Only now: while it is there the parent knows that this attempt began, and finds what is not settled.
                    folder.remove()
            seconds = round(time.monotonic() - began, 2)
            return _tell(outcome, accepted=accepted, seconds=seconds)

    def _outcome(self, lease: Lease, folder: Folder, said: Log) -> Outcome:
        try:
            if not folder.begin():
                return Lost()
            with stoppable(), logs.hiding(lease.data), traces.within(lease.trace.context if lease.trace else ""):
                return self._run(lease, folder.path, said)
        except Stopped:
            return GivenUp()
        except BaseException as error:  # noqa: BLE001  also SystemExit: the task is settled, whatever was raised
            return judge(lease, error)

    def _run(self, lease: Lease, folder: Path, said: Log) -> Done:
        engine = self.engines.get(lease.type)
        if engine is None:
            raise PermanentError(f"No engine of this worker can run '{lease.type}'")
        try:
            data = TASK_TYPES[lease.type].data.model_validate_json(lease.data)
        except ValidationError as error:
            raise InputError(f"Invalid task data: {error}") from error
        job = Job(lease.task_id, lease.project, data, folder, lease.token, said)
        product = engine.run(job, Reporter(self.store, lease))
        result, file = self.artifacts.publish(lease, product)
        try:
            return Done(packed(result), file)
        except PermanentError:
            if file:
                file.unlink(missing_ok=True)
            raise

    def _settle(self, lease: Lease, outcome: Outcome, folder: Folder) -> bool:
        """Tell the store, for as long as it takes: the work is done, and only Redis is missing."""
        call, pause = settlement(lease, outcome), 0.05
        while True:
            try:
                return self.store.run(call)
            except StoreUnavailable as error:
                log.warning("settlement_waits", reason=str(error))
                if isinstance(outcome, Done):
                    folder.keep_unsettled(outcome.result)
            time.sleep(pause)
            pause = min(2 * pause, PATIENCE_S)


def packed(result: Mapping[str, Any]) -> bytes:
    """A result as JSON. Raises PermanentError if it is none, or too much of it."""
    try:
        document = orjson.dumps(result)
    except orjson.JSONEncodeError as error:
        raise PermanentError(
            f"The result of the engine cannot be written as JSON: {failures.sentence(error)}"
        ) from error
    if len(document) > RESULT_LIMIT:
        size, limit = len(document) / 2**20, RESULT_LIMIT / 2**20
        raise PermanentError(
            f"The result has {size:.1f} MiB of JSON, and {limit:g} MiB is the limit: the engine is to put it into its file"
        )
    return document


def judge(lease: Lease, error: BaseException) -> Again | Failed:
    """What an error means for the task, by its kind and by the attempts that are left (TS-110 to TS-112)."""
    said, trace, cause = failures.sentence(error), failures.trace(error), failures.cause(error)
    delays = TASK_TYPES[lease.type].retry_delays if lease.type in TASK_TYPES else ()
    if failures.is_passing(error) and lease.retries < len(delays):
        return Again(timedelta(seconds=delays[lease.retries]), said, trace, cause)
    return Failed(said, trace, cause)


def settlement(lease: Lease, outcome: Outcome) -> Call[bool]:
    """The step that records an outcome."""
    match outcome:
        case Done(result, _):
            return steps.complete(lease.task_id, lease.token, result)
        case Again(after, error, trace, cause):
            return steps.retry_later(lease.task_id, lease.token, after, error, trace, cause=cause)
        case Failed(error, trace, cause):
            return steps.fail(lease.task_id, lease.token, error, trace, cause=cause)
        case GivenUp():
            return steps.hand_back(lease.task_id, lease.token, "its process was told to stop")
        case Lost():
            return steps.lose(lease.task_id, lease.token, "its process died as soon as it had begun")


_WORDS = {Done: Counted.COMPLETED, Again: Counted.RETRIED, GivenUp: Counted.HANDED_BACK, Lost: Counted.LOST}


def _tell(outcome: Outcome, *, accepted: bool, seconds: float) -> str:
    """The line of an attempt, in the words of its metrics. Not what its error says: that may quote what was submitted."""
    word = _WORDS.get(type(outcome), Counted.FAILED).value
    known = {"outcome": word, "accepted": accepted, "seconds": seconds}
    match outcome:
        case Failed(cause=cause):
            log.warning("attempt", **known, cause=cause.value)
        case Again(cause=cause, after=after):
            log.warning("attempt", **known, cause=cause.value, again_in=after.total_seconds())
        case _:
            log.info("attempt", **known)
    if not accepted:
        return REFUSED
    return f"{word} {outcome.cause.value}" if isinstance(outcome, Failed | Again) else word


class Reporter:
    """Passes progress on: each new step at once, and what is within one from time to time."""

    def __init__(self, store: SyncStore, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._step = ""
        self._next = 0.0

    def __call__(self, fraction: float, step: str) -> None:
        """Raises `Stopped` when the task is no longer ours: there is no point in going on."""
        now = time.monotonic()
        step = failures.readable(step)[:STEP_LIMIT]
        if step == self._step and now < self._next:
            return
        self._step, self._next = step, now + REPORT_EVERY_S
        bounded = min(max(fraction, 0.0), 1.0) if math.isfinite(fraction) else 0.0
        try:
            held = self._store.run(steps.progress(self._lease.task_id, self._lease.token, bounded, step))
        except StoreUnavailable:
            return  # the next report will do
        if not held:
            raise Stopped
