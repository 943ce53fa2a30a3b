"""Messages that no producer should send: the 17 that end or jam a stock Celery worker (facts M8), and mutations of a good one."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

Message = dict[str, Any]


def good(task_id: str, task: str = "generate_image", queue: str = "gpu_medium", **arguments: Any) -> Message:
    """A message as another Celery producer publishes it."""
    body = [[], {"project_id": "bad_messages", "task_data": {"prompt": "a red fox"}, **arguments}, _NO_CANVAS]
    return {
        "body": packed(body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": "gen1@producer",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": "5f1b",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": f"tag-{task_id}",
        },
    }


_NO_CANVAS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def packed(body: Any) -> str:
    """A body as it travels."""
    return base64.b64encode(json.dumps(body).encode()).decode()


def bytes_of(message: Any) -> bytes:
    """As it lies in Redis."""
    return message if isinstance(message, bytes) else json.dumps(message).encode()


def changed(task_id: str, change: Callable[[Message], object], task: str = "generate_image") -> bytes:
    """A good message with one thing wrong."""
    message = good(task_id, task)
    change(message)
    return bytes_of(message)


def the_seventeen(task: str = "generate_image") -> dict[str, bytes]:
    """M8's cases, by name. The first eleven that matter end or jam a stock worker; the rest are dropped without a word."""

    def wrong(name: str, change: Callable[[Message], object]) -> tuple[str, bytes]:
        return name, changed(f"bad {name}", change, task)

    pickled = base64.b64encode(pickle.dumps([[], {}, {}])).decode()
    return dict(
        [
            ("not json", b"garbage{{{"),
            ("json scalar", b"42"),
            ("json list", b"[]"),
            ("empty object", b"{}"),
            wrong("no properties", lambda m: m.pop("properties")),
            wrong("no id", lambda m: m["headers"].pop("id")),
            wrong("unknown task", lambda m: m["headers"].update(task="nope.x")),
            wrong("bad base64 body", lambda m: m.update(body="!!!")),
            wrong("pickle", lambda m: m.update({"content-type": "application/x-python-serialize", "body": pickled})),
            wrong("bad eta", lambda m: m["headers"].update(eta="zzz")),
            wrong("huge eta", lambda m: m["headers"].update(eta="9999-12-31T23:59:59+00:00")),
            wrong("args no list", lambda m: m.update(body=packed({"a": 1}))),
            ("deep json", b"[" * 100_000 + b"]" * 100_000),
            wrong("time limits of text", lambda m: m["headers"].update(timelimit=["x", "y"])),
            wrong("unknown body encoding", lambda m: m["properties"].update(body_encoding="rot99")),
            wrong("delivery tag an object", lambda m: m["properties"].update(delivery_tag={"a": 1})),
            ("invalid utf-8", b"\xff\xfe\x00"),
        ]
    )


# -- mutations -------------------------------------------------------------------------------------------------------------

_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**30, 1e308, "", "x", "\x00", "ü" * 300, "x" * 5000),
    *([], {}, [None], {"a": 1}, [[]] * 3, [1, 2], {"__type__": "datetime", "__value__": "never"}),
    *(
        {"__type__": "bytes", "__value__": 7},
        {"__type__": "nothing", "__value__": 1},
        json.loads("[" * 200 + "]" * 200),
    ),
    *("2025-01-15T10:30:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "base64", "pickle"),
)
"""What takes the place of something in a good message."""


def mutations(seed: int, number: int) -> Iterator[bytes]:
    """So many messages that differ from a good one in one to three places: of its bytes, its structure or its body."""
    chance = random.Random(seed)  # noqa: S311  to be the same again, by its seed
    for count in range(number):
        message = good(f"mutant-{seed}-{count}")
        match chance.randrange(3):
            case 0:
                yield _scrambled(bytes_of(message), chance)
            case 1:
                for _ in range(chance.randint(1, 3)):
                    _mutate(message, chance)
                yield bytes_of(message)
            case _:
                body = json.loads(base64.b64decode(message["body"]))
                for _ in range(chance.randint(1, 3)):
                    _mutate(body, chance)
                raw = json.dumps(body).encode()
                raw = _scrambled(raw, chance) if chance.random() < 0.3 else raw
                yield bytes_of({**message, "body": base64.b64encode(raw).decode()})


def _scrambled(raw: bytes, chance: random.Random) -> bytes:
    scrambled = bytearray(raw)
    for _ in range(chance.randint(1, 3)):
        if not scrambled:
            break
        at = chance.randrange(len(scrambled))
        match chance.randrange(5):
            case 0:
                scrambled[at] = chance.randrange(256)
            case 1:
                del scrambled[at : at + chance.randint(1, 40)]
            case 2:
                scrambled[at:at] = chance.randbytes(chance.randint(1, 20))
            case 3:
                scrambled[at:at] = scrambled[at : at + 40]
            case _:
                del scrambled[at + 1 :]
    return bytes(scrambled)


def _mutate(document: Any, chance: random.Random) -> None:
    """One part is replaced, removed or added, somewhere."""
    holders = [part for part in _parts(document) if part]
    if not holders:
        return
    holder = chance.choice(holders)
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = chance.choice(keys)
    odd = copy.deepcopy(chance.choice(_ODD))
    match chance.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[chance.choice(("redelivered", "compression", "token", "chord", "x" * 100, ""))] = odd
        case 1:
            holder.append(odd)
        case _:
            holder[key] = odd


def _parts(document: Any) -> Iterator[Any]:
    """Every object and list in it, itself as well."""
    if isinstance(document, dict | list):
        yield document
        for part in document.values() if isinstance(document, dict) else document:
            yield from _parts(part)
