"""The Celery app, and the worker that it becomes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import Any, TextIO

import structlog
from billiard.util import get_logger
from celery import Celery, Task, bootsteps, signals
from celery.utils.log import LoggingProxy
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu import Connection, Exchange, Queue
from kombu.utils.imports import symbol_by_name

from genfleet import traces
from genfleet.contract import keys
from genfleet.contract.task_types import TASK_TYPES, TaskType, broker_queues
from genfleet.store.client import SyncStore
from genfleet.store.redis_check import Teller
from genfleet_workers import broker
from genfleet_workers.artifacts import Artifacts
from genfleet_workers.attempt import Workbench
from genfleet_workers.beat import Beat
from genfleet_workers.claims import Claims
from genfleet_workers.engines.base import Engine
from genfleet_workers.family import Family, adopt_orphans
from genfleet_workers.reception import GuardedAMQP, Reception
from genfleet_workers.request import Request
from genfleet_workers.settings import WorkerSettings

log = structlog.get_logger(__name__)

REDELIVERY = timedelta(hours=24)
"""After this long kombu offers a message again that nobody acknowledged: far behind our own leases, a backstop."""
TURN_S = 5.0
"""How often, at least, the main loop shows that it turns."""
UNFIT = 2
"""Exit status of a worker whose engines cannot be made, as of one with wrong settings: trying again does not help."""
CONNECT_EVERY_S = 5
"""How often, at most, a worker that lost Redis tries again. Celery would let half a minute pass."""


def create_app(settings: WorkerSettings) -> Celery:
    """The Celery app: every task type by its documented name, and the settings that make losses impossible."""
    app = Celery("genfleet", broker=broker.url(settings.redis), amqp=GuardedAMQP, set_as_current=True)
    app.conf.update(_configuration(settings))
    for task_type in TASK_TYPES.values():
        app.task(**_task_options(task_type, settings))(_attempt)
    return app


def _attempt(task: Task, *_args: Any, **_kwargs: Any) -> str:
    """Run one attempt. What is to be done came with the claim; a message's own arguments say nothing more."""
    told: str = task.app.workbench.work(task.request.lease)
    return told


def _task_options(task_type: TaskType, settings: WorkerSettings) -> dict[str, Any]:
    soft, hard = settings.limits(task_type)
    return {
        "name": task_type.name,
        "bind": True,
        "Request": Request,
        "soft_time_limit": soft,
        "time_limit": hard,
    }


def _configuration(settings: WorkerSettings) -> dict[str, Any]:
    return {
        # JSON and nothing else, in both directions (facts S8).
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        # The store keeps results; Celery's own would be a second truth.
        "task_ignore_result": True,
        # A message is acknowledged when its task is settled, so a worker holds no more than it can run.
        "task_acks_late": True,
        "worker_prefetch_multiplier": 1,
        "worker_concurrency": settings.concurrency,
        "worker_max_tasks_per_child": settings.tasks_per_process,
        "worker_max_memory_per_child": settings.memory_per_process // 1024,  # Celery counts KiB
        "worker_proc_alive_timeout": settings.load_seconds,
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # their leases go on
        "worker_hijack_root_logger": False,
        "worker_consumer": PatientConsumer,
        # Broadcasts cost the square of the fleet (facts M15).
        "worker_enable_remote_control": settings.remote_control,
        "worker_send_task_events": settings.remote_control,
        # The anonymous exchange: a binding that is gone loses nothing then (facts F9).
        "task_default_exchange": "",
        "task_queues": [Queue(name, Exchange(""), routing_key=name) for name in broker_queues(settings.queue)],
        "task_create_missing_queues": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Redis refuses something: it is full, or no longer the primary. Without this the worker ends (facts M13).
        "broker_channel_error_retry": True,
        "broker_use_ssl": broker.tls(settings.redis),
        "broker_transport_options": {
            "visibility_timeout": round(REDELIVERY.total_seconds()),
            "priority_steps": list(keys.PRIORITY_STEPS),
            "sep": keys.LIST_SEPARATOR,
            "queue_order_strategy": "priority",
            **broker.transport_options(settings.redis),
        },
    }


