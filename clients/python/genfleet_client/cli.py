"""`genfleet`: the command line.

Exit status, for scripts: 0 done · 1 the task failed · 2 the request was wrong · 3 the task was cancelled ·
4 the service cannot be reached or is unavailable · 5 the key was refused · 6 there is no such task · 7 it took too long.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from genfleet_client import show
from genfleet_client.api import ApiError, Client
from genfleet_client.connection import Connection
from genfleet_client.watch import watch

app = typer.Typer(
    name="genfleet",
    help="Submit generation work, follow it, and watch the fleet that runs it.",
    epilog="Exit status: 0 done, 1 the task failed, 2 wrong request, 3 cancelled, 4 service unavailable, "
    "5 key refused, 6 no such task, 7 timeout.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

TASK_FAILED, WRONG, TASK_CANCELLED, UNAVAILABLE, REFUSED, NOT_FOUND, TOO_LONG = 1, 2, 3, 4, 5, 6, 7
_OF_STATUS = {401: REFUSED, 403: REFUSED, 404: NOT_FOUND}
_OF_STATE = {"completed": 0, "failed": TASK_FAILED, "cancelled": TASK_CANCELLED}
REFRESH_S = 0.5
"""Between two pictures of a live view."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, for scripts.")]
TaskId = Annotated[str, typer.Argument(help="Id of the task.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Follow the task until it has ended.")]
Timeout = Annotated[float | None, typer.Option(help="Stop waiting after so many seconds; the task goes on.")]

console = Console(stderr=True)
out = Console()


@contextmanager
def _client() -> Iterator[Client]:
    """A client; refusals become a message and an exit status."""
    try:
        with Client(Connection.find()) as client:
            yield client
    except ApiError as error:
        show.error(console, str(error), error.body.get("details") or {})
        if error.status == 401:
            console.print("  set GENFLEET_API_KEY, or run where `genfleet up` keeps its .genfleet folder")
        unavailable = error.status == 0 or error.status >= 500
        raise typer.Exit(UNAVAILABLE if unavailable else _OF_STATUS.get(error.status, WRONG)) from None


def _wrong(message: str) -> typer.Exit:
    show.error(console, message, {})
    return typer.Exit(WRONG)


@app.command()
def submit(
    task_type: Annotated[str | None, typer.Argument(help="Such as generate_image. Not needed with --file.")] = None,
    data: Annotated[str, typer.Option("--data", "-d", help="task_data: JSON, @FILE, or @- for stdin.")] = "{}",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A whole request body as documented.")] = None,
    project: Annotated[str, typer.Option("--project", "-p", help="Project that the task belongs to.")] = "default",
    priority: Annotated[int, typer.Option(help="1 high, 2 normal, 3 low.")] = 2,
    callback_url: Annotated[str | None, typer.Option(help="Where to POST the outcome.")] = None,
    metadata: Annotated[str | None, typer.Option(help="JSON object, passed through.")] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    json_: AsJson = False,
) -> None:
    """Submit a task."""
    if file is None and task_type is None:
        raise _wrong("Which task? Give its type, such as `genfleet submit generate_image`, or a whole body with --file")
    body = _document(f"@{file}", "--file") if file else {"project_id": project, "task_type": task_type}
    if file is None:
        body |= {"task_data": _document(data, "--data"), "priority": priority, "callback_url": callback_url}
        body |= {"metadata": _document(metadata, "--metadata")} if metadata else {}
    with _client() as client:
        answer = client.submit(body)
        if wait:
            if not json_:
                console.print(f"task {answer['task_id']}", highlight=False)
            _follow(client, answer["task_id"], timeout, json_=json_)
        elif json_:
            show.as_json(answer)
        else:
            out.print(show.task(answer))


