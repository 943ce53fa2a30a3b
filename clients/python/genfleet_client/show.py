"""How things look on a terminal of 80 columns. What people copy (ids, addresses) is never cut or broken."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from genfleet_client import terminal

COLOURS = {
    "queued": "yellow",
    "processing": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
}
LEVELS = {"warning": "yellow", "error": "red"}
AT_WORK = ("waiting", "running", "scheduled")
PRIORITIES = {"1": "high", "2": "normal", "3": "low"}
WORKERS = ("wanted", "starting", "ready", "draining")


def as_json(content: object) -> None:
    """For scripts: on stdout, and nothing else."""
    print(terminal.as_json(content))  # noqa: T201  this is the output


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(word, style=COLOURS.get(word, ""))


def task(console: Console, status: Mapping[str, Any]) -> None:
    """One task, the fields that say something. Each is one line, however long: the terminal wraps it."""
    rows = list(_rows(status))
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        below = value.replace("\n", "\n" + " " * width)
        shown = state(below) if name == "status" else Text(below)
        console.print(Text(f"{name:{width}}" if below else name, style="dim") + shown, soft_wrap=True)


def task_with_story(console: Console, found: Mapping[str, Any]) -> None:
    """One task, and below it what became of its attempts, and what people did about them: a line for each."""
    task(console, {name: value for name, value in found.items() if name != "story"})
    for chapter in found["story"]:
        worker = f" on {chapter['worker']}" if chapter["worker"] else ""
        began = f", begun {_moment(chapter['started_at'], seconds=True)}" if chapter["started_at"] else ""
        more = chapter["reason"] or (f"as {chapter['new_task_id']}" if chapter["new_task_id"] else "")
        by = f", by key {chapter['key_id']}" if chapter["key_id"] else ""
        how = chapter["how"].replace("_", " ")
        line = f"{_moment(chapter['at'], seconds=True)}  {how}{worker}{began}{by}{': ' + more if more else ''}"
        console.print(Text("story  ", style="yellow") + Text(line, style="default"), soft_wrap=True)


def quarantine(console: Console, page: Mapping[str, Any]) -> None:
    """Tasks in quarantine, and why; how to see one, and what may be done."""
    table = Table("task", "project", "type", "since", "why", box=None, header_style="dim", pad_edge=False)
    table.columns[0].no_wrap = True
    for row in page["tasks"]:
        names = (Text(row[name]) for name in ("task_id", "project_id", "task_type"))
        table.add_row(*names, _moment(row["quarantined_at"]), Text(row["error"]))
    _list(console, table, page["pagination"], "no task is in quarantine", "genfleet quarantine show TASK_ID")


def dead_letters(console: Console, page: Mapping[str, Any]) -> None:
    """Messages that were set aside, and why."""
    table = Table("number", "queue", "task", "came", "times", "why", box=None, header_style="dim", pad_edge=False)
    table.columns[0].no_wrap = True
    for row in page["dead_letters"]:
        names = (Text(row[name] or "") for name in ("queue", "task_id"))
        table.add_row(str(row["letter_id"]), *names, _moment(row["last_at"]), str(row["times"]), Text(row["reason"]))
    _list(console, table, page["pagination"], "no dead letters", "genfleet dead-letters show NUMBER")


def _list(console: Console, table: Table, numbers: Mapping[str, int], none: str, remedy: str) -> None:
    if table.row_count:
        console.print(table)
    page, pages, total = numbers["page"], numbers["total_pages"], numbers["total"]
    more = f"; more with --page {page + 1}" if page < pages else ""
    console.print(Text(f"{total} in all{more}; {remedy}" if total else none, style="dim"), soft_wrap=True)


def wait(console: Console, task: Mapping[str, Any]) -> None:
    """Why a task waits, a line for each reason, and when it may be done."""
    for reason in task["pending_reasons"]:
        console.print(Text("waits  ", style="yellow") + Text(reason["message"], style="default"), soft_wrap=True)
    if task["eta"]:
        done = task["eta"]["completion_seconds"]
        words = f"done in about {done['p50']:.0f} s, in {done['p90']:.0f} s with a chance of nine in ten"
        console.print(Text("eta    ", style="yellow") + Text(words, style="default"), soft_wrap=True)


def _rows(fields: Mapping[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    """Names and values; objects become names without a value, and what is in them follows below."""
    for name, value in fields.items():
        if value in (None, "", {}, []):
            continue
        if isinstance(value, dict):
            yield indent + name, ""
            yield from _rows(value, indent + "  ")
        else:
            yield indent + name, value.rstrip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def log_line(console: Console, line: Mapping[str, Any]) -> None:
    """What an engine said, on a line of its own: when, how serious, and what."""
    told = Text(str(line["at"])[11:-1], style="dim")
    told.append(f"  {line['level']:7}  ", style=LEVELS.get(line["level"], "dim"))
    console.print(told.append(str(line["message"]), style="default"), soft_wrap=True)


def tasks(console: Console, page: Mapping[str, Any], project: str) -> None:
    """A project's list of tasks, with their results where the terminal is wide enough."""
    numbers = page["pagination"]
    if page["tasks"]:
        table = _tasks(page["tasks"], results=True)
        wide = console.measure(table, options=console.options.update(width=10_000)).maximum
        console.print(table if wide <= console.width else _tasks(page["tasks"], results=False))
    console.print(Text(_whereabouts(numbers, project), style="dim"), soft_wrap=True)


