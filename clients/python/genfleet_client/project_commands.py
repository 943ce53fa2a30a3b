"""Commands on all tasks of a project (usage, cancel-all, retry-all) and on webhooks. Added to the command line by `cli.py`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console

from genfleet_client import show
from genfleet_client.api import Client
from genfleet_client.bodies import BulkBody
from genfleet_client.errors import refusal

Connect = Callable[[], AbstractContextManager[Client]]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, for scripts.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")]
Kind = Annotated[str | None, typer.Option("--type", help="Only tasks of this type.")]
Project = Annotated[str, typer.Argument(help="Whose tasks.")]
Since = Annotated[str | None, typer.Option(help="Only tasks created after this time, such as 2026-01-31T10:00:00Z.")]
TaskId = Annotated[str, typer.Argument(help="Id of the task.")]
Until = Annotated[str | None, typer.Option(help="Only tasks created before this time.")]


def add(app: typer.Typer, connect: Connect, out: Console) -> None:
    """Add them."""
    _add_bulk(app, connect, out)
    _add_usage(app, connect, out)
    _add_webhooks(app, connect, out)


def _add_bulk(app: typer.Typer, connect: Connect, out: Console) -> None:
    @app.command("cancel-all")
    def cancel_all(
        project: Project,
        status: Annotated[str | None, typer.Option(help="queued or processing; both if not given.")] = None,
        task_type: Kind = None,
        since: Since = None,
        until: Until = None,
        dry_run: DryRun = False,
        json_: AsJson = False,
    ) -> None:
        """Cancel all tasks of a project that fit. Look first: --dry-run."""
        filters = given(status=status, task_type=task_type, since=since, until=until, dry_run=dry_run)
        with connect() as client:
            tell_bulk(out, "cancelled", all_of(partial(client.cancel_tasks, project), filters), json_=json_)

    @app.command("retry-all")
    def retry_all(
        project: Project,
        status: Annotated[str | None, typer.Option(help="failed (if not given) or cancelled.")] = None,
        task_type: Kind = None,
        since: Since = None,
        until: Until = None,
        dry_run: DryRun = False,
        json_: AsJson = False,
    ) -> None:
        """Submit again all failed tasks of a project that fit; called again, it does none twice."""
        filters = given(status=status, task_type=task_type, since=since, until=until, dry_run=dry_run)
        with connect() as client:
            tell_bulk(out, "submitted again", all_of(partial(client.retry_tasks, project), filters), json_=json_)


def _add_usage(app: typer.Typer, connect: Connect, out: Console) -> None:
    @app.command()
    def usage(
        project: Annotated[str, typer.Argument(help="Whose use.")] = "default",
        first_day: Annotated[str | None, typer.Option("--from", help="First day (UTC), such as 2026-01-31.")] = None,
        last_day: Annotated[str | None, typer.Option("--to", help="Last day; today if not given.")] = None,
        json_: AsJson = False,
    ) -> None:
        """Show what a project used: tasks, run time and GPU time by type; the last 30 days if none is given."""
        with connect() as client:
            answer = client.usage(project, first_day, last_day)
        if json_:
            show.as_json(answer)
        else:
            out.print(show.usage(answer))


def _add_webhooks(app: typer.Typer, connect: Connect, out: Console) -> None:
    @app.command()
    def deliveries(task_id: TaskId, json_: AsJson = False) -> None:
        """Show what became of the webhook of a task, attempt by attempt."""
        with connect() as client:
            answer = client.deliveries(task_id)
        if json_:
            show.as_json({"deliveries": answer})
        elif not answer:
            out.print("no webhook: the task has no callback_url, or has not ended")
        for delivery in () if json_ else answer:
            show.delivery(out, delivery)

    @app.command()
    def resend(task_id: TaskId, json_: AsJson = False) -> None:
        """Send the webhook of a task again, with the same body."""
        with connect() as client:
            answer = client.resend(task_id)
        if json_:
            show.as_json(answer)
        else:
            out.print(f"goes to {answer['callback_url']} again", highlight=False, markup=False, soft_wrap=True)


def given(**filters: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in filters.items() if value is not None}


def tell_bulk(out: Console, done: str, answer: BulkBody, *, json_: bool) -> None:
    """What came of a request on many tasks. Raises ApiError if a limit stopped it."""
    if json_:
        show.as_json(answer)
    elif answer["dry_run"]:
        out.print(f"{answer['matched']} would be {done}: nothing was done", highlight=False)
    else:
        left = f", {answer['remaining']} left" if answer["remaining"] else ""
        out.print(f"{answer['done']} {done}{left}", highlight=False)
    _raise_what_stopped(answer)


def all_of(step: Callable[..., BulkBody], filters: dict[str, Any]) -> BulkBody:
    """What came of as many requests as it takes: one does a bounded part, and says where the next goes on."""
    answer = whole = step(**filters)
    while answer["remaining"] and not answer["stopped_by"] and not answer["dry_run"] and _has_moved(answer):
        cursor = {"cursor": answer["cursor"]} if answer["cursor"] else {}
        answer = step(**filters, **cursor)
        whole = {**answer, "matched": whole["matched"], "sample": whole["sample"]} | {
            name: whole[name] + answer[name] for name in ("done", "skipped")
        }  # type: ignore[assignment]  # names of numbers
    return whole


def _has_moved(answer: BulkBody) -> bool:
    return answer["done"] + answer["skipped"] > 0


def _raise_what_stopped(answer: BulkBody) -> None:
    """As the refusal that a single task would have got. Raises ApiError."""
    body = answer["stopped_by"]
    if body is not None:
        raise refusal(429 if body["error"] == "rate_limit_exceeded" else 503, body, body.get("retry_after"))