def _document(text: str, option: str) -> Any:
    """JSON from the command line, a file or stdin."""
    try:
        if text.startswith("@"):
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text()
        document = json.loads(text)
    except OSError as error:
        raise _wrong(f"{option}: cannot read {text[1:]}: {error.strerror}") from None
    except ValueError as error:
        raise _wrong(f"{option}: not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise _wrong(f'{option}: must be a JSON object, such as \'{{"prompt": "a red fox"}}\'')
    return document


def _follow(client: Client, task_id: str, timeout: float | None, *, json_: bool) -> None:
    try:
        status = watch(client, task_id, timeout, console)
    except TimeoutError as error:
        show.error(console, f"{error}; the task goes on: genfleet status {task_id}", {})
        raise typer.Exit(TOO_LONG) from None
    except KeyboardInterrupt:
        console.print(f"the task goes on: genfleet status {task_id} --wait, or genfleet cancel {task_id}")
        raise typer.Exit(130) from None
    if json_:
        show.as_json(status)
    else:
        out.print(show.task(status))
    raise typer.Exit(_OF_STATE[status["status"]])


@app.command()
def status(
    task_id: TaskId,
    wait: Wait = False,
    timeout: Timeout = None,
    full: Annotated[bool, typer.Option("--full", help="Everything that is kept of it.")] = False,
    json_: AsJson = False,
) -> None:
    """Show how a task is."""
    with _client() as client:
        if wait:
            _follow(client, task_id, timeout, json_=json_)
        answer = client.task(task_id) if full else client.status(task_id)
    if json_:
        show.as_json(answer)
    else:
        out.print(show.task(answer))


@app.command()
def ls(
    project: Annotated[str, typer.Argument(help="Project whose tasks to list.")] = "default",
    status: Annotated[str | None, typer.Option(help="Only tasks in this state.")] = None,
    task_type: Annotated[str | None, typer.Option("--type", help="Only tasks of this type.")] = None,
    since: Annotated[str | None, typer.Option(help="Only tasks created after this time (ISO 8601).")] = None,
    page: Annotated[int, typer.Option(min=1)] = 1,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    json_: AsJson = False,
) -> None:
    """List a project's tasks, newest first."""
    filters = {"status": status, "task_type": task_type, "since": since, "page": page, "limit": limit}
    with _client() as client:
        answer = client.project_tasks(project, **filters)
    if json_:
        show.as_json(answer)
    else:
        out.print(show.tasks(answer))


@app.command()
def cancel(task_id: TaskId, json_: AsJson = False) -> None:
    """Cancel a task that has not ended."""
    with _client() as client:
        answer = client.cancel(task_id)
    if json_:
        show.as_json(answer)
    else:
        out.print(answer["message"])


@app.command()
def retry(task_id: TaskId, wait: Wait = False, timeout: Timeout = None, json_: AsJson = False) -> None:
    """Submit a failed or cancelled task again, under a new id."""
    with _client() as client:
        answer = client.retry(task_id)
        if wait:
            _follow(client, answer["new_task_id"], timeout, json_=json_)
    if json_:
        show.as_json(answer)
    else:
        out.print(show.task(answer))


@app.command()
def queues(
    follow: Annotated[bool, typer.Option("--watch", "-w", help="Keep showing it, until ctrl-C.")] = False,
    json_: AsJson = False,
) -> None:
    """Show what waits and runs, the workers wanted and ready, and the reason of the last decision."""
    with _client() as client:
        rows = client.queues()
        if json_:
            show.as_json({"queues": rows})
        elif follow:
            _live(client, rows)
        else:
            out.print(show.queues(rows))


def _live(client: Client, rows: list[dict[str, Any]]) -> None:
    try:
        with Live(show.queues(rows), console=out, auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH_S)
                live.update(show.queues(client.queues()), refresh=True)
    except KeyboardInterrupt:
        return


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
            app.command(command.name)(command.load())


def main() -> None:
    """Run the command line."""
    _add_installed_commands(sys.argv[1:])
    app()


if __name__ == "__main__":
    main()
