"""The kinds of value that occur in a GenerationQueue, each with its bounds and a sentence for who wrote a wrong one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

DAY = 86_400
"""In seconds."""
LONGEST_WINDOW = 31 * DAY
"""Of a schedule, in seconds. Whoever wants more wants a higher minReplicas."""
UNITS = {"d": DAY, "h": 3600, "m": 60, "s": 1}
LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1123 label, as Kubernetes wants it in names."""
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
CRON_REMEDY = 'write minute, hour, day of month, month and day of week, such as "0 8 * * 1-5"'


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
        raise ValueError(f"{value!r} must be longer than nothing and at most 31 days")
    return value


def _cron(value: str) -> str:
    if len(value.split()) != 5:  # the parser would take a sixth for seconds
        raise ValueError(f"{value!r} has not five fields: {CRON_REMEDY}")
    try:
        first = next(CronSim(value, datetime(2000, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise ValueError(f"{value!r} is not a cron expression ({error}): {CRON_REMEDY}") from error
    if first is None:
        raise ValueError(f"{value!r} names a day that never comes: {CRON_REMEDY}")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is no time zone: write an IANA name such as Europe/Berlin") from error
    return value


def _quantity(value: object) -> object:
    """YAML reads `cpu: 2` as a number; the API server takes it, so it is taken here."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Absent = SkipJsonSchema[None]
"""The type of a field that was left out: None in Python; on the wire it is not there, so the schema knows no null."""

Replicas = Annotated[int, Field(ge=0, le=10_000)]
"""A number of workers. The bound catches a slip of the pen; the largest fleets have some thousands."""

Seconds = Annotated[int, Field(ge=0, le=DAY)]
"""A length of time within a day, in whole seconds."""

Cron = Annotated[str, AfterValidator(_cron)]
"""Five fields, Debian's rules; where summer time begins or ends, an opening that the clock skips comes right after."""

Duration = Annotated[str, Field(pattern=r"^([0-9]+[dhms])+$", max_length=20), AfterValidator(_duration)]
"""A length of time as people write it."""

TimeZone = Annotated[str, AfterValidator(_time_zone)]
"""An IANA name."""

Quantity = Annotated[
    str,
    BeforeValidator(_quantity),
    Field(pattern=QUANTITY),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}),
]
"""An amount of a node's resource, as in a pod: 2, 500m, 16Gi."""
