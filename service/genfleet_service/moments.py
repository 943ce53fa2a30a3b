"""Times and days as clients write them. Numbers would pass for seconds since 1970, and nobody who sends one means that."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

NO_TIME = "Must be a time in ISO 8601, such as 2026-01-31T10:00:00Z"
NO_DAY = "Must be a day in ISO 8601, such as 2026-01-31"
_NUMBER = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?", re.IGNORECASE)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip()) is not None


def _no_number(text: object, words: str) -> object:
    if isinstance(text, str) and _is_number(text):
        raise ValueError(words)
    return text


def _written(moment: object) -> object:
    if not isinstance(moment, str) or _is_number(moment):
        raise ValueError(NO_TIME)
    return moment


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


QueryTime = Annotated[datetime, BeforeValidator(partial(_no_number, words=NO_TIME)), AfterValidator(_zoned)]
"""A time without a zone is UTC, here and in bodies."""
QueryDay = Annotated[date, BeforeValidator(partial(_no_number, words=NO_DAY))]
BodyTime = Annotated[datetime, BeforeValidator(_written), AfterValidator(_zoned), Field(strict=False)]


def milliseconds(moment: datetime | None) -> int | None:
    """Since the epoch, as the store counts. None: no time was given."""
    return None if moment is None else round(moment.timestamp() * 1000)
