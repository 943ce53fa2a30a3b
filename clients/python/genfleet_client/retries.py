"""When a request is sent again. A pure decision: `Talks` (talks.py) follows it.

A task that failed is never submitted again here: the service has its own attempts (TS-114).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from genfleet_client.calls import Call

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds, where they were told as a number."""
        try:
            return max(0.0, float(self.headers.get("retry-after", "")))
        except ValueError:
            return None

    @property
    def part_retry_after(self) -> float | None:
        """Seconds after which the first of the parts that a limit refused may get through. None: there are none."""
        try:
            errors = [result["error"] or {} for result in orjson.loads(self.content)["results"]]
        except (ValueError, KeyError, TypeError):  # not an answer of ours: whoever reads it says so
            return None
        return min((float(error["retry_after"]) for error in errors if "retry_after" in error), default=None)


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing came back."""

    error: httpx.TransportError

    @property
    def sent(self) -> bool:
        """Whether the request may have arrived."""
        return not isinstance(self.error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Retries:
    """How patient a client is."""

    attempts: int = 5
    """How often a request is sent while the service cannot be reached or is unavailable."""
    patience: float = 30.0
    """Seconds that one request may wait for that altogether."""
    limit_patience: float = 90.0
    """Seconds that one request may wait altogether for a limit to let it through; limits count by the minute (TS-153)."""

    def pause(self, call: Call[Any], reply: Answer | Lost, attempt: int, waited: float, chance: float) -> float | None:
        """Seconds to wait before this request is sent again. None: what came back is the answer.

        `waited` are the seconds that this request has waited so far; `chance`, 0 to 1, spreads those who wait for the
        same thing.
        """
        backoff = min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), LONGEST_PAUSE_S) * (0.5 + chance / 2)
        match reply:
            case Answer(status=429):  # refused before anything was done
                pause, patience = (reply.retry_after or 0.0) + backoff, self.limit_patience
            case Answer(status=200) if call.in_parts and (first := reply.part_retry_after) is not None:
                pause, patience = first + backoff, self.limit_patience
            case Answer(status=503) if reply.retry_after is not None and call.repeatable:
                pause, patience = reply.retry_after + backoff, self.patience
            case Answer(status=502 | 503 | 504) if call.repeatable:
                pause, patience = backoff, self.patience
            case Lost() if call.repeatable or not reply.sent:
                pause, patience = backoff, self.patience
            case _:
                return None
        if waited + pause > patience or (patience == self.patience and attempt >= self.attempts):
            return None
        return pause
