"""How things look on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

COLOURS = {
    "queued": "yellow",
    "processing": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
}


def as_json(content: object) -> None:
    """For scripts: on stdout, and nothing else."""
    print(json.dumps(content, indent=2, ensure_ascii=False))  # noqa: T201  this is the output


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(word, style=COLOURS.get(word, ""))


def task(status: Mapping[str, Any]) -> RenderableType:
    """One task, the fields that say something."""
    table = Table.grid(padding=(0, 2))
    for name, value in status.items():
        if value in (None, {}, []):
            continue
        shown = state(value) if name == "status" else _value(value)
        table.add_row(Text(name, style="dim"), shown)
    return table


def _value(value: object) -> Text:
    return Text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def tasks(page: Mapping[str, Any]) -> RenderableType:
    """A list of tasks."""
    table = Table("task", "type", "status", "created", "result", box=None, header_style="dim")
    for row in page["tasks"]:
        table.add_row(
            row["task_id"], row["task_type"], state(row["status"]), row["created_at"], row["result_url"] or ""
        )
    numbers = page["pagination"]
    table.caption = f"page {numbers['page']} of {numbers['total_pages']}, {numbers['total']} tasks"
    return table


def queues(rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    """What every queue and its fleet are doing, and why."""
    table = Table(
        "queue", "waiting", "running", "retrying", "oldest", "workers", "reason", box=None, header_style="dim"
    )
    for row in rows:
        fleet = row["fleet"]
        busy = row["waiting"] or row["running"]
        oldest = row["oldest_wait_seconds"]
        table.add_row(
            Text(row["queue"], style="bold" if busy else ""),
            Text(str(row["waiting"]), style="yellow" if row["waiting"] else "dim"),
            Text(str(row["running"]), style="cyan" if row["running"] else "dim"),
            Text(str(row["retrying"]), style="red" if row["retrying"] else "dim"),
            f"{oldest} s" if oldest is not None else "",
            _workers(row, fleet),
            Text(f"{fleet['reason']}: {fleet['explanation']}" if fleet else "no fleet controller reports on it"),
        )
    return table


def _workers(row: Mapping[str, Any], fleet: Mapping[str, Any] | None) -> Text:
    """Ready of wanted, and what is on its way."""
    if fleet is None:
        return Text(f"{row['workers']}")
    text = Text(f"{fleet['ready']}/{fleet['wanted']} of {fleet['maximum']}")
    for phase in ("starting", "draining"):
        if fleet[phase]:
            text.append(f"  {fleet[phase]} {phase}", style="yellow")
    return text


def error(console: Console, message: str, details: Mapping[str, str]) -> None:
    """What went wrong, and each field that is to blame."""
    console.print(Text("error: ", style="red") + Text(message), soft_wrap=True)
    for field, fault in details.items():
        console.print(Text(f"  {field}: ", style="bold") + Text(fault), soft_wrap=True)
