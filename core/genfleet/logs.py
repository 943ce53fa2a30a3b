"""One way to log for all programs: an event word and fields, as text for people or JSON for machines."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, TextIO

import structlog

_LINES: list[Any] = []
"""Where `line` writes: the renderer and the stream, once the log is set up."""
_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)
_SECRET_NAMES = re.compile(r"(api[-_]?key|authorization|password|secret)", re.IGNORECASE)
_COMMANDS = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f]")
"""What a terminal does not show but obeys."""
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]{1,20}://[^:/@\s]{0,100}):\S{1,500}@")


def set_up(program: str, *, level: str, style: str, to: TextIO = sys.stdout, errors_apart: bool = False) -> None:
    """Send every log line, the libraries' too, to stdout (or `to`) in one format. Called once, by each `main`.

    stdout, so that `docker logs … | grep` finds them (TS-140). `errors_apart`: errors go to stderr instead, for who keeps
    both streams, such as PM2 (TS-181).
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
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
            *([] if style == "json" else [_indent]),
            render,
        ],
    )
    _LINES[:] = [render, to]
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    structlog.contextvars.bind_contextvars(program=program)


def line(event: str, **fields: Any) -> None:
    """Write a line for people to keep, at a third of the cost: for what is written with every request.

    It looks as all others do, whatever the level is. Through the standard library it would take 40 µs.
    """
    if not _LINES:
        return
    render, to = _LINES
    told = {**structlog.contextvars.get_contextvars(), **fields, "event": event, "level": "info"}
    to.write(f"{render(None, 'info', redact(None, 'info', _STAMP(None, 'info', told)))}\n")
    to.flush()


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
    return _SECRET_NAMES.search(name) is not None


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out: fields with a telling name, and passwords in URLs."""
    for name, value in event.items():
        if _is_telling(name):
            event[name] = "[hidden]"
        elif isinstance(value, str) and "://" in value:
            event[name] = _URL_PASSWORD.sub(r"\1:[hidden]@", value)
    return event
