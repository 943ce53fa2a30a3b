"""`genfleet doctor`: looks at an installation from outside, as far as it can be seen from here, and says what to do.

Asks the API, which looks at its Redis, queues and workers; and where `REDIS_URL` is set, or --redis-url given, looks at that
Redis directly: before there is an API, or when it does not answer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from genfleet_client import show
from genfleet_client.api import Client
from genfleet_client.bodies import Finding
from genfleet_client.connection import Connection, is_told
from genfleet_client.errors import ApiError
from genfleet_client.retries import Retries

Severity = Literal["ok", "unknown", "warning", "failure"]

FAILED = 1
SPACE_WARNING, SPACE_FAILURE = 0.1, 0.02
"""Parts of a disk that are still free."""
_HURRY = Retries(attempts=2, patience=1.0)
_MORE = "install the extra `service` of this package"


def add(app: typer.Typer, out: Console) -> None:
    """Add the command."""

    @app.command()
    def doctor(
        redis_url: Annotated[
            str | None, typer.Option(help="Look at this Redis, too. Default: REDIS_URL, if it is set.")
        ] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, for scripts.")] = False,
    ) -> None:
        """Check Redis, the API, the key, queues, workers and disk, and say what to do. Exit status 1: something is broken."""
        findings = [*_redis(redis_url), *_api(told_redis=redis_url is not None), *_disk()]
        is_broken = any(finding["severity"] == "failure" for finding in findings)
        if json_:
            show.as_json({"status": "failure" if is_broken else "ok", "findings": findings})
        else:
            show.findings(out, findings)
        raise typer.Exit(FAILED if is_broken else 0)


def _finding(subject: str, check: str, severity: Severity, found: str, *more: str) -> Finding:
    """`more`: what it leads to, and what to do."""
    why, remedy = (*more, "", "")[:2]
    return {"subject": subject, "check": check, "severity": severity, "found": found, "why": why, "remedy": remedy}


def _redis(url: str | None) -> Iterator[Finding]:
    """What is seen of Redis from here. The core knows how; this package does without it."""
    if not (url or os.environ.get("REDIS_URL") or os.environ.get("CELERY_BROKER_URL")):
        return
    for found in entry_points(group="genfleet.checks", name="redis"):
        try:
            check: Callable[[str | None], list[Finding]] = found.load()
        except ImportError as error:
            yield _finding("redis", "connection", "unknown", f"cannot be looked at from here ({error})", "", _MORE)
            return
        yield from check(url)


def _api(*, told_redis: bool) -> Iterator[Finding]:
    """The API, who we are to it, and what it sees."""
    if told_redis and not is_told():
        return
    try:
        connection = Connection.find()
    except ValueError as error:
        yield _finding("api", "address", "failure", str(error), "nothing can be asked", "set GENFLEET_URL")
        return
    try:
        with Client(retries=_HURRY) as client:
            seen = client.doctor()
    except ApiError as error:
        yield _refused(connection.url, error)
        return
    ours, theirs = version("genfleet"), seen["version"]
    yield _finding("api", "address", "ok", f"{connection.url} answers, version {theirs}")
    if ours != theirs:
        remedy = f"install genfleet {theirs} here, or {ours} there"
        yield _finding(
            "api", "version", "warning", f"{theirs} there, {ours} here", "they may know different things", remedy
        )
    yield _finding("api", "key", "ok", f"{seen['key_name'] or 'valid'}: may {', '.join(seen['key_scopes'])}")
    yield from seen["findings"]


def _refused(url: str, error: ApiError) -> Finding:
    match error.status:
        case 401:
            return _finding(
                "api",
                "key",
                "failure",
                f"{url} does not know this key",
                "every request is refused",
                "set GENFLEET_API_KEY to a key of this service; where `genfleet up` was started it is not needed",
            )
        case 403:
            remedy = "use a key with the scope admin: genfleet keys create --scope admin"
            return _finding("api", "key", "unknown", f"{url} answers; this key may not see more", error.message, remedy)
        case 404:
            return _finding(
                "api", "version", "unknown", f"{url} answers, but knows no doctor", "it is older", "update it"
            )
        case 503:
            remedy = "see whether Redis runs, and REDIS_URL of the API"
            return _finding("api", "redis", "failure", error.message, "the API can do nothing without it", remedy)
        case _:
            told = error.message if url in error.message else f"{url}: {error.message}"
            remedy = "start it, or set GENFLEET_URL to where it is"
            return _finding("api", "address", "failure", told, "nothing can be submitted", remedy)


def _disk() -> Iterator[Finding]:
    """Room for finished files, where they are kept on this machine."""
    here = Path(os.environ.get("GENFLEET_DATA") or ".genfleet")
    folder = Path(os.environ.get("GENFLEET_MEDIA_DIR") or here / "media")
    if not folder.is_dir():
        return
    disk = shutil.disk_usage(folder)
    found = f"{disk.free / 2**30:.0f} GiB free for {folder} ({disk.free / disk.total:.0%})"
    if disk.free / disk.total >= SPACE_WARNING:
        yield _finding("disk", "media", "ok", found)
        return
    severity: Severity = "failure" if disk.free / disk.total < SPACE_FAILURE else "warning"
    remedy = "remove old files: genfleet keeps them until somebody does"
    yield _finding("disk", "media", severity, found, "without room tasks fail", remedy)
