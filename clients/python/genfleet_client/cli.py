"""`genfleet`: the command line.

Exit status, for scripts: 0 done · 1 the task failed · 2 the request was wrong · 3 the task was cancelled ·
4 the service cannot be reached or is unavailable · 5 the key was refused · 6 there is no such task · 7 it took too long ·
8 over a limit, also after waiting for it.
1, 3 and 7 come from waiting for a task; an interrupt (ctrl-C) is 130, as in a shell.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.live import Live

from genfleet_client import bodies, doctor_command, given_json, key_commands, project_commands, show, ward_commands
from genfleet_client.api import Client
from genfleet_client.connection import is_told
from genfleet_client.errors import ApiError
from genfleet_client.retries import Retries
from genfleet_client.sse import FINAL
from genfleet_client.talks import Because
from genfleet_client.terminal import Terminal
from genfleet_client.watch import watch

app = typer.Typer(
    name="genfleet",
    help="Submit generation work, follow it, and watch the fleet that runs it.",
    epilog="Exit status: 0 done, 2 wrong request, 4 service unavailable, 5 key refused, 6 no such task, 8 over a limit; "
    "after --wait also 1 the task failed, 3 it was cancelled, 7 it took too long.\n\nGENFLEET_URL and GENFLEET_API_KEY say where the "
    "service is and who asks; where `genfleet up` was started they are not needed.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

TASK_FAILED, WRONG, TASK_CANCELLED, UNAVAILABLE, REFUSED, NOT_FOUND, TOO_LONG, LIMITED = range(1, 9)
INTERRUPTED = 130
_OF_STATUS = {401: REFUSED, 403: REFUSED, 404: NOT_FOUND, 429: LIMITED}
_OF_STATE = {"completed": 0, "failed": TASK_FAILED, "cancelled": TASK_CANCELLED}
RETRIES = Retries(attempts=3, patience=2.0)
"""Somebody looks on: a service that is away is told soon. Limits are waited for all the same."""
SHORTEST_TOLD_S = 1.0
"""Waits that nobody wonders about are not told."""
BATCH = 100
"""Tasks that go in one request."""
REFRESH_S = 0.5
"""Between two pictures of a live view."""

T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, for scripts.")]
TaskId = Annotated[str, typer.Argument(help="Id of the task.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Follow the task until it has ended.")]
Timeout = Annotated[float | None, typer.Option(min=0, help="Wait, but so many seconds at most; the task goes on.")]

console = Terminal(stderr=True)
out = Terminal()


@contextmanager
def _client() -> Iterator[Client]:
    """A client; refusals become a message and an exit status."""
    try:
        client = Client(retries=RETRIES, on_wait=_tell_wait)
    except ValueError as error:
        raise _wrong(str(error)) from None
    try:
        with client:
            yield client
    except ApiError as error:
        show.error(console, error.message, error.details)
        for remedy in _remedies(error):
            console.print(f"  {remedy}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(UNAVAILABLE if _may_pass(error) else _OF_STATUS.get(error.status, WRONG)) from None


def _tell_wait(seconds: float, because: Because) -> None:
    if seconds >= SHORTEST_TOLD_S:
        why = {"limit": "a limit of this key or project is reached", "outage": "the service is away"}[because]
        console.print(f"{why}: waiting {seconds:.0f} s (ctrl-C gives up)", highlight=False, markup=False)


def _remedies(error: ApiError) -> Iterator[str]:
    """What to do about it at a command line."""
    if error.status in (0, 401) and not is_told():
        yield (
            "no `genfleet up` runs in this folder or above: go where it was started, "
            "or set GENFLEET_URL and GENFLEET_API_KEY"
        )
    elif error.status == 401:
        yield "set GENFLEET_API_KEY to a key of this service; where `genfleet up` was started it is not needed"
    elif error.status == 403 and "scope" in error.message:
        yield "use a key with that scope: GENFLEET_API_KEY; `genfleet keys create --scope` makes one"
    elif error.status == 403:
        yield "give a project that the key may use with --project, or use another key: GENFLEET_API_KEY"


def _may_pass(error: ApiError) -> bool:
    """Whether the service was to blame, and the same request may be answered later."""
    return error.status == 0 or error.status >= 500


def _wrong(message: str) -> typer.Exit:
    show.error(console, message, {})
    return typer.Exit(WRONG)


@app.command()
def submit(
    task_type: Annotated[str | None, typer.Argument(help="Such as generate_image. Not needed with --file.")] = None,
    data: Annotated[str | None, typer.Option("--data", "-d", help="task_data: JSON, @FILE, or @- for stdin.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="A request body, or several: a JSON array, or one a line. - for stdin."),
    ] = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Its project, `default` if not given.")] = None,
    priority: Annotated[int | None, typer.Option(help="1 high, 2 normal (if not given), 3 low.")] = None,
    callback_url: Annotated[str | None, typer.Option(help="Where to POST the outcome.")] = None,
    metadata: Annotated[str | None, typer.Option(help="JSON object (or @FILE), passed through.")] = None,
    delay: Annotated[float | None, typer.Option(min=0, help="Run it so many seconds later.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Fail if it has not started in so many seconds.")] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    json_: AsJson = False,
) -> None:
    """Submit a task: a type and its data, or a whole request from a file."""
    if file is None and task_type is None:
        raise _wrong("Which task? Give its type, such as `genfleet submit generate_image`, or a whole body with --file")
    given = {
        "task_type": task_type,
        "project_id": project,
        "task_data": _read(lambda: given_json.document(data, "--data")) if data is not None else None,
        "priority": priority,
        "callback_url": callback_url,
        "metadata": _read(lambda: given_json.document(metadata, "--metadata")) if metadata is not None else None,
        "delay_seconds": delay,
        "deadline_seconds": deadline,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    sent = _read(lambda: given_json.bodies(file)) if file else {"project_id": "default", "task_data": {}}
    for body in sent.values() if isinstance(sent, given_json.Many) else [sent]:
        if task_type is not None and body.get("task_type", task_type) != task_type:
            raise _wrong(f"the file says {body['task_type']}, the command {task_type}: give one")
    if isinstance(sent, given_json.Many):
        if wait or timeout is not None:
            raise _wrong(
                "--wait is for one task, and the file has several: follow each with `genfleet status ID --wait`"
            )
        _submit_all({place: body | changes for place, body in sent.items()}, json_=json_)
        return
    body = sent | changes
    with _client() as client:
        answer = client.submit_body(body)
        is_waiting = wait or timeout is not None
        for warning in answer.pop("warnings", ()) if is_waiting or not json_ else ():  # else they are in the answer
            console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        if is_waiting:
            if not json_:
                console.print(f"task {answer['task_id']}", highlight=False)
            _follow(client, answer["task_id"], timeout, json_=json_)
    if json_:
        show.as_json(answer)
    else:
        show.task(out, answer)


def _read(read: Callable[[], T]) -> T:
    """What was given as JSON; what is wrong with it becomes a message and an exit status."""
    try:
        return read()
    except ValueError as error:
        raise _wrong(str(error)) from None


def _submit_all(sent: Mapping[str, dict[str, Any]], *, json_: bool) -> None:
    """Submit many tasks, a batch after the other. Exits with 8 if a limit refused some to the end, with 2 if any is wrong."""
    parts, results = list(sent.values()), list[Any]()
    with _client() as client:
        try:
            for first in range(0, len(parts), BATCH):
                results += client.submit_batch(parts[first : first + BATCH])["results"]
        except ApiError:
            _tell_parts(sent, results, json_=json_)  # what was accepted must be known, whatever became of the rest
            raise
    refused = _tell_parts(sent, results, json_=json_)
    if refused:
        are_limited = all("retry_after" in error for error in refused)
        raise typer.Exit(LIMITED if are_limited else WRONG)


def _tell_parts(sent: Iterable[str], results: list[Any], *, json_: bool) -> list[bodies.BatchError]:
    """Show what came of many tasks, as far as they were sent; the errors of those refused."""
    for index, result in enumerate(results):
        result["index"] = index
    told = list(zip(sent, results, strict=False))
    refused = {place: result["error"] for place, result in told if result["error"]}
    if json_:
        show.as_json({"accepted": len(results) - len(refused), "refused": len(refused), "results": results})
        return list(refused.values())
    for _place, result in told:
        if result["task"]:
            out.print(result["task"]["task_id"], highlight=False, markup=False)
    for place, error in refused.items():
        show.error(console, f"{place}: {error['message']}", error.get("details") or {})
    return list(refused.values())


def _follow(client: Client, task_id: str, timeout: float | None, *, json_: bool, full: bool = False) -> None:
    """Wait for the end of a task, show it, and exit with a status that says which."""
    try:
        status = watch(client, task_id, timeout, console)
    except TimeoutError as error:
        show.error(console, f"{error}; the task goes on: genfleet status {task_id}", {})
        raise typer.Exit(TOO_LONG) from None
    except KeyboardInterrupt:
        _goes_on(task_id)
        raise typer.Exit(INTERRUPTED) from None
    except ApiError as error:
        if _may_pass(error):
            _goes_on(task_id)
        raise
    answer = client.task(task_id) if full else status
    if json_:
        show.as_json(answer)
    else:
        _show_task(answer)
    raise typer.Exit(_OF_STATE[status["status"]])


def _show_task(answer: Mapping[str, Any]) -> None:
    """All that is kept of it, if that was asked for, or its status."""
    (show.task_with_story if "story" in answer else show.task)(out, answer)


def _goes_on(task_id: str) -> None:
    words = f"the task goes on: genfleet status {task_id} --wait, or genfleet cancel {task_id}"
    console.print(words, highlight=False, markup=False, soft_wrap=True)


@app.command()
def status(
    task_id: TaskId,
    wait: Wait = False,
    timeout: Timeout = None,
    full: Annotated[bool, typer.Option("--full", help="Show all that is kept of it: its data, traceback, …")] = False,
    json_: AsJson = False,
) -> None:
    """Show the state, progress and result of a task."""
    with _client() as client:
        if wait or timeout is not None:
            _follow(client, task_id, timeout, json_=json_, full=full)
        answer = client.task(task_id) if full else client.status(task_id)
        waiting = client.task(task_id) if answer["status"] == "queued" and not json_ else None
        webhooks = client.deliveries(task_id) if answer["status"] in FINAL and not json_ else []
    if json_:
        show.as_json(answer)
    else:
        _show_task(answer)
        if waiting:
            show.wait(out, waiting)
        for webhook in webhooks:
            if webhook["status"] == "failed":
                show.lost_webhook(out, webhook)


@app.command()
def ls(
    project: Annotated[str, typer.Argument(help="Project whose tasks to list.")] = "default",
    status: Annotated[str | None, typer.Option(help=f"Only tasks in this state: {', '.join(show.COLOURS)}.")] = None,
    task_type: Annotated[str | None, typer.Option("--type", help="Only tasks of this type.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only tasks created after this time, such as 2026-01-31T10:00:00Z.")
    ] = None,
    page: Annotated[int, typer.Option(min=1, help="Which page of the list.")] = 1,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Tasks on a page.")] = 20,
    json_: AsJson = False,
) -> None:
    """List a project's tasks, newest first."""
    with _client() as client:
        answer = client.project_tasks(project, status=status, task_type=task_type, since=since, page=page, limit=limit)
    if json_:
        show.as_json(answer)
    else:
        show.tasks(out, answer, project)


