"""The `up` command of `genfleet`. The command line finds it by its entry point, where this package is installed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from genfleet import logs
from genfleet.errors import GenfleetError
from genfleet_local.home import Home
from genfleet_local.up import Options
from genfleet_local.up import up as run_up

DATA = Path(".genfleet")


def up(
    data: Annotated[
        Path, typer.Option(envvar="GENFLEET_DATA", help="Folder for everything: tasks, files, logs, the API key.")
    ] = DATA,
    queues: Annotated[
        Path | None, typer.Option(help="Folder of GenerationQueue resources (*.yaml).  [default: deploy/local]")
    ] = None,
    host: Annotated[str, typer.Option(help="Address that the API listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=1, max=65535, help="Port of the API.")] = 8001,
) -> None:
    """Run everything on this machine: Redis, the API, and as many workers as the work needs."""
    console = Console(stderr=True)
    home = Home(data.absolute())
    home.make()
    log = (home.logs / "fleet.log").open("a", buffering=1)
    logs.set_up("fleet", level="info", style="text", to=log)
    try:
        asyncio.run(run_up(Options(home, queues or _shipped_queues(), host, port), console))
    except GenfleetError as error:
        console.print(f"[red]genfleet up:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    finally:
        log.close()
    sys.exit(os.EX_OK)


def _shipped_queues() -> Path:
    """The resources of this repository, or of the folder that we are in."""
    here = Path("deploy/local")
    return here if here.is_dir() else Path(__file__).resolve().parents[2] / "deploy" / "local"
