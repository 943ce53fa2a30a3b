"""Judges what lies in a queue before kombu and Celery see it, and makes the message that they are given. Pure.

Both take a message at its word. One with a field of the wrong kind ends a stock worker or keeps it from everything behind
it, and stays in Redis to do the same to the next worker (facts M8, F10). So a message is never passed on as it came: it is
made anew of the fields that were understood, and whatever is not whole is `Unfit`, with the reason in words.

What another producer asks for beyond one task (`chain`, `chord`, `callbacks`, `errbacks`, `group`) is left out: it would
have the worker send whatever the message says (facts S8).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import orjson
from kombu.utils.json import loads as kombu_loads

LARGEST = 8 * 1024 * 1024
"""Bytes of a message: the largest `task_data` that the API takes, in base64, and room for the rest."""
DEEPEST = 100
"""Levels of its arguments. Python's own JSON decoder, which kombu uses, gives up at some hundreds."""
LONGEST_NAME = 255
"""Characters of an id or a tag."""
FURTHEST = timedelta(days=30)
"""How far ahead another producer may set a message aside, as for tasks of ours."""

_OF_KOMBU = b'"__type__"'
"""In objects that stand for values of kombu's own types. Without these its decoder and ours agree."""
_CANVAS = ("callbacks", "errbacks", "chain", "chord")


class Unfit(Exception):
    """A message that is not whole. The text is for people; what could be read of it goes along."""

    def __init__(self, reason: str, task_id: str = "", task_type: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.task_id = task_id
        self.task_type = task_type


@dataclass(frozen=True, slots=True)
class Whole:
    """A message that may be passed on."""

    message: bytes
    """Made anew."""
    task_id: str
    task_type: str
    ignored: tuple[str, ...]
    """What it asked for that no worker of ours does."""


def judge(raw: bytes, queue: str, step: int, known: Collection[str], now: datetime) -> Whole:
    """What kombu may be given for a message of this broker queue and priority step. Raises Unfit.

    `known`: the task types that there are.
    """
    sent = _sent(raw)
    headers, properties = (_mapping(sent.get(name), name) for name in ("headers", "properties"))
    names = {"task_id": _shown(headers.get("id")), "task_type": _shown(headers.get("task"))}
    try:
        task_id, task_type = _name(headers.get("id"), "headers.id"), _task_type(headers.get("task"), known)
        tag = _name(properties.get("delivery_tag"), "properties.delivery_tag", longest=2 * LONGEST_NAME)
        passed_on = {
            "id": task_id,
            "task": task_type,
            "timelimit": _time_limits(headers.get("timelimit")),
            "eta": _moment(headers.get("eta"), "headers.eta", now),
            "expires": _moment(headers.get("expires"), "headers.expires", None),
            "ignore_result": True,
            **_token(headers.get("token")),
        }
        arguments, keywords, ignored = _body(sent, headers, properties)
    except Unfit as unfit:
        raise Unfit(unfit.reason, **names) from None
    if headers.get("group"):
        ignored = (*ignored, "group")
    message = {
        "headers": passed_on,
        "body": base64.b64encode(orjson.dumps([arguments, keywords, {}])).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": tag,
            "correlation_id": task_id,
            "reply_to": "",
            "priority": step,
            # By these kombu puts a message back that was not acknowledged. Whatever the producer's exchange was called,
            # it goes back to where it came from; one that this Redis does not know would lose it (facts F9).
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }
    return Whole(orjson.dumps(message), task_id, task_type, ignored)


def _sent(raw: bytes) -> dict[str, Any]:
    if len(raw) > LARGEST:
        raise Unfit(f"It has {len(raw)} bytes; at most {LARGEST} are taken")
    try:
        sent = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unfit(f"It is not JSON in UTF-8: {error}") from None
    return _mapping(sent, "The message")


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unfit(f"{name} must be a JSON object, not {_kind(value)}")
    return value


def _name(value: object, where: str, longest: int = LONGEST_NAME) -> str:
    if not isinstance(value, str) or not value:
        raise Unfit(f"{where} must be a text, not {_kind(value)}")
    if len(value) > longest:
        raise Unfit(f"{where} has {len(value)} characters; at most {longest} are taken")
    return value


def _task_type(value: object, known: Collection[str]) -> str:
    name = _name(value, "headers.task")
    if name not in known:
        raise Unfit(f"Unknown task type '{name}': this worker knows {', '.join(sorted(known))}")
    return name


def _time_limits(value: object) -> list[float | None]:
    """Soft and hard, as the producer wants them; none stands for those of the task type."""
    if value is None:
        return [None, None]
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_time_limit, value)):
        raise Unfit("headers.timelimit must be two numbers of seconds above 0, or null")
    return value


