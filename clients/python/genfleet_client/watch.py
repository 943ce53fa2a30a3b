"""Follows a task until it has ended, with a live bar on a terminal and a line for each change elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from genfleet_client.api import Client
from genfleet_client.bodies import StatusBody
from genfleet_client.sse import FINAL


def watch(client: Client, task_id: str, timeout: float | None, console: Console) -> StatusBody:
    """The last status. Raises TimeoutError."""
    return (_with_bar if console.is_terminal else _with_lines)(client, task_id, timeout, console)


def _with_bar(client: Client, task_id: str, timeout: float | None, console: Console) -> StatusBody:
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("queued", total=1.0)
        for status in client.follow(task_id, timeout):
            progress.update(bar, description=describe(status), completed=status["progress"] or 0.0)
    return status


def _with_lines(client: Client, task_id: str, timeout: float | None, console: Console) -> StatusBody:
    shown = ""
    for status in client.follow(task_id, timeout):
        line = describe(status)
        if line != shown:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        shown = line
    return status


def describe(status: StatusBody) -> str:
    """What a task is doing, in a few words."""
    if status["status"] == "queued" and status["next_attempt_at"] and status["attempt"] == 1:
        return f"scheduled: gets in line at {status['next_attempt_at']}"
    if status["status"] == "queued" and status["next_attempt_at"]:
        return f"attempt {status['attempt']} of {status['max_attempts']} at {status['next_attempt_at']}"
    if status["status"] in FINAL or not status["current_step"]:
        return str(status["status"])
    return f"{status['status']}: {status['current_step'].replace('_', ' ')}"