def _tasks(rows: Sequence[Mapping[str, Any]], *, results: bool) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("type", overflow="ellipsis")
    table.add_column("status", no_wrap=True)
    table.add_column("created", no_wrap=True)
    if results:
        table.add_column("result", no_wrap=True)
    for row in rows:
        cells = [Text(row["task_id"]), Text(row["task_type"]), state(row["status"]), Text(_moment(row["created_at"]))]
        table.add_row(*cells, *([Text(row["result_url"] or "")] if results else []))
    return table


def _moment(timestamp: str, *, seconds: bool = False) -> str:
    """In the time zone of this machine, short: a task lives for a day."""
    return datetime.fromisoformat(timestamp).astimezone().strftime("%d %b %H:%M:%S" if seconds else "%d %b %H:%M")


def _whereabouts(numbers: Mapping[str, int], project: str) -> str:
    """How many there are, and how to see more."""
    page, pages, total = numbers["page"], numbers["total_pages"], numbers["total"]
    if total == 0:
        return f"no such tasks in project {project}"
    count = "1 task" if total == 1 else f"{total} tasks"
    if pages == 1 and page == 1:
        return count
    more = f"; more with --page {page + 1}" if page < pages else ""
    return f"page {page} of {pages}, {count}{more}"


def queues(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What every queue and its fleet are doing, and below the table why, for those that do anything."""
    table = Table("queue", box=None, header_style="dim", pad_edge=False)
    for name in (*AT_WORK, "oldest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("workers", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    notes = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        oldest = row["oldest_wait_seconds"]
        table.add_row(
            Text(row["queue"], style="bold" if row["waiting"] or row["running"] else ""),
            _count(row["waiting"], "yellow"),
            _count(row["running"], "cyan"),
            _count(row["scheduled"], "red"),
            Text(f"{oldest} s" if oldest is not None else ""),
            _workers(row),
            Text(row["fleet"]["reason"]) if row["fleet"] else Text("no controller", style="dim"),
        )
        if row["waiting"]:
            notes.add_row(Text(row["queue"], style="bold"), _lines(row["waiting_by_priority"]))
        if row["paused"]:
            notes.add_row(Text(row["queue"], style="bold"), _paused(row["paused"]))
        if row["fleet"] and not _is_idle(row):
            notes.add_row(Text(row["queue"], style="bold"), _explanation(row["fleet"]))
    return Group(table, "", notes) if notes.row_count else table


_MARKS = {"ok": ("✓", "green"), "unknown": ("?", "dim"), "warning": ("!", "yellow"), "failure": ("✗", "red")}


def findings(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """What was checked, and below each that is not well, what it leads to and what to do."""
    table = Table("", "", "check", "found", box=None, header_style="dim", pad_edge=False)
    table.columns[1].no_wrap = True
    for finding in found:
        mark, colour = _MARKS[finding["severity"]]
        said = Text(finding["found"])
        for words, style in ((finding["why"], ""), (finding["remedy"], "dim")):
            if words:
                said.append(f"\n{words}", style)
        table.add_row(Text(mark, colour), Text(finding["subject"], "dim"), Text(finding["check"]), said)
    console.print(table)


def usage(body: Mapping[str, Any]) -> RenderableType:
    """What a project used, by type and in total."""
    table = Table("type", box=None, header_style="dim", pad_edge=False)
    for name in ("completed", "failed", "cancelled", "attempts", "run s", "GPU s"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, used in (*body["by_type"].items(), ("total", body["total"])):
        counts = (str(used[count]) for count in ("completed", "failed", "cancelled", "attempts"))
        table.add_row(Text(name), *counts, f"{used['run_seconds']:.0f}", f"{used['gpu_seconds']:.0f}")
    return Group(table, Text(f"{body['first_day']} to {body['last_day']}", style="dim"))


def delivery(console: Console, body: Mapping[str, Any]) -> None:
    """The webhook of a task, a line for each attempt."""
    console.print(Text(f"{body['status']}  {body['callback_url']}"), soft_wrap=True)
    for attempt in body["attempts"]:
        said = attempt["error"] or f"HTTP {attempt['status_code']}"
        console.print(Text(f"  {_moment(attempt['at'])}  {said}"), soft_wrap=True)
    if body["next_attempt_at"]:
        console.print(Text(f"  {_moment(body['next_attempt_at'])}  next attempt", style="dim"), soft_wrap=True)


def lost_webhook(console: Console, body: Mapping[str, Any]) -> None:
    """That the webhook of a task did not get through, and what was the matter at last."""
    last = body["attempts"][-1]
    why = last["error"] or f"HTTP {last['status_code']}"
    times = "once" if len(body["attempts"]) == 1 else f"{len(body['attempts'])} times"
    words = f"failed {times}: {why}; again: genfleet resend {body['task_id']}"
    console.print(Text("webhook  ", style="red") + Text(words, style="default"), soft_wrap=True)


def keys(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Every API key, what it is good for, and when it was last used."""
    table = Table(
        "id", "name", "scopes", "projects", "limits", "last used", box=None, header_style="dim", pad_edge=False
    )
    table.columns[0].no_wrap = True
    for row in rows:
        projects = "all" if row["projects"] is None else ", ".join(row["projects"])
        used = _moment(row["last_used_at"]) if row["last_used_at"] else "never"
        table.add_row(row["key_id"], Text(row["name"]), ", ".join(row["scopes"]), Text(projects), _limits(row), used)
    return table


def audit(console: Console, entries: Sequence[Mapping[str, Any]]) -> None:
    """Who changed what, a line each, however long: what it was done to is there to be copied."""
    width = max((len(entry["action"]) for entry in entries), default=0)
    for entry in entries:
        what = " of ".join(name for name in (entry["target"], entry["project"]) if name)
        who = f"{entry['name']} ({entry['key_id']})" if entry["key_id"] else entry["name"]
        line = f"  {entry['status'] or 'done':4}  {entry['action']:{width}}  {what}{', ' if what else ''}by {who}"
        at = Text(_moment(entry["at"], seconds=True), style="dim")
        console.print(at + Text(f"{line} from {entry['address']}", style="default"), soft_wrap=True)
    if not entries:
        console.print(Text("nothing was changed", style="dim"))


def _lines(waiting: Mapping[str, int]) -> Text:
    """Each priority is a line of its own in Redis, where `llen` counts one of them."""
    return Text("waiting: " + ", ".join(f"{waiting[priority]} {word}" for priority, word in PRIORITIES.items()))


def _limits(key: Mapping[str, Any]) -> str:
    """Those that are its own, a line each: submissions and looks a minute, tasks in progress of a project."""
    words = {
        "submissions_per_minute": "submit {}/min",
        "status_reads_per_minute": "look {}/min",
        "project_tasks": "project {}",
    }
    own = {name: key[name] for name in words if key[name] is not None}
    return "\n".join(words[name].format(limit or "∞") for name, limit in own.items()) or "usual"


def _paused(pause: Mapping[str, str]) -> Text:
    why = f": {pause['reason']}" if pause["reason"] else ""
    return Text(f"Paused since {_moment(pause['since'])}{why}", style="yellow")


def _count(number: int, style: str) -> Text:
    return Text(str(number), style=style if number else "dim")


def _workers(row: Mapping[str, Any]) -> Text:
    """Ready, of those wanted, of those allowed."""
    fleet = row["fleet"]
    return Text(f"{fleet['ready']}/{fleet['wanted']} of {fleet['maximum']}" if fleet else str(row["workers"]))


def _is_idle(row: Mapping[str, Any]) -> bool:
    return not any(row[name] for name in AT_WORK) and not any(row["fleet"][name] for name in WORKERS)


def _explanation(fleet: Mapping[str, Any]) -> Text:
    """The decision in a sentence, after who comes and who goes."""
    moving = [f"{fleet[phase]} {phase}" for phase in ("starting", "draining") if fleet[phase]]
    return Text("".join(f"{part}. " for part in moving), style="yellow") + Text(fleet["explanation"], style="default")


def error(console: Console, message: str, details: Mapping[str, str]) -> None:
    """What went wrong, and each field that is to blame. Words are wrapped for people, and left alone in a log."""
    whole = not console.is_terminal
    console.print(Text("error: ", style="red") + Text(message, style="default"), soft_wrap=whole)
    for field, fault in details.items():
        console.print(Text(f"  {field}: ", style="bold") + Text(fault, style="not bold"), soft_wrap=whole)
