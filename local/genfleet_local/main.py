"""The `up` command of `genfleet`. The command line finds it by its entry point, where this package is installed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from genfleet import logs
from genfleet.errors import GenfleetError
from genfleet.settings import LogSettings
from genfleet_local.home import Home
from genfleet_local.up import Options
from genfleet_local.up import up as run_up

DATA = Path(".genfleet")


def up(
    data: Annotated[
        Path, typer.Option(envvar="GENFLEET_DATA", help="Folder for everything: tasks, files, logs, the API key.")
    ] = DATA,
    queues: Annotated[
        Path | None,
        typer.Option(help="Folder of GenerationQueue resources (*.yaml).", show_default="deploy/local"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address that the API listens on.")] = "127.0.0.1",
    redis_url: Annotated[
        str | None, typer.Option(help="A Redis of yours in place of the one that is started here. See docs/redis.md.")
    ] = None,
    port: Annotated[int, typer.Option(envvar="PORT", min=1, max=65535, help="Port of the API.")] = 8001,
) -> None:
    """Run everything on this machine: Redis, the API, and as many workers as the work needs."""
    console = Console(stderr=True)
    try:
        _run(Options(Home(data.absolute()), queues or _shipped_queues(), host, port, redis_url), console)
    except GenfleetError as error:
        message = Text("genfleet up: ", style="red") + Text(str(error), style="default")
        console.print(message, soft_wrap=not console.is_terminal)  # words are wrapped for people, not in a log
        raise typer.Exit(2) from None


def _run(options: Options, console: Console) -> None:
    style = LogSettings.load().log_format
    options.home.make()
    with (options.home.logs / "fleet.log").open("a", buffering=1) as log:
        logs.set_up("fleet", level="info", style=style, to=log)
        asyncio.run(run_up(options, console))


def _shipped_queues() -> Path:
    """The resources of this repository, or of the folder that we are in."""
    here = Path("deploy/local")
    return here if here.is_dir() else Path(__file__).resolve().parents[2] / "deploy" / "local"
