"""The kinds of value that occur in a GenerationQueue, each with its bounds and a sentence for who wrote a wrong one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from genfleet.contract.rules import Rule, checked_by

DAY = 86_400
"""In seconds."""
LONGEST_WINDOW = 31 * DAY
"""Of a schedule, in seconds. Whoever wants more wants a higher minReplicas."""
UNITS = {"d": DAY, "h": 3600, "m": 60, "s": 1}
LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1123 label, as Kubernetes wants it in names."""
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"


def _cron_field(value: str, also: str = "") -> str:
    """One field of a cron expression as a regular expression: values, ranges, steps and lists of them."""
    term = rf"(\*|({value})(-({value}))?{also})(/[0-9]*[1-9][0-9]*)?"
    return f"{term}(,{term})*"


CRON = (
    r"(?i)^\s*"
    + r"\s+".join(
        (
            _cron_field("[0-5]?[0-9]"),
            _cron_field("[01]?[0-9]|2[0-3]"),
            _cron_field("0?[1-9]|[12][0-9]|3[01]", also="|lw?"),
            _cron_field("0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"),
            _cron_field("0?[0-7]|sun|mon|tue|wed|thu|fri|sat", also="|[0-7]l|(0?[0-7]|[a-z]{3})#[1-5]"),
        )
    )
    + r"\s*$"
)
"""What the API server can tell of a cron expression. A day that never comes, such as 30 February, is left to Python."""

CRON_RULE = Rule(
    holds=f"self.matches({json.dumps(CRON)})",
    sentence="'{value}' is not a cron expression: write five fields, which are minute (0 to 59), hour (0 to 23), day of "
    'month, month and day of week, such as "0 8 * * 1-5"',
    values={"value": "self"},
)
DURATION = r"^([0-9]{1,7}[dhms])+$"
"""Seven digits are a month of seconds: enough, and no more than what can be counted."""
DURATION_RULE = Rule(
    # The length in seconds: each part's number, times its unit. What has another shape is told of that alone.
    holds=f"!self.matches('{DURATION}') || [self.findAll('[0-9]+[dhms]').map(part, int(part.substring(0, size(part) - 1)) * "
    "(part.endsWith('d') ? 86400 : part.endsWith('h') ? 3600 : part.endsWith('m') ? 60 : 1)).sum()]"
    f".all(seconds, 0 < seconds && seconds <= {LONGEST_WINDOW})",
    sentence="'{value}' must be longer than nothing and at most 31 days",
    values={"value": "self"},
)
TIME_ZONE_RULE = Rule(
    holds=r"self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$')",
    sentence="'{value}' is no time zone: write an IANA name such as Europe/Berlin",
    values={"value": "self"},
)
LABEL_VALUE = r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"
LABEL_VALUE_RULE = Rule(
    holds=f"self.matches('{LABEL_VALUE}')",
    sentence="'{value}' is no value of a label: write letters, digits, and '-', '_' or '.' between them",
    values={"value": "self"},
)
QUANTITY_RULE = Rule(
    holds=f"type(self) == int ? self >= 0 : self.matches({json.dumps(QUANTITY)})",
    sentence="'{value}' is no amount: write a number, and a unit where one is meant, such as 2, 500m or 16Gi",
    values={"value": "self"},
)


class Part(BaseModel):
    """A part of the resource: nothing unknown in it, nothing converted, nothing changed after it was read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, serialize_by_alias=True
    )


def seconds_of(duration: str) -> int:
    """The length in seconds of a valid duration such as `10h`, `30m` or `1h30m`."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", duration))


def _duration(value: str) -> str:
    if not 0 < seconds_of(value) <= LONGEST_WINDOW:
        raise ValueError(DURATION_RULE.says(value=value))
    return value


def _cron(value: str) -> str:
    if len(value.split()) != 5:  # the parser would take a sixth for seconds
        raise ValueError(CRON_RULE.says(value=value))
    try:
        first = next(CronSim(value, datetime(2000, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise ValueError(f"{CRON_RULE.says(value=value)} ({error})") from error
    if first is None:
        raise ValueError(f"{value!r} names a day that never comes: write one that its months have")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(TIME_ZONE_RULE.says(value=value)) from error
    return value


def _number_as_text(value: object) -> object:
    """YAML reads `cpu: 2` as a number; the API server takes it, so it is taken here."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _quantity(value: str) -> str:
    if not re.fullmatch(QUANTITY, value):
        raise ValueError(QUANTITY_RULE.says(value=value))
    return value


def _label_value(value: str) -> str:
    if not re.fullmatch(LABEL_VALUE, value):
        raise ValueError(LABEL_VALUE_RULE.says(value=value))
    return value


Absent = SkipJsonSchema[None]
"""The type of a field that was left out: None in Python; on the wire it is not there, so the schema knows no null."""

Replicas = Annotated[int, Field(ge=0, le=10_000)]
"""A number of workers. The bound catches a slip of the pen; the largest fleets have some thousands."""

Seconds = Annotated[int, Field(ge=0, le=DAY)]
"""A length of time within a day, in whole seconds."""

Cron = Annotated[str, Field(max_length=200, json_schema_extra=checked_by(CRON_RULE)), AfterValidator(_cron)]
"""Five fields, Debian's rules; where summer time begins or ends, an opening that the clock skips comes right after."""

Duration = Annotated[
    str,
    Field(pattern=DURATION, max_length=20, json_schema_extra=checked_by(DURATION_RULE)),
    AfterValidator(_duration),
]
"""A length of time as people write it."""

TimeZone = Annotated[
    str, Field(max_length=64, json_schema_extra=checked_by(TIME_ZONE_RULE)), AfterValidator(_time_zone)
]
"""An IANA name."""

Quantity = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 32,
            "x-kubernetes-int-or-string": True,
            **checked_by(QUANTITY_RULE),
        }
    ),
]
"""An amount of a node's resource, as in a pod: 2, 500m, 16Gi."""

LabelValue = Annotated[
    str, Field(max_length=63, json_schema_extra=checked_by(LABEL_VALUE_RULE)), AfterValidator(_label_value)
]
"""The value of a label or of a taint."""

Labels = Annotated[dict[str, LabelValue], Field(max_length=64)]
"""Names and values as nodes carry them."""