@app.command()
def logs(
    task_id: TaskId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on to the end of the task.")] = False,
    json_: AsJson = False,
) -> None:
    """Show what the engines said of their work on a task."""
    if follow and json_:
        raise _wrong("--json prints the lines so far: leave out --follow")
    with _client() as client:
        if follow:
            _follow_logs(client, task_id)
            return
        lines = client.logs(task_id)
    if json_:
        show.as_json({"logs": lines})
        return
    for line in lines:
        show.log_line(out, line)


def _follow_logs(client: Client, task_id: str) -> None:
    try:
        for event in client.events(task_id):
            if event.type == "log":
                show.log_line(out, event.data)
                sys.stdout.flush()
            elif event.type == "gap":
                console.print("some lines are no longer kept", style="dim")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def cancel(task_id: TaskId, json_: AsJson = False) -> None:
    """Cancel a task that has not ended."""
    with _client() as client:
        answer = client.cancel(task_id)
    if json_:
        show.as_json(answer)
    else:
        out.print(answer["message"], highlight=False, markup=False)


@app.command()
def retry(task_id: TaskId, wait: Wait = False, timeout: Timeout = None, json_: AsJson = False) -> None:
    """Submit a failed or cancelled task again, under a new id."""
    with _client() as client:
        answer = client.retry(task_id)
        if wait or timeout is not None:
            if not json_:
                console.print(f"task {answer['new_task_id']}", highlight=False)
            _follow(client, answer["new_task_id"], timeout, json_=json_)
    if json_:
        show.as_json(answer)
    else:
        show.task(out, answer)