class LoadFirst(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """A worker that starts takes no task before its processes can run one.

    Celery consumes at once, and what it takes waits for a process, out of the reach of workers that are ready. A large model
    takes minutes.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)
    _loaded = False

    def register_with_event_loop(self, parent: Any, hub: Any) -> None:
        """The pool is watched by the main loop, and nothing is consumed yet."""
        if self._loaded:  # the connection was lost meanwhile, and is there again
            return
        began, loop = time.monotonic(), hub.create_loop()
        while parent.pool.loading:
            parent.app.load_on(time.monotonic() - began)
            try:
                next(loop)
            except StopIteration:
                loop = hub.create_loop()
        self._loaded = True


class KeepPlaces(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """After a reconnect: what runs here still has its place, and what does not run here is let go of.

    When its connection is lost, Celery takes every place for free, and would claim more tasks than it can run. What it
    had not yet given to a process it throws away: the broker would deliver it again. But we hold its lease, and would
    for ever.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        """The consumer is about to take messages, for the first time or again."""
        parent.app.claims.holdings.hand_back_unstarted()
        for _ in range(len(parent.app.claims.holdings)):
            parent.controller.semaphore.acquire(_nothing)


def _nothing() -> None:
    """What is done with a place that is taken already."""


class PatientConsumer(Consumer):  # type: ignore[misc]  # Celery ships no types
    """Waits for Redis, and shows that the main loop turns all the while.

    Celery's own stays in one place until it is connected, where no timer fires. A liveness probe would then end every
    worker, with all that runs there, because Redis is away.
    """

    def ensure_connected(self, conn: Connection) -> Connection:
        """The connection, once it is there."""
        conn.ensure_connection(
            self._not_yet, interval_start=1, interval_step=1, interval_max=CONNECT_EVERY_S, callback=self._turn
        )
        self.first_connection_attempt = False
        return conn

    def on_close(self) -> None:
        """Let go of what no process has taken."""
        if self.pool:
            self.pool.hear_out()
        super().on_close()

    def _not_yet(self, error: Exception, interval: float) -> None:
        log.warning("broker_unreachable", reason=str(error), again_in=interval)

    def _turn(self) -> None:
        """Called when an attempt failed, and each second until the next one."""
        maybe_shutdown()
        if not self.first_connection_attempt:  # the file says that this worker has been ready
            self.app.show_turn(connecting=True)


def run_worker(settings: WorkerSettings, teller: Teller) -> int:
    """Be a worker until told to stop. The exit status."""
    if settings.beat_file:
        settings.beat_file.unlink(missing_ok=True)  # of a container that ran here before, and died
    app = create_app(settings)
    adopt_orphans()
    store, family = SyncStore(settings.redis), Family()
    beat = Beat(settings, store, family, teller)
    app.claims = Claims(store, beat.holdings, settings.worker_id, settings.queue, settings.gpus)
    app.conf.broker_transport_options["receive"] = Reception(app.claims, app.now)
    beat.asked = lambda: app.claims.asked
    app.show_turn = partial(_show_turn, beat, settings.beat_file)
    app.unfit = mmap(-1, 1)
    app.load_on = partial(_load_on, beat, settings.load_seconds)
    app.steps["consumer"].update((LoadFirst, KeepPlaces))
    _connect_signals(app, settings, beat)
    quiet = not settings.remote_control
    worker = app.Worker(
        hostname=settings.worker_id,
        pool="genfleet_workers.pool:Pool",
        without_gossip=quiet,
        without_mingle=True,  # it waits a second for answers that matter to Celery's own revoke alone
        without_heartbeat=quiet,
        quiet=settings.log_format == "json",  # no banner among the lines of JSON
    )
    family.pool = lambda: _processes(worker)
    beat.loading = lambda: worker.pool is not None and worker.pool.loading
    worker.start()
    family.end()
    traces.end()
    return UNFIT if app.unfit[0] else int(worker.exitcode or 0)


def _connect_signals(app: Celery, settings: WorkerSettings, beat: Beat) -> None:
    """Celery tells of the worker's life by signals; weak references would be gone at once."""

    def connect(signal: Any, receiver: Callable[..., None]) -> None:
        signal.connect(lambda sender=None, **about: receiver(sender, **about), weak=False)

    def ready(consumer: Any, **_: Any) -> None:
        beat.set_consuming = lambda on, done: _set_consuming(consumer, settings.queue, done, on=on)
        beat.restart_consuming = lambda: _restart_consuming(consumer, settings.queue)
        beat.first()
        app.show_turn()
        consumer.timer.call_repeatedly(min(TURN_S, settings.patience_seconds / 3), app.show_turn)
        beat.start()

    connect(signals.setup_logging, lambda *_, **__: _hush())
    connect(signals.worker_ready, ready)
    connect(signals.worker_shutting_down, lambda *_, **__: beat.stopping())
    connect(signals.worker_shutdown, lambda *_, **__: beat.end())
    connect(signals.worker_process_init, lambda *_, **__: _equip(app, settings))
    connect(signals.worker_process_shutdown, lambda *_, **__: traces.end())


_OURS_SAYS_IT = ("celery.worker.strategy", "celery.worker.request", "celery.app.trace")
"""What Celery logs of a task and its process has no project and no attempt, and is said by `claimed`, `attempt` and
`process_lost`."""


def _hush() -> None:
    """Our log stays as it is, and Celery's lines are in it; but each fact is one line."""
    for name in _OURS_SAYS_IT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    billiards = get_logger()  # it would write to stderr, in a form of its own
    billiards.propagate = True
    billiards.setLevel(logging.WARNING)


def _set_consuming(consumer: Any, queue: str, done: Callable[[], None], *, on: bool) -> None:
    """Start or stop taking messages. Done by the main loop, which owns the connection, before it looks for the next one."""
    change = consumer.add_task_queue if on else consumer.cancel_task_queue
    for name in broker_queues(queue):
        consumer.call_soon(change, name)
    consumer.call_soon(done)


def _restart_consuming(consumer: Any, queue: str) -> None:
    """Connect anew, with every queue selected and every place counted afresh. Done by the main loop, which owns all that."""

    def anew() -> None:
        for name in broker_queues(queue):
            consumer.app.amqp.queues.select_add(consumer.app.amqp.queues[name])
        raise ConnectionError("the consumer stands still, and is started anew")

    consumer.call_soon(anew)


def _processes(worker: Any) -> Collection[int] | None:
    """Ids of the processes that run tasks. None: there is no pool, yet or any more."""
    try:
        return set(worker.pool.info["processes"])
    except AttributeError:
        return None


def _load_on(beat: Beat, most_s: float, seconds: float) -> None:
    """Called while the processes load, so long so far."""
    maybe_shutdown()
    if seconds > most_s:
        log.critical(
            "engines_not_loaded", seconds=round(seconds), remedy="if they only are slow: raise GENFLEET_LOAD_SECONDS"
        )
        beat.leave()


def _show_turn(beat: Beat, file: Path | None, *, connecting: bool = False) -> None:
    beat.main_turned(connecting=connecting)
    if file:
        file.touch()


def _equip(app: Celery, settings: WorkerSettings) -> None:
    """A new child process: its own connection, its own engines.

    Celery would log whatever is raised here and go on, with a process that fails every task. So the worker ends instead:
    a missing package has to be seen when it is started, and not by those who submit (TS-174, TS-176).
    """
    _be_killed_first()
    traces.set_up("worker", os.environ, for_all=True)
    sys.stdout, sys.stderr = _Aloud(sys.__stdout__), _Aloud(sys.__stderr__)
    try:
        engines = _engines(settings)
    except Exception:
        log.exception("engines_not_made", engines=settings.engines)
        app.unfit[0] = 1  # seen by the parent: the memory is shared
        os.kill(os.getppid(), signal.SIGTERM)
        return
    app.workbench = Workbench(
        store=SyncStore(settings.redis),
        engines=engines,
        artifacts=Artifacts(settings.media_dir, settings.media_url),
        scratch=settings.scratch_dir,
    )


class _Aloud(LoggingProxy):  # type: ignore[misc]  # Celery ships no types
    """What an engine prints: lines of the log, of the task that it runs. All else that a stream can do, the real one does."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(logging.getLogger("engine"), logging.INFO)
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _be_killed_first() -> None:
    """When the machine runs out of memory: rather the process that runs a task than its parent, or Redis. Linux only."""
    with suppress(OSError, ValueError):
        score = Path("/proc/self/oom_score_adj")
        score.write_text(str(min(int(score.read_text()) + 300, 1000)))


def _engines(settings: WorkerSettings) -> Mapping[str, Engine]:
    make: Callable[[WorkerSettings], Mapping[str, Engine]] = symbol_by_name(settings.engines)
    return make(settings)
