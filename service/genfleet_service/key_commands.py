"""`genfleet-api create-key`, `list-keys`, `rotate-key` and `revoke-key`: API keys, straight in Redis (NS-012).

For the first key of an installation, and for when nobody holds one with the scope `admin`; others use `genfleet keys`.
"""

from __future__ import annotations

import argparse
import getpass
import socket
import sys
from datetime import timedelta

from pydantic import ValidationError

from genfleet.errors import ConfigurationError
from genfleet.store import api_keys, audit
from genfleet.store.client import SyncStore
from genfleet_service import key_views
from genfleet_service.access import Scope
from genfleet_service.keys import GRACE, LONGEST_GRACE, ApiKey, KeyTerms, make, rotate

LIMITS = ("submissions_per_minute", "status_reads_per_minute", "project_tasks")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    create = commands.add_parser("create-key", help="make an API key and show it, once")
    create.set_defaults(act=_create)
    create.add_argument("name", help="whose key it is, e.g. auto-movie")
    create.add_argument(
        *("--scope", "-s"), action="append", dest="scopes", choices=[*Scope], help="may be repeated; submit and read"
    )
    create.add_argument(
        *("--project", "-p"), action="append", dest="projects", help="a project that it may use; may be repeated; all"
    )
    for name in LIMITS:
        words = "0: as many as it likes; if not given, as the API's settings say"
        create.add_argument(f"--{name.replace('_', '-')}", type=int, help=words)
    commands.add_parser("list-keys", help="show the API keys and when they were last used").set_defaults(act=_list)
    again = commands.add_parser("rotate-key", help="give an API key another secret and show it, once")
    again.set_defaults(act=_rotate)
    again.add_argument("key_id")
    again.add_argument(
        "--grace-seconds", type=int, default=round(GRACE.total_seconds()), help="how long the old one stays good; a day"
    )
    end = commands.add_parser("revoke-key", help="take an API key back; within 5 seconds it is worth nothing")
    end.set_defaults(act=_revoke)
    end.add_argument("key_id")


def _create(store: SyncStore, asked: argparse.Namespace) -> None:
    given = {name: getattr(asked, name) for name in ("name", "scopes", "projects", *LIMITS)}
    try:
        terms = KeyTerms.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError(_explained(error)) from None
    made = make(terms, store.run(api_keys.read()).now_ms)
    store.run(api_keys.save(made.id, made.key.entry()))
    _note(store, "create-key", made.id)
    sys.stdout.write(f"{made.secret}\n")


def _list(store: SyncStore, _asked: argparse.Namespace) -> None:
    rows = [("ID", "NAME", "SCOPES", "PROJECTS", "LAST USED")]
    for key in key_views.key_list(store.run(api_keys.read()), ())["keys"]:
        scopes, projects = ",".join(key["scopes"]), ",".join(map(_on_one_line, key["projects"] or ["all"]))
        rows.append((key["key_id"], _on_one_line(key["name"]), scopes, projects, key["last_used_at"] or "never"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")


def _on_one_line(name: str) -> str:
    """What others chose moves no cursor."""
    return name if name.isprintable() else ascii(name)


def _rotate(store: SyncStore, asked: argparse.Namespace) -> None:
    grace = timedelta(seconds=asked.grace_seconds)
    if not timedelta(0) <= grace <= LONGEST_GRACE:
        raise ConfigurationError(f"--grace-seconds: must be 0 to {round(LONGEST_GRACE.total_seconds())}")
    seen = store.run(api_keys.read())
    entry = seen.entries.get(asked.key_id, b"")
    key = ApiKey.read_or_none(entry)
    if key is None:
        raise _unknown(asked.key_id)
    made = rotate(asked.key_id, key, seen.now_ms, grace)
    if not store.run(api_keys.save(made.id, made.key.entry(), entry)):
        raise ConfigurationError(f"{made.id}: somebody else changed this key just now; look at it, and try again")
    _note(store, "rotate-key", made.id)
    sys.stdout.write(f"{made.secret}\n")


def _revoke(store: SyncStore, asked: argparse.Namespace) -> None:
    if not store.run(api_keys.remove(asked.key_id)):
        raise _unknown(asked.key_id)
    _note(store, "revoke-key", asked.key_id)


def _note(store: SyncStore, command: str, key_id: str) -> None:
    """Nobody's key was asked for: the audit log has the user of the machine instead."""
    who = f"{getpass.getuser()} on {socket.gethostname()}"
    unknown = dict.fromkeys(("key_id", "project", "address"))
    store.run(audit.add({"action": f"genfleet-api {command}", "name": who, "target": key_id, "status": 0, **unknown}))


def _unknown(key_id: str) -> ConfigurationError:
    return ConfigurationError(f"{key_id}: there is no such key; `genfleet-api list-keys` shows them")


def _explained(error: ValidationError) -> str:
    faults = error.errors(include_input=False, include_url=False)
    return "\n".join(f"{fault['loc'][0]}: {fault['msg'].removeprefix('Value error, ')}" for fault in faults)