@app.command()
def queues(
    follow: Annotated[bool, typer.Option("--watch", "-w", help="Keep showing it, until ctrl-C.")] = False,
    json_: AsJson = False,
) -> None:
    """Show what waits and runs, the workers (ready/wanted of at most), and why."""
    if follow and json_:
        raise _wrong("--json prints one picture: leave out --watch, and call it again for the next")
    with _client() as client:
        rows = client.queues()
        if json_:
            show.as_json({"queues": rows})
        elif follow:
            _live(client, rows)
        else:
            out.print(show.queues(rows))


Queue = Annotated[str, typer.Argument(help="Name of the queue, such as gpu_heavy; see `genfleet queues`.")]


@app.command()
def pause(
    queue: Queue,
    reason: Annotated[str, typer.Option(help="Why, for those who wonder.")] = "",
    json_: AsJson = False,
) -> None:
    """Let nothing of a queue start any more; what runs is finished, what is submitted waits."""
    with _client() as client:
        answer = client.pause(queue, reason)
    if json_:
        show.as_json(answer)
    else:
        out.print(f"{queue} is paused; go on with: genfleet resume {queue}", highlight=False, markup=False)


@app.command()
def resume(queue: Queue, json_: AsJson = False) -> None:
    """Let a paused queue go on."""
    with _client() as client:
        answer = client.resume(queue)
    if json_:
        show.as_json(answer)
    else:
        out.print(f"{queue} goes on", highlight=False, markup=False)


