"""Gives a program a wall clock that is wrong by as many seconds as the file says that CHAOS_CLOCK names. It may change.

Python imports this before anything else when its folder comes first on PYTHONPATH, so whatever asks for the time later asks
here: `time.time`, and `datetime.now` with it. Clocks that only run on (`monotonic`) stay right, as they do on a machine.
"""

import datetime as dt
import os
import time
from pathlib import Path
from typing import Any

_file = Path(os.environ["CHAOS_CLOCK"])
_true_time, _true_monotonic, _true_datetime = time.time, time.monotonic, dt.datetime
_LOOK_EVERY_S = 0.1
_said = (0.0, 0.0)
"""What the file said, and until when that is believed."""


def _wrong_by() -> float:
    global _said  # noqa: PLW0603  one clock for one program
    if _true_monotonic() >= _said[1]:
        _said = float(_file.read_text() or _said[0]), _true_monotonic() + _LOOK_EVERY_S
    return _said[0]


def _time() -> float:
    return _true_time() + _wrong_by()


class _AnyDatetime(type):
    """So that every datetime is one of these, also those that C makes."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _true_datetime)


class _Datetime(dt.datetime, metaclass=_AnyDatetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _true_datetime.fromtimestamp(_time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _true_datetime.fromtimestamp(_time(), dt.UTC).replace(tzinfo=None)


time.time = _time
time.time_ns = lambda: int(_time() * 1e9)
dt.datetime = _Datetime  # type: ignore[misc]  # that is the trick
