"""Is another attempt worth it? Sorts what an engine raised into passing and lasting failures (TS-111, TS-112). Pure."""

from __future__ import annotations

import errno

import httpx
from celery.exceptions import SoftTimeLimitExceeded

from genfleet.errors import PermanentError, TransientError

_PASSING = (
    ConnectionError,
    TimeoutError,
    MemoryError,
    BlockingIOError,
    InterruptedError,
    httpx.TransportError,
    SoftTimeLimitExceeded,  # the soft limit is worth another attempt; the hard one is final (PI-016)
)
_PASSING_STATUS = {408, 425, 429}
_EXHAUSTED = {errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.EDQUOT}


def is_passing(error: BaseException) -> bool:
    """Whether the same task may well succeed a minute later. What is not known to pass is taken to last."""
    match error:
        case TransientError():
            return True
        case PermanentError():
            return False
        case httpx.HTTPStatusError():
            status = error.response.status_code
            return status >= 500 or status in _PASSING_STATUS
        case OSError() if error.errno in _EXHAUSTED:
            return True
        case _:
            return isinstance(error, _PASSING)


def sentence(error: BaseException) -> str:
    """What the person who submitted the task is told."""
    text = str(error).strip()
    if isinstance(error, TransientError | PermanentError) and text:
        return text
    if isinstance(error, SoftTimeLimitExceeded):
        return "The soft time limit was exceeded"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
