"""Times and days in a query. Numbers would pass for seconds since 1970, and nobody who sends one means that."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated

from pydantic import BeforeValidator

_NUMBER = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?", re.IGNORECASE)


def _no_number(text: object) -> object:
    if isinstance(text, str) and _NUMBER.fullmatch(text.strip()):
        raise ValueError("must be written as 2026-01-31T10:00:00Z or 2026-01-31, not as a number")
    return text


QueryTime = Annotated[datetime, BeforeValidator(_no_number)]
QueryDay = Annotated[date, BeforeValidator(_no_number)]
