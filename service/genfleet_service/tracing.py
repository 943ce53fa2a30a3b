"""The spans of the API: a submission, and an attempt to deliver a webhook."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request

from genfleet import traces
from genfleet.store.outbox import Parcel
from genfleet.store.records import NewTask, Submitted
from genfleet.traces import Span
from genfleet_service.webhooks.attempt import Answered, Outcome, error_of


def submission(request: Request) -> Span:
    """Of a request that submits, for as long as it is judged and stored. It joins the client's trace, if that has one."""
    if not traces.is_on():
        return traces.NOTHING
    return traces.start("submit", "server", request.headers.get("traceparent", ""))


def joined(task: NewTask, span: Span) -> NewTask:
    """A new task whose later spans join this one."""
    return replace(task, trace=span.context) if span.context else task


def tell(span: Span, task: NewTask, answer: Submitted) -> None:
    """What was submitted. A request that came before says which task it has."""
    span.tell(
        task_id=answer.id, project_id=task.project, task_type=task.type, queue=task.queue, replayed=answer.replayed
    )


def delivery(parcel: Parcel) -> Span:
    """Of one attempt to deliver a webhook; the receiver may join it."""
    if not parcel.trace or not traces.is_on():
        return traces.NOTHING
    return traces.start("webhook", "client", parcel.trace, **traces.attributes(parcel.names), attempt=parcel.made + 1)


def delivered(span: Span, outcome: Outcome | None) -> None:
    """What came of the attempt; None: there was nothing to send any more."""
    if isinstance(outcome, Answered):
        span.tell(status_code=outcome.status)
    if outcome is not None and error_of(outcome):
        span.fail("http" if isinstance(outcome, Answered) else "not_answered")
