"""One way to log for all programs: an event word and fields, as text for people or JSON for machines."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_SECRET_NAMES = re.compile(r"(api[-_]?key|authorization|password|secret)", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]{1,20}://[^:/@\s]{0,100}):\S{1,500}@")


def set_up(program: str, *, level: str, style: str, to: TextIO = sys.stdout, errors_apart: bool = False) -> None:
    """Send every log line, the libraries' too, to stdout (or `to`) in one format. Called once, by each `main`.

    stdout, so that `docker logs … | grep` finds them (TS-140). `errors_apart`: errors go to stderr instead, for who keeps
    both streams, such as PM2 (TS-181).
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
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
            render,
        ],
    )
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    structlog.contextvars.bind_contextvars(program=program)


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


def _on_one_line(value: object) -> str:
    """What others wrote can start no line of its own."""
    text = str(value)
    return text if text.isprintable() else repr(text)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out: fields with a telling name, and passwords in URLs."""
    for name, value in event.items():
        if _SECRET_NAMES.search(name):
            event[name] = "[hidden]"
        elif isinstance(value, str):
            event[name] = _URL_PASSWORD.sub(r"\1:[hidden]@", value)
    return event
