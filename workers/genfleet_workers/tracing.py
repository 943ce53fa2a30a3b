"""The spans of a worker: how long a task waited, and its attempt.

The parent makes them, because it outlives the process that runs the attempt: what died is traced, too.
"""

from __future__ import annotations

from dataclasses import replace

from genfleet import traces
from genfleet.store.records import Lease
from genfleet.traces import Span


def begin(lease: Lease, queue: str) -> tuple[Lease, Span]:
    """A task was claimed. Its lease is as the attempt has to see it: what is traced there joins the attempt."""
    if lease.trace is None or not traces.is_on():
        return lease, traces.NOTHING
    submitted, known = lease.trace, {**traces.attributes(lease.names), "queue": queue}
    traces.past("wait", "internal", submitted.context, submitted.due_ms, submitted.claimed_ms, **known)
    span = traces.start("attempt", "consumer", submitted.context, **known)
    return replace(lease, trace=replace(submitted, context=span.context)), span


def end(span: Span, told: str) -> None:
    """It is over: `told` is how it ended and, if it failed, why."""
    outcome, _, cause = told.partition(" ")
    span.tell(outcome=outcome)
    if cause:
        span.fail(cause)
    span.end()
