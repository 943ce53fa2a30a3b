"""Traces, by OpenTelemetry: off unless its own environment variables name a collector (docs/traces.md).

While it is off nothing here does anything, nothing of OpenTelemetry is imported, and `context` is empty: so nothing is
written down with a task either. No span says more of a task than its id, its project and what metrics say.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

log = structlog.get_logger(__name__)

Value = str | int | float | bool

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Where the collector is. One of them switches traces on."""
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"
NANOSECONDS = 1_000_000
"""In a millisecond."""
END_S = 2.0
"""A program that ends waits so long, at most, until the collector has the last spans."""
SELDOM_S = 60.0
"""A collector that is away is a line in the log this often."""


class _Traces:
    """What is set up in this process."""

    tracer: Tracer | None = None
    provider: TracerProvider | None = None


def set_up(program: str, environment: Mapping[str, str], *, for_all: bool = False) -> None:
    """Begin to make spans, if the environment wants that. Called once in each process, after a fork anew.

    `for_all`: also for what engines and libraries trace by themselves. Not in the API, where the framework would add a trace for
    each probe, nor in a process that forks: that is settled only once.
    """
    _Traces.tracer = _Traces.provider = None
    if not _wanted(environment):
        return
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), SPOKEN)
    if protocol != SPOKEN:
        remedy = f"set {PROTOCOLS[1]}={SPOKEN}, and the collector's port for that, mostly 4318"
        log.warning("traces_off", reason=f"{protocol} is not spoken", remedy=remedy)
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning("traces_off", reason=str(error), remedy="install the extra `otel` of this package")
        return
    _quieten()
    named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": f"genfleet-{program}"}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    if for_all:
        trace.set_tracer_provider(provider)
    _Traces.provider, _Traces.tracer = provider, provider.get_tracer("genfleet")


def _wanted(environment: Mapping[str, str]) -> bool:
    named = any(environment.get(name) for name in ENDPOINTS)
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return named and not disabled and environment.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"


def is_on() -> bool:
    """Whether spans are made."""
    return _Traces.tracer is not None


def end() -> None:
    """Send what is left, within two seconds."""
    provider, _Traces.provider, _Traces.tracer = _Traces.provider, None, None
    if provider is None:
        return
    ending = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
    ending.start()
    ending.join(END_S)


class Span:
    """Something that takes time, for as long as `with` holds or until `end`; or nothing, where traces are off."""

    __slots__ = ("_span", "context")

    def __init__(self, span: Any = None) -> None:
        self._span = span
        self.context = _context_of(span) if span is not None else ""
        """By which others join, as W3C's `traceparent`. Empty: there is nothing to join."""

    def tell(self, **known: Value) -> None:
        """Attributes, under names that begin with `genfleet.`."""
        if self._span is not None:
            for name, value in known.items():
                self._span.set_attribute(f"genfleet.{name}", value)

    def fail(self, what: str) -> None:
        """It came to nothing: a word, never a message, which may quote what was submitted."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute("error.type", what)
            self._span.set_status(StatusCode.ERROR)

    def end(self, at_ns: int | None = None) -> None:
        """It is over, now or since then. Once is enough."""
        if self._span is not None:
            self._span.end(at_ns)
            self._span = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> None:
        if error is not None:
            self.fail(type(error).__name__)
        self.end()


NOTHING = Span()


def start(name: str, kind: str, parent: str, **known: Value) -> Span:
    """Begin a span: `kind` is a word of OpenTelemetry's, `parent` a `traceparent`, empty for none."""
    if _Traces.tracer is None:
        return NOTHING
    return _begun(_Traces.tracer, name, kind, parent, known=known)


def past(name: str, kind: str, parent: str, began_ms: int, ended_ms: int, **known: Value) -> None:
    """A span that is over, by the clock of Redis."""
    if _Traces.tracer is None:
        return
    span = _begun(_Traces.tracer, name, kind, parent, known=known, at_ns=began_ms * NANOSECONDS)
    span.end(max(began_ms, ended_ms) * NANOSECONDS)


@contextmanager
def within(context: str) -> Iterator[None]:
    """What is traced here by others, such as an engine's own client of a service, joins that span."""
    if _Traces.tracer is None or not context:
        yield
        return
    from opentelemetry.context import attach, detach

    token = attach(_joined(context))
    try:
        yield
    finally:
        detach(token)


def attributes(names: Mapping[str, Value]) -> dict[str, Value]:
    """What log lines say of a task, for a span, which has the trace's id anyway."""
    return {name: value for name, value in names.items() if name != "trace_id"}


def trace_id(context: str) -> str:
    """By which people find it."""
    return context.split("-")[1]


def _begun(
    tracer: Tracer, name: str, kind: str, parent: str, *, known: Mapping[str, Value], at_ns: int | None = None
) -> Span:
    from opentelemetry.trace import SpanKind

    attributes = {f"genfleet.{word}": value for word, value in known.items()}
    span = tracer.start_span(name, _joined(parent), SpanKind[kind.upper()], attributes, start_time=at_ns)
    return Span(span)


def _joined(context: str) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": context}, Context())


def _context_of(span: Any) -> str:
    found = span.get_span_context()
    if not found.trace_flags.sampled:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-01"


class _Seldom(logging.Filter):
    """Lets a line of a logger through once a minute, without its traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written."""
        now = time.monotonic()
        if now < self._next.get(record.name, 0.0):
            return False
        self._next[record.name] = now + SELDOM_S
        record.exc_info = None
        return True


_SELDOM = _Seldom()


def _quieten() -> None:
    """Exporters would tell of a collector that is away with each batch, some with pages of traceback."""
    for name in (
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.sdk._shared_internal",
        "urllib3.connectionpool",
    ):
        logging.getLogger(name).addFilter(_SELDOM)