@app.command()
def audit(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many entries.")] = 50,
    before: Annotated[str | None, typer.Option(help="Only those before the entry with this id.")] = None,
    json_: AsJson = False,
) -> None:
    """Show who changed what, the newest first. Needs a key with the scope admin."""
    with _client() as client:
        answer = client.audit(limit, before)
    if json_:
        show.as_json(answer)
        return
    show.audit(out, answer["entries"])
    if answer["next"]:
        console.print(f"more with --before {answer['next']}", style="dim", highlight=False, markup=False)


def _live(client: Client, rows: list[bodies.Queue]) -> None:
    """On a terminal one picture that moves, elsewhere a picture for each change."""
    try:
        if not out.is_terminal:
            _in_turn(client, rows)
        with Live(show.queues(rows), console=out, auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH_S)
                live.update(show.queues(client.queues()), refresh=True)
    except KeyboardInterrupt:
        return


def _in_turn(client: Client, rows: list[bodies.Queue]) -> None:
    shown: list[bodies.Queue] = []
    while True:
        if rows != shown:
            out.print(show.queues(rows), "")
            sys.stdout.flush()
        shown = rows
        time.sleep(REFRESH_S)
        rows = client.queues()


project_commands.add(app, _client, out)
doctor_command.add(app, out)
app.add_typer(key_commands.commands(_client, out), name="keys")
app.add_typer(ward_commands.quarantine(_client, out), name="quarantine")
app.add_typer(ward_commands.dead_letters(_client, out), name="dead-letters")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"genfleet {version('genfleet')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the command."""


def _add_installed_commands(arguments: list[str]) -> None:
    """Commands of other packages, such as `up` of the local extra. Loaded only when asked for: it takes a moment."""
    for command in entry_points(group="genfleet.commands"):
        if not arguments or arguments[0] in (command.name, "--help"):
            try:
                app.command(command.name)(command.load())
            except ImportError as error:
                if arguments[:1] == [command.name]:
                    remedy = "install the extra `local` of this package"
                    show.error(console, f"genfleet {command.name} needs more than is installed ({error}): {remedy}", {})
                    raise SystemExit(WRONG) from None


def main() -> None:
    """Run the command line."""
    _add_installed_commands(sys.argv[1:])
    app()


if __name__ == "__main__":
    main()
