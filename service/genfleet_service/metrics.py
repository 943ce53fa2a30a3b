"""What the API exports at `/metrics`: the numbers of the fleet, which are the same on each instance, and its own.

Those of the fleet are asked for at each scrape, in one round trip. When Redis cannot be asked they are left out: what is not
known is neither zero nor the last that was seen.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genfleet import exposition
from genfleet.contract import measures
from genfleet.contract.measures import Measure
from genfleet.contract.task_types import QUEUES
from genfleet.errors import StoreUnavailable
from genfleet.exposition import Family
from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from genfleet.store.measures import Counts, RedisUse, counts, redis_use
from genfleet.store.records import QueueSeen, Survey, WorkerSeen

Rows = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels, and the number."""

OTHER = "other"
"""The route of a request that none fits, and the method of one that nobody has heard of: neither may make new series."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ApiMetrics:
    """The numbers of this process."""

    def __init__(self, routes: Mapping[Any, str]) -> None:
        """`routes`: the path of each endpoint, with its parameters in braces."""
        self._routes = routes
        self._registry = CollectorRegistry()
        self._requests = exposition.counter(measures.API_REQUESTS, self._registry)
        self._seconds = exposition.histogram(measures.API_SECONDS, self._registry)
        self._known: dict[tuple[str, Any, int], tuple[Any, Any]] = {}
        """The series of what was asked for before: finding them takes longer than counting."""

    def count(self, method: str, endpoint: Any, status: int, seconds: float | None) -> None:
        """A request was answered. `seconds`: None for a stream, which lasts as long as its reader likes."""
        series = self._known.get((method, endpoint, status))
        if series is None:
            route = self._routes.get(endpoint, OTHER)
            labels = method if method in _METHODS else OTHER, route, str(status)
            series = self._requests.labels(*labels), self._seconds.labels(route)
            if endpoint in self._routes:
                self._known[method, endpoint, status] = series
        series[0].inc()
        if seconds is not None:
            series[1].observe(seconds)

    async def exposed(self, store: AsyncStore) -> bytes:
        """Everything, in Prometheus' text format."""
        try:
            seen = await store.run_all([capacity.observe(QUEUES), counts(), redis_use()])
        except StoreUnavailable:
            fleet, up = b"", 0
        else:
            fleet, up = exposition_of(*seen), 1
        own = [
            _family(measures.API_REDIS_UP, [((), up)]),
            _family(measures.API_ROUND_TRIPS, [((), store.round_trips)]),
            _family(measures.API_REDIS_ERRORS, [((), store.failed_trips)]),
        ]
        return fleet + _written(own) + generate_latest(self._registry)


class Meter:
    """Counts every request and how long its answer took. Around all other gates, so that no answer escapes it."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, streams = time.perf_counter(), 500, False

        async def noted(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = any(value.startswith(b"text/event-stream") for _, value in message["headers"])
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            seconds = None if streams else time.perf_counter() - began
            self._metrics.count(scope["method"], scope.get("endpoint"), status, seconds)


class _Families(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def _written(families: Iterable[Family]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return generate_latest(registry)


def exposition_of(survey: Survey, counted: Counts, redis: RedisUse) -> bytes:
    """The numbers of the fleet, in Prometheus' text format."""
    return _written([*_of_the_fleet(survey, counted, redis)])


def _family(measure: Measure, rows: Rows) -> Family:
    made = exposition.family(measure)
    for labels, number in rows:
        made.add_metric(labels, number)  # type: ignore[arg-type, call-arg]  # a histogram has more: see `_of_the_fleet`
    return made


def _of_the_fleet(survey: Survey, counted: Counts, redis: RedisUse) -> Iterator[Family]:
    for measure, numbers in counted.numbers.items():
        yield _family(measure, numbers.items())
    for measure, times in counted.times.items():
        histogram = exposition.family(measure)
        assert isinstance(histogram, HistogramMetricFamily)
        for labels, each in times.items():
            summed = itertools.accumulate(each.buckets)
            histogram.add_metric(labels, [*zip(exposition.bounds(measure), summed, strict=True)], each.seconds)
        yield histogram
    for measure, rows in _now(survey).items():
        yield _family(measure, rows)
    yield _family(measures.IN_QUARANTINE, [((), survey.quarantined)])
    yield _family(measures.LETTERS, [((), survey.dead_letters)])
    yield _family(measures.WEBHOOKS_DUE, [((), counted.webhooks_due)])
    yield _family(measures.REDIS_MEMORY, [((), redis.memory)])
    yield _family(measures.REDIS_MEMORY_MOST, [((), redis.memory_most)])
    yield _family(measures.REDIS_CLIENTS, [((), redis.clients)])


def _now(survey: Survey) -> dict[Measure, list[tuple[tuple[str, ...], float]]]:
    """The queues and their workers at this moment."""
    rows: dict[Measure, list[tuple[tuple[str, ...], float]]] = {}

    def tell(measure: Measure, number: float, *labels: str) -> None:
        rows.setdefault(measure, []).append((labels, number))

    for seen in survey.queues:
        queue = seen.queue
        for priority, waiting in enumerate(seen.by_priority, start=1):
            tell(measures.WAITING, waiting, queue, str(priority))
        tell(measures.RUNNING, seen.running, queue)
        tell(measures.SCHEDULED, seen.scheduled, queue)
        tell(measures.OLDEST, (seen.oldest_wait_ms or 0) / 1000, queue)
        tell(measures.PAUSED, seen.paused is not None, queue)
        for state, number in _states(seen).items():
            tell(measures.WORKERS_SEEN, number, queue, state)
        uses = [use for use in map(_use, seen.workers) if use]
        tell(measures.SLOTS, sum(use.places for use in uses), queue)
        tell(measures.WORKER_MEMORY, max((use.memory for use in uses), default=0), queue)
        tell(measures.FLEET_MEMORY, sum(use.memory for use in uses), queue)
        busy = [percent for use in uses for percent in use.busy]
        if busy:
            tell(measures.GPU, sum(busy) / len(busy), queue)
        cards = [card for use in uses for card in use.cards]
        tell(measures.GPU_COUNT, len(cards), queue)  # how busy it is, a part of a card does not say
        for number, what in enumerate(("used", "total")):
            tell(measures.GPU_MEMORY, sum(card[number] for card in cards), queue, what)
    return rows


@dataclass(frozen=True, slots=True)
class _Use:
    """What a worker tells of itself."""

    places: int
    memory: int
    busy: tuple[float, ...]
    """Percent of each card."""
    cards: tuple[tuple[int, int], ...]
    """Memory of each: used, and all."""


def _use(worker: WorkerSeen) -> _Use | None:
    """None: it cannot be read, as from another version. The numbers of all others are exported all the same."""
    about = worker.about
    try:
        return _Use(
            int(about.get("concurrency", 0)),
            sum(map(int, about.get("memory_bytes", {}).values())),
            tuple(map(float, about.get("gpu_utilization", ()))),
            tuple((int(used), int(total)) for used, total in about.get("gpu_memory_bytes", ())),
        )
    except (AttributeError, TypeError, ValueError):
        return None


def _states(seen: QueueSeen) -> dict[str, int]:
    """Workers by what they say of themselves. Every state is there, also with 0: a series that ends is no zero."""
    states = dict.fromkeys(("ready", "draining", "drained", "broken"), 0)
    for worker in seen.workers:
        states[_state(worker)] += 1
    return states


def _state(worker: WorkerSeen) -> str:
    said = worker.about.get("phase", "ready")
    if worker.about.get("trouble"):
        return "broken"
    return said if said in ("draining", "drained") else "ready"
