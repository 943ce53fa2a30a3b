"""Builds the Lua scripts: constants and names from the contract, then what the steps share, then the step itself.

Nothing is spelled twice: the scripts read the state table, the key names and the message template that Python reads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from genfleet.contract import durations, keys, measures, states, task_types

LUA = Path(__file__).parent / "lua"

RETENTION = timedelta(hours=24)
"""How long a record is kept, from its creation (TS-036)."""
RETENTION_LEAST = timedelta(hours=1)
"""How long a result can be read at the least, however long the task took."""
CRASHES_ALLOWED = 3
"""A task that was running on this many lost workers is poison: it fails and is set aside."""
EVENTS_KEPT = 1000
"""Events kept of one task, about. More than what one attempt says at the most: 100 of progress, 200 lines, its steps."""
EVENTS_KEPT_FOR = timedelta(hours=1)
"""How long the events of a finished task are kept. Its record says how it ended for longer."""
OUTCOMES_KEPT = timedelta(hours=1)
"""How long the outcomes of one minute are kept."""
CHORE_LIMIT = 500
"""How many tasks one chore takes on at a time, so that no script holds up Redis for long."""
STORY_KEPT = 30
"""Chapters kept of a task's story, the newest."""
QUARANTINE_MOST, QUARANTINE_KEPT = 10_000, timedelta(days=7)
"""Tasks in quarantine, and how long one stays there: a poison task of a Friday night is still there on Monday."""
DEAD_LETTERS_MOST, DEAD_LETTERS_KEPT = 1_000, timedelta(days=7)
"""Messages and records kept that could not be judged."""
AHEAD_MOST = timedelta(days=30)
"""How far ahead a task may be delayed, or its deadline be: a task that waits is kept all the while."""
USAGE_KEPT = timedelta(days=400)
"""How long what a project used is kept, by day: a year, and the time to look at it."""
SHOWN_IN_LISTS = 16 * 1024
"""Largest document, in bytes, that a list shows: 100 tasks of 4 MiB each would hold up everyone."""
WEBHOOK_ATTEMPTS_KEPT = 20
"""Attempts kept of one webhook, the newest: resends add to them."""
WEBHOOK_INTERRUPTIONS_ALLOWED = 10
"""A webhook whose attempts were interrupted so often is given up: what cannot be reported must not go out for ever."""
PROVEN_HOSTS_KEPT = 10_000
"""Hosts of receivers, the latest, that are known to answer in time."""
LIST_SEARCHED = 10_000
"""Longest list that a cancellation looks through for the message."""
LOST_SEARCHED = 1_000_000
"""Messages that one look for lost ones passes over in a list, about 25 ms of Redis. Others are found when those are handed out."""
MISSED_MOST = 5_000
"""Tasks of a list whose messages may be known to be missing at a time: so many can come back within a few seconds."""
ONCE_KEPT = timedelta(hours=24)
"""How long a repeated request is answered with the task of the first (NS-005). No longer than its record is kept."""
QUEUE_FULL = timedelta(seconds=120)
"""What a client waits for when a queue is over its length, as the documents' example has it (TS-147)."""
ROOM_LEAST, ROOM_MOST = timedelta(seconds=2), timedelta(seconds=60)
"""What a client waits for when a project has all the tasks that it may have: a guess, within these bounds."""

_DEFINITION = re.compile(r"^(?:local (?:function )?|function )(key\.\w+|\w+)", re.MULTILINE)
"""Where a shared definition begins. It goes on to the next one, with the comment of that."""
_NAME = re.compile(r"key\.\w+|\w+")
_COMMENT = re.compile(r"(?:^|\s)--.*")


@dataclass(frozen=True, slots=True)
class Script:
    """A step as Redis runs it."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of `lua/<name>.lua`, with what it needs of what the steps share.

    No more than that: Redis makes every function of a script anew each time it runs. All of them took 25 µs, which was
    longer than most steps.
    """
    step = (LUA / f"{name}.lua").read_text()
    text = "".join((*_needed(step), step))
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _needed(step: str) -> list[str]:
    """The shared definitions that a step uses, and those that these use, in their order. One too many does no harm."""
    shared, needed, unread = _shared(), set[str](), [step]
    while unread:
        used = set(_NAME.findall(_COMMENT.sub("", unread.pop())))
        if any(name.startswith("key.") for name in used):
            used.add("key")
        found = (used & shared.keys()) - needed
        needed |= found
        unread += [shared[name] for name in found]
    return [text for name, text in shared.items() if name in needed]


