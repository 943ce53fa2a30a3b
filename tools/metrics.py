"""`docs/metrics.md`: every number that is exported, made from `genfleet.contract.measures`."""

from __future__ import annotations

from bench.report import table
from genfleet.contract import measures
from genfleet.contract.measures import Measure, Source

_HEAD = """# Metrics

Made from `core/genfleet/contract/measures.py`, by `make generate`.

- **The API** answers `GET /metrics` on its port, without a key. **The operator** does on its probe port (8080).
- What happens to tasks is counted in Redis, by the same step that does it: nothing is counted twice or not at all, whatever dies,
  and a worker that is gone, or a fleet at zero, takes no number with it. So workers need not be scraped. What they measure of
  themselves comes with their heartbeat.
- **Numbers of the fleet are the same on each instance of the API.** Take the maximum over instances before adding up:

      sum by (queue) (max by (namespace, queue, type, state) (rate(genfleet_tasks_total[5m])))

- Labels are names of queues and task types, and words of closed lists. No id, no project and no free text is ever a label.
- While Redis cannot be asked, numbers of the fleet are left out, and `genfleet_api_redis_up` is 0: unknown is not zero.
- Counters live as long as the data of Redis; `rate()` and `increase()` are right over restarts of everything else.
- The first event of its kind makes a new series that begins at 1, which `rate()` and `increase()` overlook. Where single events
  matter, compare two moments: `x - (x offset 1h or 0 * x)`. The dashboards and alerts of `monitoring.md` do.
"""
_PARTS = {
    Source.FLEET: "The fleet: the same on each instance of the API",
    Source.API: "One process of the API",
    Source.OPERATOR: "The operator",
}


def text() -> str:
    """The page."""
    parts = [_HEAD.rstrip()]
    for source, title in _PARTS.items():
        rows = [_row(measure) for measure in measures.EVERY if measure.source is source]
        parts.append(f"## {title}\n\n{table(('name', 'kind', 'labels', 'unit', 'meaning'), rows).rstrip()}")
    bounds = "\n".join(
        f"- `{measure.name}`: {', '.join(f'{bound:g}' for bound in measure.bounds)}"
        for measure in measures.EVERY
        if measure.bounds
    )
    return "\n\n".join([*parts, f"## Bounds of the histograms, in seconds\n\n{bounds}"]) + "\n"


def _row(measure: Measure) -> tuple[str, ...]:
    labels = ", ".join(f"`{label}`" for label in measure.labels)
    return f"`{measure.name}`", measure.kind.value, labels, measure.unit, measure.means
