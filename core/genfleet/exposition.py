"""Makes prometheus-client's objects from the rows of `contract/measures.py`, so that no program spells a metric twice."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from genfleet.contract.measures import Kind, Measure

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def counter(measure: Measure, registry: CollectorRegistry) -> Counter:
    """A counter of this process."""
    return Counter(measure.name, measure.means, measure.labels, registry=registry)


def gauge(measure: Measure, registry: CollectorRegistry) -> Gauge:
    """A gauge of this process."""
    return Gauge(measure.name, measure.means, measure.labels, registry=registry)


def histogram(measure: Measure, registry: CollectorRegistry) -> Histogram:
    """A histogram of this process."""
    return Histogram(measure.name, measure.means, measure.labels, registry=registry, buckets=measure.bounds)


def family(measure: Measure) -> Family:
    """What is filled with numbers that somebody else has counted."""
    match measure.kind:
        case Kind.COUNTER:
            return CounterMetricFamily(measure.name, measure.means, labels=measure.labels)
        case Kind.GAUGE:
            return GaugeMetricFamily(measure.name, measure.means, labels=measure.labels)
        case Kind.HISTOGRAM:
            return HistogramMetricFamily(measure.name, measure.means, labels=measure.labels)


def bounds(measure: Measure) -> list[str]:
    """The upper bounds of a histogram's buckets, as Prometheus has them in `le`."""
    return [*(str(float(bound)) for bound in measure.bounds), "+Inf"]