def _is_time_limit(value: object) -> bool:
    return value is None or (_is_number(value) and 0 < value <= FURTHEST.total_seconds())  # type: ignore[operator]  # it is one


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _moment(value: object, where: str, now: datetime | None) -> str | None:
    """A time as it was given. With `now` it may be at most so far ahead: Celery cannot wait for the year 9999."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]  # what is no text raises TypeError
    except (ValueError, TypeError):
        raise Unfit(f"{where} must be a time in ISO 8601, or null, not {_shown(value) or _kind(value)}") from None
    try:
        aware = moment if moment.tzinfo or now is None else moment.replace(tzinfo=now.tzinfo)
        too_far = now is not None and aware - now > FURTHEST
        moment.astimezone()  # as Celery does
    except (OverflowError, ValueError):
        too_far = True
    if too_far:
        raise Unfit(f"{where} is {moment.isoformat()}; at most {FURTHEST.days} days ahead are taken")
    return moment.isoformat()


def _token(value: object) -> dict[str, int]:
    """Of our own messages. Another producer's has none."""
    if value is None:
        return {}
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unfit(f"headers.token must be a whole number, not {_kind(value)}")
    return {"token": value}


def _body(
    sent: dict[str, Any], headers: dict[str, Any], properties: dict[str, Any]
) -> tuple[list[Any], dict[str, Any], tuple[str, ...]]:
    """Arguments, keywords, and what is ignored of the rest. Nothing but JSON is opened (facts S8)."""
    content = sent.get("content-type")
    if content != "application/json":
        raise Unfit(
            f"Its content type is {_shown(content) or _kind(content)}: JSON alone is taken, so it was not opened"
        )
    if headers.get("compression"):
        raise Unfit("Its body is compressed: set task_compression to None where it is sent")
    text = _decoded(sent.get("body"), properties.get("body_encoding"))
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unfit(f"Its body is not JSON in UTF-8: {error}") from None
    if not isinstance(body, list) or len(body) != 3:
        raise Unfit("Its body must be a list of three: arguments, keywords and an object")
    arguments, keywords, embedded = body
    if not isinstance(arguments, list):
        raise Unfit(f"Its arguments must be a list, not {_kind(arguments)}")
    keywords = _mapping(keywords, "Its keywords")
    embedded = {} if embedded is None else _mapping(embedded, "The third part of its body")
    _check_depth([arguments, keywords])
    try:
        if _OF_KOMBU in (text := orjson.dumps([arguments, keywords])):
            kombu_loads(text)
    except Exception as error:  # noqa: BLE001  each of its types raises what it likes
        raise Unfit(f"Its arguments cannot be read: {type(error).__name__}") from None  # they may be secret (facts S12)
    return arguments, keywords, tuple(name for name in _CANVAS if embedded.get(name))


def _decoded(body: object, encoding: object) -> bytes:
    if not isinstance(body, str):
        raise Unfit(f"Its body must be a text, not {_kind(body)}")
    if encoding is None:
        return body.encode()
    if encoding != "base64":
        raise Unfit(f"properties.body_encoding must be base64, not {_shown(encoding) or _kind(encoding)}")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unfit(f"Its body is not base64: {error}") from None


def _check_depth(value: Any) -> None:
    """Level by level, so that no depth is too deep to be measured."""
    level = [value]
    for _ in range(DEEPEST):
        level = list(chain.from_iterable(_parts(each) for each in level if isinstance(each, list | dict)))
        if not level:
            return
    raise Unfit(f"Its arguments are nested deeper than {DEEPEST} levels")


def _parts(value: list[Any] | dict[str, Any]) -> Collection[Any]:
    return value.values() if isinstance(value, dict) else value


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
    }
    return "nothing" if value is None else names[type(value)]


def _shown(value: object) -> str:
    """A text of the message, as far as it is shown."""
    return value[:LONGEST_NAME] if isinstance(value, str) else ""
