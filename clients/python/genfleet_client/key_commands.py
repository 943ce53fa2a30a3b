"""`genfleet keys`: give out API keys, look who uses them, and take them back. Added to the command line by `cli.py`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any

import typer
from rich.console import Console

from genfleet_client import show
from genfleet_client.api import Client
from genfleet_client.terminal import Terminal

KeyId = Annotated[str, typer.Argument(help="Id of the key; `genfleet keys list` shows them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, for scripts.")]
Limit = Annotated[int | None, typer.Option(min=0, help="0: none. If not given: what the service's settings say.")]


def commands(connect: Callable[[], AbstractContextManager[Client]], out: Console) -> typer.Typer:
    """The commands; each needs a key with the scope admin."""
    app = typer.Typer(help="Give out API keys, and take them back.", no_args_is_help=True)

    def tell_secret(made: Any, *, json_: bool) -> None:
        if json_:
            show.as_json(made)
        else:
            out.print(made["api_key"], highlight=False, markup=False, soft_wrap=True)
            err = Terminal(stderr=True, highlight=False)
            err.print(f"key {made['key_id']} ({made['name']}); it is not shown again", markup=False, soft_wrap=True)

    @app.command()
    def create(
        name: Annotated[str, typer.Argument(help="Whose key it is, such as auto-movie.")],
        scope: Annotated[
            list[str] | None, typer.Option("--scope", "-s", help="submit, read or admin; may be repeated.")
        ] = None,
        project: Annotated[
            list[str] | None, typer.Option("--project", "-p", help="The only projects that it may use and see.")
        ] = None,
        submissions_per_minute: Limit = None,
        status_reads_per_minute: Limit = None,
        project_tasks: Limit = None,
        json_: AsJson = False,
    ) -> None:
        """Make a key and show it, this once. Without --scope it may submit and read."""
        given = {
            "scopes": scope,
            "projects": project,
            "submissions_per_minute": submissions_per_minute,
            "status_reads_per_minute": status_reads_per_minute,
            "project_tasks": project_tasks,
        }
        with connect() as client:
            made = client.create_key(
                name, **{field: value for field, value in given.items() if value not in (None, [])}
            )
        tell_secret(made, json_=json_)

    @app.command("list")
    def list_keys(json_: AsJson = False) -> None:
        """Show every key, what it is good for, and when it was last used."""
        with connect() as client:
            found = client.api_keys()
        if json_:
            show.as_json({"keys": found})
        else:
            out.print(show.keys(found))

    @app.command()
    def rotate(
        key_id: KeyId,
        grace_seconds: Annotated[
            int | None, typer.Option(min=0, help="How long the old secret stays good; a day if not given.")
        ] = None,
        json_: AsJson = False,
    ) -> None:
        """Give a key another secret and show it, this once."""
        with connect() as client:
            made = client.rotate_key(key_id, grace_seconds)
        tell_secret(made, json_=json_)

    @app.command()
    def revoke(key_id: KeyId, json_: AsJson = False) -> None:
        """Take a key back: within 5 seconds nothing lets it in."""
        with connect() as client:
            answer = client.revoke_key(key_id)
        if json_:
            show.as_json(answer)
        else:
            out.print(answer["message"], highlight=False, markup=False)

    return app
