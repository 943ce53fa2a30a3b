"""A real worker whose main thread does, on SIGALRM, what GENFLEET_TEST_FAULT names.

The faults are those of Celery itself, brought about from inside as a debugger would: there is no other way to have them
when a test wants them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.worker import state

from genfleet_workers.main import main


def stuck(_consumer: Any) -> None:
    """The main loop stands still, once it has heard that a process took the task: before, it would not know of the process."""
    if not state.active_requests:
        signal.setitimer(signal.ITIMER_REAL, 0.02)  # SIGALRM again
        return
    time.sleep(600)


def cancelled(consumer: Any) -> None:
    """The consumer does not listen to its queues any more."""
    for name in list(consumer.app.amqp.queues.consume_from):
        consumer.cancel_task_queue(name)


def exhausted(consumer: Any) -> None:
    """All places are taken, though nothing runs."""
    for _ in range(consumer.controller.concurrency):
        consumer.controller.semaphore.acquire(lambda: None)


def deaf(consumer: Any) -> None:
    """The same, and to start it anew does not help: no queue is selected any more."""
    consumer.app.amqp.queues.select_add = lambda *_, **__: None
    cancelled(consumer)


FAULTS: dict[str, Callable[[Any], None]] = {
    "stuck": stuck,
    "cancelled": cancelled,
    "exhausted": exhausted,
    "deaf": deaf,
}


def arm(sender: Any, **_: Any) -> None:
    """From now on the fault may come."""
    fault = FAULTS[os.environ["GENFLEET_TEST_FAULT"]]
    signal.signal(signal.SIGALRM, lambda _number, _frame: fault(sender))


signals.worker_ready.connect(arm, weak=False)

if __name__ == "__main__":
    raise SystemExit(main())
