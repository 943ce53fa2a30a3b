"""Is another attempt worth it? Sorts what an engine raised into passing and lasting failures (TS-111, TS-112), and by cause.

Pure.
"""

from __future__ import annotations

import errno
import socket
import traceback

import httpx
from celery.exceptions import SoftTimeLimitExceeded

from genfleet.contract.measures import Cause
from genfleet.errors import InputError, PermanentError, TransientError

SENTENCE_LIMIT = 2_000
"""Characters kept of what an error says."""
TRACE_LIMIT = 8_000
"""Characters kept of a traceback."""

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

_CAUSES: tuple[tuple[tuple[type[BaseException], ...], Cause], ...] = (
    ((InputError,), Cause.INPUT),
    ((TimeoutError, httpx.TimeoutException, SoftTimeLimitExceeded), Cause.TIMEOUT),
    ((ConnectionError, httpx.TransportError, socket.gaierror), Cause.CONNECTION),
    ((httpx.HTTPStatusError,), Cause.HTTP),
    ((MemoryError,), Cause.MEMORY),
)
"""The first that fits: a timeout of httpx is one of its errors of transport, too."""
_LINKS = 20
"""How far back a chain of causes is followed. One may be a ring."""


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
            return isinstance(error, _PASSING) or _is_of_gpu_memory(error)


def cause(error: BaseException) -> Cause:
    """Why it failed, for counting: what the error is, or else what it was raised from, says more than "the engine"."""
    link: BaseException | None = error
    for _ in range(_LINKS):
        if link is None:
            break
        if known := _cause(link):
            return known
        link = link.__cause__
    return Cause.ENGINE


def _cause(error: BaseException) -> Cause | None:
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        return Cause.MEMORY if error.errno == errno.ENOMEM else Cause.EXHAUSTED
    if _is_of_gpu_memory(error):
        return Cause.MEMORY
    return next((known for kinds, known in _CAUSES if isinstance(error, kinds)), None)


def _is_of_gpu_memory(error: BaseException) -> bool:
    """Torch's error, by its name: torch is not here."""
    return type(error).__name__ == "OutOfMemoryError"


def sentence(error: BaseException) -> str:
    """What the person who submitted the task is told. Never raises, whatever the error is made of."""
    try:
        text = readable(str(error))
    except Exception:  # noqa: BLE001  an error of a library, or of a task: its own code runs here
        text = "its message cannot be read"
    if isinstance(error, TransientError | PermanentError) and text:
        return text
    if isinstance(error, SoftTimeLimitExceeded):
        return "The soft time limit was exceeded"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def trace(error: BaseException) -> str:
    """The end of its traceback, which says the most. Never raises."""
    try:
        return readable("".join(traceback.format_exception(error)), last=TRACE_LIMIT)
    except Exception:  # noqa: BLE001  as above
        return ""


def readable(text: str, *, last: int | None = None) -> str:
    """As it can be kept: of bounded length, and without the halves of letters that broken file names have."""
    kept = text.strip()[:SENTENCE_LIMIT] if last is None else text[-last:]
    return kept.encode(errors="replace").decode()
