"""One attempt to deliver a webhook: a POST, what came of it, and what that means. Nothing here knows the store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from importlib.metadata import version

import httpx
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from genfleet.egress import AsyncSafeTransport, EgressRefused
from genfleet.store.outbox import DeliveryState

SUCCESS = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})
"""TS-130. Any other answer, a redirect too, is a failure."""
RESPONSE_KEPT = 1024
"""Bytes of an answer that are read and kept; the rest of it is cut off."""

_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"genfleet/{version('genfleet')}",  # NS-004
    "Accept-Encoding": "identity",  # what is kept of an answer is for people to read
}


@dataclass(frozen=True, slots=True)
class Answered:
    """The receiver's answer, whole or as much of it as is kept."""

    status: int
    response: str


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """There was no complete answer in time."""

    error: str
    final: bool = False
    """Whether another attempt would give the same: the URL leads where this installation does not go."""
    late: bool = False
    """Whether its time was over, rather than anything said."""


Outcome = Answered | NotAnswered


class Attempt(TypedDict):
    """An attempt as it is kept. One that was interrupted has only `at_ms` and `error`."""

    at_ms: int
    status_code: int | None
    error: str | None
    duration_ms: int
    response: str | None


@dataclass(frozen=True, slots=True)
class Next:
    """What follows an attempt."""

    state: DeliveryState
    delay: timedelta = timedelta()
    """Until the next attempt, if there is one."""


def judge(outcome: Outcome, made: int, delays: Sequence[float]) -> Next:
    """What follows the attempt that was number `made` of its round: TS-129, TS-130."""
    if isinstance(outcome, Answered) and outcome.status in SUCCESS:
        return Next(DeliveryState.DELIVERED)
    if made > len(delays) or (isinstance(outcome, NotAnswered) and outcome.final):
        return Next(DeliveryState.FAILED)
    return Next(DeliveryState.PENDING, timedelta(seconds=delays[made - 1]))


def error_of(outcome: Outcome) -> str | None:
    """What went wrong, in words; None: nothing."""
    if isinstance(outcome, NotAnswered):
        return outcome.error
    if outcome.status in SUCCESS:
        return None
    redirected = HTTPStatus.MULTIPLE_CHOICES <= outcome.status < HTTPStatus.BAD_REQUEST
    return f"The receiver answered {outcome.status}" + ("; redirects are not followed" if redirected else "")


def noted(outcome: Outcome, at_ms: int, duration: float) -> Attempt:
    """The attempt as it is kept. `duration` in seconds."""
    answered = outcome if isinstance(outcome, Answered) else None
    return {
        "at_ms": at_ms,
        "status_code": answered.status if answered else None,
        "error": error_of(outcome),
        "duration_ms": round(duration * 1000),
        "response": answered.response if answered else None,
    }


async def post(
    transport: AsyncSafeTransport, url: str, body: bytes, headers: Mapping[str, str], within: float, *, allow_http: bool
) -> Outcome:
    """Send it, and read the answer; all of that within so many seconds, however slowly the receiver drips (TS-131)."""
    try:
        if not allow_http and not url.lower().startswith("https://"):
            return NotAnswered("Only https:// URLs are called", final=True)
        # A third for each address of the host: one that is silent must not use up the time of the others.
        limits = {"timeout": {"connect": within / 3}}
        request = httpx.Request("POST", url, headers={**_HEADERS, **headers}, content=body, extensions=limits)
        async with asyncio.timeout(within):
            # By the transport: a client would keep cookies, from one receiver's answer to the next request.
            response = await transport.handle_async_request(request)
            try:
                return Answered(response.status_code, await _start(response))
            finally:
                await response.aclose()
    except (TimeoutError, httpx.TimeoutException):
        return NotAnswered(f"Connection timeout: no complete answer within {within:g} seconds", late=True)
    except EgressRefused as error:
        return NotAnswered(f"Refused: {error}", final=True)
    except httpx.InvalidURL as error:
        return NotAnswered(f"Not a URL: {error}", final=True)
    except httpx.HTTPError as error:
        return NotAnswered(f"No complete answer: {str(error) or type(error).__name__}")


async def _start(response: httpx.Response) -> str:
    start = b""
    async for chunk in response.aiter_raw():
        start += chunk
        if len(start) >= RESPONSE_KEPT:
            break
    return start[:RESPONSE_KEPT].decode(errors="replace")
