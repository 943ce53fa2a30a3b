"""One way to log for all programs: an event word and fields, as text for people or JSON for machines.

The log is read by more people than a task is. So what somebody submitted is not in it, nor is what an engine says of that in
an error: that is for the submitter, with the task's status. `docs/logs.md` says which fields there are.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import Any, TextIO

import structlog

_LINES: list[Any] = []
"""Where `line` writes: the renderer and the stream, once the log is set up."""
_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)
_PROGRAM: dict[str, Any] = {}
"""What every line of this program ends with. Not a context of structlog's: threads begin with an empty one."""
_ORDER = ("task_id", "project_id", "task_type", "attempt")
"""Of the context that lines are written in; what else it has comes behind."""
_SECRET_NAMES = re.compile(r"(api[-_]?key|authorization|password|secret)", re.IGNORECASE)
_COMMANDS = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f]")
"""What a terminal does not show but obeys."""
_OF_PEOPLE = frozenset(
    [
        "prompt",
        "negative_prompt",
        "task_data",
        "metadata",
        "text",
        "content",
        "messages",
        "body",
        "data",
        "result",
        "args",
        "kwargs",
        "argsrepr",
        "kwargsrepr",
    ]
)
"""Fields that hold what somebody submitted, or what was made of it."""
_SHORTEST = 8
"""Characters. What is shorter (`en`, `png`) says nothing, and would hide words of every line."""
_MOST = 1_000
"""Texts of one submission that are looked for; the longest."""
_HIDDEN = "[hidden]"
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]{1,20}://[^:/@\s]{0,100}):\S{1,500}@")


def set_up(
    program: str, *, level: str, style: str, to: TextIO = sys.stdout, errors_apart: bool = False, **about: str
) -> None:
    """Send every log line, the libraries' too, to stdout (or `to`) in one format. Called once, by each `main`.

    stdout, so that `docker logs … | grep` finds them (TS-140). `errors_apart`: errors go to stderr instead, for who keeps
    both streams, such as PM2 (TS-181). `about`: what else is on every line, such as which worker it is.
    """
    _PROGRAM.clear()
    _PROGRAM.update(program=program, **about)
    shared: list[Any] = [
        _in_context,
        structlog.stdlib.add_log_level,
        _STAMP,
        redact,
    ]
    render: Any = structlog.processors.JSONRenderer() if style == "json" else _text_renderer(to)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    handlers = [logging.StreamHandler(to)]
    if errors_apart:
        handlers[0].addFilter(lambda record: record.levelno < logging.ERROR)
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[1].setLevel(logging.ERROR)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            _head_first if style == "json" else _indent,
            render,
        ],
    )
    _LINES[:] = [render, to]
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)


def line(event: str, **fields: Any) -> None:
    """Write a line for people to keep, at a third of the cost: for what is written with every request.

    It looks as all others do, whatever the level is. Through the standard library it would take 40 µs.
    """
    if not _LINES:
        return
    render, to = _LINES
    told = _in_context(None, "info", {**fields, "event": event, "level": "info"})
    told = _head_first(None, "info", redact(None, "info", _STAMP(None, "info", told)))
    to.write(f"{render(None, 'info', told)}\n")
    to.flush()


@contextmanager
def hiding(document: bytes) -> Iterator[None]:
    """While this holds, no text of this JSON document is in any line of this process, in tracebacks and of libraries, too.

    For an attempt: what an engine and its libraries write, and raise, may quote what was submitted.
    """
    _SUBMITTED.append(_Texts(document))
    try:
        yield
    finally:
        _SUBMITTED.pop()


class _Texts:
    """The texts in a document, as they may be quoted. Read when a line is written, and not before: most attempts write none."""

    def __init__(self, document: bytes) -> None:
        self._document = document

    @cached_property
    def _forms(self) -> list[str]:
        try:
            texts = sorted(_texts(json.loads(self._document)), key=len, reverse=True)[:_MOST]
        except ValueError:
            return []
        return list(dict.fromkeys(form for text in texts for form in _forms_of(text)))

    def hide(self, line: str) -> str:
        """The line without any of them, the longest first."""
        for form in self._forms:
            if form in line:
                line = line.replace(form, _HIDDEN)
        return line


_SUBMITTED: list[_Texts] = []
"""Of the attempt that this process makes, if it makes one."""


def _forms_of(text: str) -> tuple[str, ...]:
    """As it is, as Python quotes it, and as JSON does: with other letters than those of English, or with codes for them."""
    return text, repr(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]


def _texts(value: object) -> set[str]:
    """Each text in a document, and each line of those that have several."""
    found, waiting = set[str](), [value]
    while waiting:
        match waiting.pop():
            case str(text):
                found |= {part for part in (text.strip(), *map(str.strip, text.splitlines())) if len(part) >= _SHORTEST}
            case dict(members):
                waiting += members.values()
            case list(members):
                waiting += members
    return found


def _in_context(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Whose task it is about, and which program says so; what a line says itself counts before that."""
    context = structlog.contextvars.get_contextvars()
    if context:
        for name in (*(name for name in _ORDER if name in context), *(name for name in context if name not in _ORDER)):
            event.setdefault(name, context[name])
    for name, value in _PROGRAM.items():
        event.setdefault(name, value)
    return event


def _text_renderer(to: TextIO) -> Any:
    """`TIME LEVEL: event name=value …`, the fields in the order in which they were given (TS-140)."""
    styles = structlog.dev.ConsoleRenderer.get_default_column_styles(to.isatty())
    levels = structlog.dev.ConsoleRenderer.get_default_level_styles(to.isatty())
    column, field = structlog.dev.Column, structlog.dev.KeyValueColumnFormatter
    return structlog.dev.ConsoleRenderer(
        columns=[
            column("timestamp", field(None, styles.timestamp, styles.reset, str)),
            column("level", lambda _, level: f"{levels.get(str(level), '')}{str(level).upper()}:{styles.reset}"),
            column("event", field(None, styles.bright, styles.reset, str)),
            column("", field(styles.kv_key, styles.kv_value, styles.reset, _on_one_line)),
        ],
        sort_keys=False,
    )


def _head_first(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """When, how bad, what: then the rest."""
    return {name: event[name] for name in ("timestamp", "level", "event") if name in event} | dict(event)


def _indent(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What may have lines of its own, tracebacks and what libraries say, has them further in: none passes for another."""
    for name in ("event", "exception"):
        if name in event:
            event[name] = _COMMANDS.sub(_harmless, str(event[name]))
    return event


def _harmless(command: re.Match[str]) -> str:
    return "\n    " if command[0] == "\n" else ascii(command[0])[1:-1]


def _on_one_line(value: object) -> str:
    """What others wrote can start no line of its own."""
    text = str(value)
    return text if text.isprintable() else repr(text)


@lru_cache(maxsize=1024)
def _is_telling(name: str) -> bool:
    return name.lower() in _OF_PEOPLE or _SECRET_NAMES.search(name) is not None


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what is secret or somebody's own: fields with a telling name, passwords in URLs, and what is being hidden."""
    for name, value in event.items():
        event[name] = _HIDDEN if _is_telling(name) else _redacted(value)
    return event


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        if "://" in value:
            value = _URL_PASSWORD.sub(rf"\1:{_HIDDEN}@", value)
        for texts in _SUBMITTED:
            value = texts.hide(value)
        return value
    if isinstance(value, dict):
        return {name: _HIDDEN if _is_telling(str(name)) else _redacted(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(inner) for inner in value]
    return value
