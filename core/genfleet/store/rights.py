"""What each program needs to be allowed in Redis: read from the scripts that it runs, and not from memory (S10).

`make generate` writes the users of `docs/redis.md` from this, the check at start tries it, and tests run everything with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from genfleet.contract import keys
from genfleet.contract.task_types import QUEUES, broker_queues
from genfleet.store import scripts


class Program(StrEnum):
    """Who connects to Redis."""

    API = "api"
    WORKER = "worker"
    OPERATOR = "operator"


_CHORES = ("take_upkeep", "promote", "end_overdue", "reap", "recover", "expire")
_CONNECTION = ("auth", "hello", "ping", "select", "eval", "evalsha", "info", "time")
"""What every client needs, whatever it is for."""
_LISTENING = ("subscribe", "unsubscribe")


@dataclass(frozen=True, slots=True)
class Needs:
    """The rights of one program."""

    commands: tuple[str, ...]
    keys: tuple[str, ...]
    channels: tuple[str, ...]
    scripted: tuple[str, ...]
    """Of the commands, those that scripts call."""


def _scripts_of(program: Program) -> tuple[str, ...]:
    match program:
        case Program.API:
            return tuple(
                file.stem for file in sorted(scripts.LUA.glob("*.lua")) if file.stem not in ("prelude", "outbox")
            )
        case Program.WORKER:
            own = (
                "claim",
                "renew",
                "progress",
                "log",
                "settle",
                "retry_later",
                "release",
                "submit",
                "set_aside",
                "depart",
            )
            return (*_CHORES, *own, "probe")
        case Program.OPERATOR:
            return (*_CHORES, "observe", "probe")


# What a program asks for without a script: commands and kinds of keys.
_PLAIN: dict[Program, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Program.API: (("hget", "hgetall", "set", "sadd", "srem", "del", *_LISTENING), ("draining", "fleet")),
    # kombu's: it takes messages, notes them down, acknowledges them, and looks for what nobody acknowledged.
    Program.WORKER: (
        (
            *("brpop", "lpush", "rpush", "llen", "hset", "hget", "hdel", "zadd", "zrem", "zrevrangebyscore", "set", "get"),
            *("del", "pexpire", "multi", "exec", "discard", "watch", "unwatch", "sadd", "smembers", "exists", "script|load"),
        ),
        (),
    ),
    Program.OPERATOR: (("set", "del", "sadd", "srem", *_LISTENING), ("draining", "fleet")),
}  # fmt: skip


def needs(program: Program) -> Needs:
    """The least that a program can do with."""
    texts = [scripts.script(name).text for name in _scripts_of(program)]
    scripted = {command.lower() for text in texts for command in _commands(text)} | {"exists"}
    kinds = {kind for text in texts for kind in re.findall(r"function key\.(\w+)", text)}
    plain, plain_kinds = _PLAIN[program]
    patterns = [keys.PREFIX + keys.PATTERNS[kind].replace("{}", "*") for kind in kinds | {*plain_kinds}]
    lists = [f"{name}*" for queue in QUEUES for name in broker_queues(queue)]  # one for each priority
    broker = ["unacked", "unacked_index"]
    if program is Program.WORKER:
        broker += ["unacked_mutex", "_kombu.binding.*"]
    return Needs(
        commands=tuple(sorted({*_CONNECTION, *plain, *scripted})),
        keys=tuple(sorted(patterns)) + tuple(lists + broker),
        channels=(f"{keys.PREFIX}*",),
        scripted=tuple(sorted(scripted)),
    )


def _commands(text: str) -> Iterable[str]:
    """`redis.call('HGET', …)`, and `redis.call(head and 'RPUSH' or 'LPUSH', …)`."""
    for first in re.findall(r"redis\.p?call\(([^,)]*)", text):
        yield from re.findall(r"'([A-Z]+)'", first)


def user_line(program: Program, name: str, password: str) -> str:
    """A line of an ACL file, or of redis.conf: a user that can do what the program needs, and nothing else."""
    allowed = needs(program)
    words = (
        *("user", name, "on", "resetpass", f">{password}", "resetkeys", *(f"~{pattern}" for pattern in allowed.keys)),
        *("resetchannels", *(f"&{pattern}" for pattern in allowed.channels)),
        *("-@all", *(f"+{command}" for command in allowed.commands), "+client|setinfo"),
    )
    return " ".join(words)


def acl_file() -> str:
    """The users of all programs, for an ACL file or redis.conf; each password is to be put in."""
    lines = [user_line(each, f"genfleet-{each.value}", f"{each.name}_PASSWORD") for each in Program]
    return "\n".join(["user default off", *lines]) + "\n"