@cache
def _shared() -> dict[str, str]:
    """What the steps share, by name: constants and names from the contract, `outbox.lua` and `prelude.lua`."""
    generated = (_constants(), _key_functions(), _moves(), _broker_functions(), _message_function())
    text = "\n".join((*generated, *((LUA / f"{part}.lua").read_text() for part in ("outbox", "prelude"))))
    starts = [*_DEFINITION.finditer(text)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    return {start[1]: text[start.start() : end] for start, end in zip(starts, ends, strict=True)}


def _constants() -> str:
    numbers: Mapping[str, int] = {
        "RETENTION_MS": round(RETENTION.total_seconds() * 1000),
        "RETENTION_LEAST_MS": round(RETENTION_LEAST.total_seconds() * 1000),
        "CRASHES_ALLOWED": CRASHES_ALLOWED,
        "EVENTS_KEPT": EVENTS_KEPT,
        "EVENTS_KEPT_S": round(EVENTS_KEPT_FOR.total_seconds()),
        "OUTCOMES_KEPT_S": round(OUTCOMES_KEPT.total_seconds()),
        "CHORE_LIMIT": CHORE_LIMIT,
        "STORY_KEPT": STORY_KEPT,
        "QUARANTINE_MOST": QUARANTINE_MOST,
        "QUARANTINE_KEPT_MS": round(QUARANTINE_KEPT.total_seconds() * 1000),
        "DEAD_LETTERS_MOST": DEAD_LETTERS_MOST,
        "DEAD_LETTERS_KEPT_MS": round(DEAD_LETTERS_KEPT.total_seconds() * 1000),
        "AHEAD_MOST_MS": round(AHEAD_MOST.total_seconds() * 1000),
        "BUCKETS_PER_DOUBLING": durations.BUCKETS_PER_DOUBLING,
        "LEAST_MS": durations.LEAST_MS,
        "HALVED_AT": durations.HALVED_AT,
        "MEASURED": durations.ENOUGH,
        "USAGE_KEPT_DAYS": USAGE_KEPT.days,
        "SHOWN_IN_LISTS": SHOWN_IN_LISTS,
        "WEBHOOK_ATTEMPTS_KEPT": WEBHOOK_ATTEMPTS_KEPT,
        "WEBHOOK_INTERRUPTIONS_ALLOWED": WEBHOOK_INTERRUPTIONS_ALLOWED,
        "PROVEN_HOSTS_KEPT": PROVEN_HOSTS_KEPT,
        "LIST_SEARCHED": LIST_SEARCHED,
        "LOST_SEARCHED": LOST_SEARCHED,
        "MISSED_MOST": MISSED_MOST,
        "ONCE_KEPT_MS": round(ONCE_KEPT.total_seconds() * 1000),
        "QUEUE_FULL_MS": round(QUEUE_FULL.total_seconds() * 1000),
        "ROOM_LEAST_MS": round(ROOM_LEAST.total_seconds() * 1000),
        "ROOM_MOST_MS": round(ROOM_MOST.total_seconds() * 1000),
    }
    names = {"UNACKED": keys.UNACKED, "UNACKED_INDEX": keys.UNACKED_INDEX}
    bounds = ", ".join(f"{1000 * bound:g}" for bound in measures.SECONDS)
    lines = [f"local {name} = {value}" for name, value in numbers.items()] + [f"local BOUNDS_MS = {{ {bounds} }}"]
    return "\n".join(lines + [f"local {name} = {_quoted(value)}" for name, value in names.items()])


def _key_functions() -> str:
    lines = ["local key = {}"]
    for kind, pattern in keys.PATTERNS.items():
        pieces = (keys.PREFIX + pattern).split("{}")
        parameters = [f"p{number}" for number in range(1, len(pieces))]
        joined = _quoted(pieces[0])
        for parameter, piece in zip(parameters, pieces[1:], strict=True):
            joined += f" .. {parameter}" + (f" .. {_quoted(piece)}" if piece else "")
        lines.append(f"function key.{kind}({', '.join(parameters)}) return {joined} end")
    return "\n".join(lines)


def _moves() -> str:
    rows = [
        f"{state.value} = {{ {', '.join(f'{to.value} = true' for to in sorted(moves))} }}"
        for state, moves in states.MOVES.items()
    ]
    return f"local MOVES = {{ {', '.join(rows)} }}"


def _broker_functions() -> str:
    renamed = {queue: task_types.broker_queues(queue)[0] for queue in task_types.QUEUES}
    rows = ", ".join(f"{queue} = {_quoted(name)}" for queue, name in renamed.items() if queue != name)
    return (
        f"local BROKER = {{ {rows} }}\n"
        "local function broker(queue) return BROKER[queue] or queue end\n"
        f"local function broker_list(queue, step) return broker(queue) .. {_quoted(keys.LIST_SEPARATOR)} .. step end"
    )


def _message_function() -> str:
    """The template as a Lua function, e.g. `'{"id":"' .. id .. '"}'`. Ids of other producers may need escaping."""
    lines = (LUA / "message.template").read_text().splitlines()
    pieces = re.split(r"@(\w+)@", "".join(line.strip() for line in lines))
    joined = " .. ".join(piece if number % 2 else _quoted(piece) for number, piece in enumerate(pieces))
    return (
        "local function message(id, task, queue, priority, token, tag)\n"
        "  id, tag = cjson.encode(id):sub(2, -2), cjson.encode(tag):sub(2, -2)\n"
        f"  return {joined}\nend"
    )


def _quoted(text: str) -> str:
    """A Lua string. Control characters are written as decimal escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + re.sub(r"[\x00-\x1f]", lambda match: f"\\{ord(match.group()):03d}", escaped) + "'"
