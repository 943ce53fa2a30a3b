"""`genfleet quarantine` and `genfleet dead-letters`: look at what was set aside, and see to it. Added by `cli.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console

from genfleet_client import show
from genfleet_client.api import Client
from genfleet_client.bodies import LettersBody
from genfleet_client.project_commands import AsJson, Connect, DryRun, Kind, TaskId, all_of, given, tell_bulk

LetterId = Annotated[
    int, typer.Argument(min=1, help="Number of the dead letter; `genfleet dead-letters ls` shows them.")
]
OfProject = Annotated[str | None, typer.Option("--project", "-p", help="Only tasks of this project.")]
OfQueue = Annotated[str | None, typer.Option("--queue", "-q", help="Only those of this queue.")]
All = Annotated[bool, typer.Option("--all", help="All of them, or all that fit. Look first: --dry-run.")]
Page = Annotated[int, typer.Option(min=1, help="Which page of the list.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many on a page.")]


def quarantine(connect: Connect, out: Console) -> typer.Typer:
    """The commands on tasks that took three workers with them."""
    app = typer.Typer(help="Tasks that took three workers with them: look, try again, let go.", no_args_is_help=True)

    @app.command()
    def ls(
        project: OfProject = None, task_type: Kind = None, page: Page = 1, limit: Limit = 20, json_: AsJson = False
    ) -> None:
        """List them, newest first."""
        with connect() as client:
            answer = client.quarantine(project, task_type=task_type, page=page, limit=limit)
        if json_:
            show.as_json(answer)
        else:
            show.quarantine(out, answer)

    @app.command("show")
    def show_one(task_id: TaskId, json_: AsJson = False) -> None:
        """Show one with its story: which worker ran each attempt, since when, and how it was lost."""
        with connect() as client:
            answer = client.task(task_id)
        if json_:
            show.as_json(answer)
        else:
            show.task_with_story(out, answer)

    @app.command()
    def retry(
        task_ids: Annotated[list[str] | None, typer.Argument(help="Ids of the tasks; or give --all.")] = None,
        all_: All = False,
        project: OfProject = None,
        task_type: Kind = None,
        dry_run: DryRun = False,
        json_: AsJson = False,
    ) -> None:
        """Submit tasks again, each under a new id; their losses are counted from none."""
        _check(task_ids, all_=all_, filters=[project, task_type, dry_run or None])
        with connect() as client:
            if not task_ids:
                filters = given(project_id=project, task_type=task_type, dry_run=dry_run)
                tell_bulk(out, "submitted again", all_of(client.retry_quarantined, filters), json_=json_)
                return
            _check_they_wait(client, task_ids)
            answers = [client.retry(task_id) for task_id in task_ids]
        if json_:
            show.as_json({"retried": answers})
        for answer in () if json_ else answers:
            out.print(f"{answer['original_task_id']} is now {answer['new_task_id']}", highlight=False, soft_wrap=True)

    @app.command()
    def release(task_id: TaskId, json_: AsJson = False) -> None:
        """Let one go: it stays failed."""
        with connect() as client:
            _tell(out, client.release(task_id), json_=json_)

    return app


def _check_they_wait(client: Client, task_ids: Sequence[str]) -> None:
    """Those that were submitted again or let go do not: another retry would be one more task that does the same work."""
    for task_id in task_ids:
        if not client.task(task_id)["quarantined_at"]:
            seen = f"genfleet quarantine show {task_id} tells why. Once more all the same: genfleet retry {task_id}"
            raise typer.BadParameter(f"{task_id} is not in quarantine; {seen}")


def dead_letters(connect: Connect, out: Console) -> typer.Typer:
    """The commands on messages that no worker could read; each needs a key with the scope admin."""
    app = typer.Typer(help="Messages that no worker could read: look, send again, remove.", no_args_is_help=True)

    @app.command()
    def ls(
        queue: OfQueue = None,
        resent: Annotated[bool, typer.Option("--resent", help="Those that were sent again.")] = False,
        page: Page = 1,
        limit: Limit = 20,
        json_: AsJson = False,
    ) -> None:
        """List those that nobody has seen to, newest first, each with its reason."""
        with connect() as client:
            status = "resent" if resent else "waiting"
            answer = client.dead_letters(queue=queue, status=status, page=page, limit=limit)
        if json_:
            show.as_json(answer)
        else:
            show.dead_letters(out, answer)

    @app.command("show")
    def show_one(letter_id: LetterId, json_: AsJson = False) -> None:
        """Show one with the message as it came."""
        with connect() as client:
            answer = client.dead_letter(letter_id)
        if json_:
            show.as_json(answer)
        else:
            show.task(out, answer)

    _add_act(app, connect, out, _RESEND)
    _add_act(app, connect, out, _REMOVE)
    return app


@dataclass(frozen=True, slots=True)
class _Act:
    """Something that is done to one dead letter, or to all that fit."""

    name: str
    help: str
    done: str
    one: Callable[[Client, int], Any]
    many: Callable[..., LettersBody]


_RESEND = _Act(
    name="resend",
    help="Put messages back in their queues, as they were, such as when workers know their task type by now.",
    done="sent again",
    one=lambda client, number: client.resend_letter(number),
    many=lambda client, **filters: client.resend_letters(**filters),
)
_REMOVE = _Act(
    name="rm",
    help="Remove those that nobody needs any more.",
    done="removed",
    one=lambda client, number: client.remove_letter(number),
    many=lambda client, **filters: client.remove_letters(**filters),
)


def _add_act(app: typer.Typer, connect: Connect, out: Console, act: _Act) -> None:
    @app.command(act.name, help=act.help)
    def command(
        letter_ids: Annotated[list[int] | None, typer.Argument(min=1, help="Their numbers; or give --all.")] = None,
        all_: All = False,
        queue: OfQueue = None,
        dry_run: DryRun = False,
        json_: AsJson = False,
    ) -> None:
        _check(letter_ids, all_=all_, filters=[queue, dry_run or None])
        with connect() as client:
            if letter_ids:
                answers = [act.one(client, number) for number in letter_ids]
            else:
                whole = act.many(client, **given(queue=queue, dry_run=dry_run))
        if json_:
            show.as_json({"dead_letters": answers} if letter_ids else whole)
        elif letter_ids:
            out.print("\n".join(f"{answer['letter_id']} {act.done}" for answer in answers), highlight=False)
        else:
            out.print(_sentence(act.done, whole), highlight=False, soft_wrap=True)


def _sentence(done: str, answer: LettersBody) -> str:
    if answer["dry_run"]:
        return f"{answer['matched']} would be {done}: nothing was done"
    rest = f", {answer['skipped']} cannot be: genfleet dead-letters show NUMBER" if answer["skipped"] else ""
    return f"{answer['done']} {done}{rest}"


def _check(ids: Sequence[Any] | None, *, all_: bool, filters: Sequence[Any]) -> None:
    """Either some by their ids, or all that fit. Raises BadParameter."""
    if ids and (all_ or any(each is not None for each in filters)):
        raise typer.BadParameter("give ids, or --all with filters, not both")
    if not ids and not all_:
        raise typer.BadParameter("which? Give ids, or --all")


def _tell(out: Console, answer: Any, *, json_: bool) -> None:
    if json_:
        show.as_json(answer)
    else:
        out.print(answer["message"], highlight=False, markup=False)
