"""`genfleet up` that kills itself with SIGKILL at one of its steps, before it or after: a start, a stop, a write of its fleet.

KILL_AT=5 KILL_WHEN=after python -m tests.chaos.killed_up up …
"""

from __future__ import annotations

import os
import runpy
import signal
from collections.abc import Callable
from typing import Any

from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from genfleet_local.processes import Parts
from genfleet_local.worker_process import WorkerProcess

AT, AFTER = int(os.environ["KILL_AT"]), os.environ["KILL_WHEN"] == "after"
taken = 0
writes: list[Any] = []
"""Of the fleet, on their way."""


def step() -> bool:
    """Count one, and die before it if that is asked. Whether to die after it."""
    global taken  # noqa: PLW0603
    taken += 1
    if taken == AT and not AFTER:
        os.kill(os.getpid(), signal.SIGKILL)
    return taken == AT


def deadly(act: Callable[..., Any]) -> Callable[..., Any]:
    """The same, as a step."""

    def acted(*arguments: Any, **named: Any) -> Any:
        last = step()
        result = act(*arguments, **named)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return acted


def noted(make: Callable[..., Any]) -> Callable[..., Any]:
    """The same; what it makes is known for a write."""

    def made(*arguments: Any, **named: Any) -> Any:
        writes.append(call := make(*arguments, **named))
        return call

    return made


plain_run = AsyncStore.run


async def run(self: AsyncStore, call: Any) -> Any:
    """A write of the fleet is a step."""
    if not any(call is write for write in writes):
        return await plain_run(self, call)
    writes.remove(call)
    last = step()
    result = await plain_run(self, call)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


if __name__ == "__main__":
    Parts.start = deadly(Parts.start)  # type: ignore[method-assign]
    WorkerProcess.stop = deadly(WorkerProcess.stop)  # type: ignore[method-assign]
    AsyncStore.run = run  # type: ignore[method-assign]
    for name in ("drain", "resume", "report", "forget"):
        setattr(capacity, name, noted(getattr(capacity, name)))
    runpy.run_module("genfleet_client.cli", run_name="__main__")
