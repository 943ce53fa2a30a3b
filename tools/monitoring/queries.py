"""Questions to Prometheus, made from measures, so that none of them can name what nobody exports.

Every process of the API exports the fleet's numbers, each the same: several are one number seen several times. So the maximum
over instances is taken first, and only then is anything added up. A name, or a label that a measure has not got, is an error
while the files are made, and not an empty panel later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from genfleet.contract.measures import Kind, Measure, Source

INSTALLATION = "namespace"
"""The label that tells installations apart; where there is no cluster it is not there, which counts as empty."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of all that Prometheus has is asked for, and over which time."""

    within: Mapping[str, str] = field(default_factory=dict)
    """Conditions by label, for each measure that has the label: `{"queue": "~$queue"}`."""
    over: str = "$__rate_interval"

    # -- one series of a measure for each of its labels, however many processes export it --------------------------------

    def now(self, measure: Measure, **where: str) -> str:
        """A gauge as it is."""
        series = self._series(measure, where)
        once = measure.source is Source.FLEET or (measure.source is Source.OPERATOR and INSTALLATION in measure.labels)
        return f"{once_each(measure)} ({series})" if once else series

    def rate(self, measure: Measure, part: str = "", over: str = "", **where: str) -> str:
        """What it grows by in a second. `part` of a histogram: bucket, sum or count."""
        rate = f"rate({self._series(measure, where, part)}[{over or self.over}])"
        return f"{once_each(measure, part)} ({rate})" if measure.source is Source.FLEET else rate

    def grown(self, measure: Measure, over: str, part: str = "", **where: str) -> str:
        """What a counter grew by, in whole numbers.

        Those of the fleet do not begin anew with a process, so two looks at them suffice; and the first of its kind counts,
        which `increase` would overlook: it needs the series to have been there before.
        """
        series = self._series(measure, where, part)
        if measure.source is not Source.FLEET:
            return f"increase({series}[{over}])"
        once = once_each(measure, part)
        now, then = f"{once} ({series})", f"{once} ({series} offset {over})"
        return f"clamp_min({now} - ({then} or 0 * {now}), 0)"

    # -- what people ask ---------------------------------------------------------------------------------------------------

    def sum(self, measure: Measure, by: str = "", **where: str) -> str:
        """A gauge, added up."""
        return total(self.now(measure, **where), by, measure)

    def per_minute(self, measure: Measure, by: str = "", part: str = "", **where: str) -> str:
        """How many in a minute."""
        return f"60 * {total(self.rate(measure, part, **where), by, measure)}"

    def count(self, measure: Measure, over: str, by: str = "", part: str = "", **where: str) -> str:
        """How many in that time."""
        return total(self.grown(measure, over, part, **where), by, measure)

    def quantile(self, share: float, measure: Measure, by: str = "", **where: str) -> str:
        """What that share of all stays below."""
        assert measure.kind is Kind.HISTOGRAM, measure.name
        labels = f"{by}, le" if by else "le"
        return f"histogram_quantile({share:g}, {total(self.rate(measure, 'bucket', **where), labels, measure)})"

    def above(self, bound: float, measure: Measure, by: str = "", over: str = "", **where: str) -> str:
        """The share that took longer than one of its bounds."""
        assert bound in measure.bounds, f"{measure.name} has no bound {bound}"
        le = f"~{bound:g}|{float(bound)}"  # Prometheus 3 writes 60.0, others what they are sent
        within = total(self.rate(measure, "bucket", over, le=le, **where), by, measure)
        return f"1 - {within} / {total(self.rate(measure, 'count', over, **where), by, measure)}"

    def _series(self, measure: Measure, where: Mapping[str, str], part: str = "") -> str:
        assert bool(part) is (measure.kind is Kind.HISTOGRAM), measure.name
        ours = {label: value for label, value in self.within.items() if label in (*measure.labels, INSTALLATION)}
        conditions = {**ours, **where}
        known = {*measure.labels, INSTALLATION, "le"}
        assert known >= set(conditions), f"{measure.name} has no label {set(conditions) - known}"
        shown = ", ".join(f"{label}={_quoted(value)}" for label, value in conditions.items())
        return f"{name_of(measure, part)}{{{shown}}}" if shown else name_of(measure, part)


def name_of(measure: Measure, part: str = "") -> str:
    """What its series are called. `part` of a histogram: bucket, sum or count."""
    return f"{measure.name}_{part}" if part else measure.name


def _quoted(value: str) -> str:
    """A value, or with `~` before it, an expression that it fits."""
    return f'~"{value[1:]}"' if value.startswith("~") else f'"{value}"'


def once_each(measure: Measure, part: str = "") -> str:
    """The maximum over whoever exports it.

    By the labels that are its own: which others a Prometheus adds is not known here. It may copy all of a pod's, and some of
    those are others after each upgrade, when everything would look new.
    """
    own = dict.fromkeys((INSTALLATION, *measure.labels, *(["le"] if part == "bucket" else [])))
    return f"max by ({', '.join(own)})"


def total(expression: str, by: str, *measures: Measure) -> str:
    """All of it added up, or apart for each value of labels, which one of the measures has."""
    known = {INSTALLATION, "le", *(label for measure in measures for label in measure.labels)}
    assert not (wrong := {label.strip() for label in by.split(",") if by} - known), f"no such label: {wrong}"
    return f"sum by ({by}) ({expression})" if by else f"sum({expression})"


def share(part: str, whole: str) -> str:
    """One of the other; nothing where there is nothing."""
    return f"({part}) / ({whole} > 0)"
