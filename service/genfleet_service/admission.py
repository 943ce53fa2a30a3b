"""Who is let in, as clients see it: headers that say what is left, refusals, and requests that are the same.

The limits themselves are held by the steps (`genfleet.store.steps.submit_within` and `look`), in the one round trip that
a request costs. Routes that submit or look ask here.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import lru_cache

import orjson
from starlette.requests import Request

from genfleet.contract.limits import Left, Limits, Rate, Reason, Refused
from genfleet.store import steps
from genfleet.store.records import NewTask, Once, Submitted
from genfleet_service import replies
from genfleet_service.access import Caller
from genfleet_service.context import Service
from genfleet_service.submissions import untimely

IDEMPOTENCY_KEY = "Idempotency-Key"
REPLAYED = {"Idempotent-Replayed": "true"}
"""The header of an answer to a request that came before, as Stripe has it."""

_NAME = re.compile(r"[\x21-\x7e]{1,255}")
_NAME_WORDS = "Must be 1 to 255 visible ASCII characters, such as a UUID"


def check_project(caller: Caller, project: str | None) -> None:
    """Raises Refusal if the caller's key is for other projects. None stands for all of them."""
    if project is None and caller.projects is not None:
        raise replies.forbidden(
            f"This API key is for some projects only: name one of {', '.join(sorted(caller.projects))}"
        )
    if project is not None and not caller.may_use(project):
        raise replies.forbidden(f"This API key may not use project '{project}'")


async def submit(service: Service, caller: Caller, task: NewTask, once: Once | None) -> Submitted:
    """Submit a task as far as the caller may. Raises Refusal; then nothing was done. Raises StoreUnavailable: it may have been."""
    check_project(caller, task.project)
    answer = await service.store.run(steps.submit_within(caller.limits, task, once))
    if isinstance(answer, Refused):
        raise submission_refusal(answer, caller.limits, task)
    return answer


def once_of(request: Request, asked: bytes) -> Once | None:
    """What the Idempotency-Key of a request stands for; None without one. `asked` is JSON. Raises Refusal."""
    name = name_of(request)
    return once(name, orjson.loads(asked)) if name is not None else None


def name_of(request: Request) -> str | None:
    """The Idempotency-Key of a request. Raises Refusal."""
    name = request.headers.get(IDEMPOTENCY_KEY)
    return None if name is None else checked_name(name, IDEMPOTENCY_KEY)


def checked_name(name: object, where: str) -> str:
    """A name for a request, as it was sent. Raises Refusal."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise replies.invalid(
            {where: _NAME_WORDS}, "Invalid header" if where == IDEMPOTENCY_KEY else "Invalid task data"
        )
    return name


def once(name: str, asked: object) -> Once:
    """What a request under this name stands for; the order of keys does not matter. Raises Refusal."""
    try:
        canonical = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # the encoder stops at 254 levels, the decoder at 1024
        raise replies.invalid({"body": "Must not be nested deeper than 250 levels"}) from None
    return Once(name, hashlib.sha256(canonical).hexdigest())


# -- what is left: draft-ietf-httpapi-ratelimit-headers ------------------------------------------------------------------


def submission_headers(limits: Limits, left: Left) -> dict[str, str]:
    """What the key may still submit, and how many more tasks the project may have in progress."""
    items = []
    if left.of_rate is not None:
        items.append(_left_of(Reason.SUBMISSIONS, left))
    if limits.project_tasks and left.in_progress is not None:
        items.append(f'"{Reason.PROJECT}";r={max(0, limits.project_tasks - left.in_progress)}')
    return _headers(_submission_policy(limits), items)


def reading_headers(limits: Limits, left: Left) -> dict[str, str]:
    """How often the key may still look."""
    return (
        _headers(_policy(Reason.READS, limits.reads), [_left_of(Reason.READS, left)]) if limits.reads.per_minute else {}
    )


def _headers(policy: str, left: list[str]) -> dict[str, str]:
    return {"RateLimit-Policy": policy, "RateLimit": ", ".join(left)} if left else {}


def _left_of(reason: Reason, left: Left) -> str:
    return f'"{reason}";r={left.of_rate};t={_seconds(left.more_in_ms)}'


@lru_cache
def _submission_policy(limits: Limits) -> str:
    items = [_policy(Reason.SUBMISSIONS, limits.submissions)] if limits.submissions.per_minute else []
    if limits.project_tasks:
        items.append(f'"{Reason.PROJECT}";q={limits.project_tasks};qu="concurrent-requests"')
    return ", ".join(items)


@lru_cache
def _policy(reason: Reason, rate: Rate) -> str:
    return f'"{reason}";q={rate.burst};w={rate.window_s}'


# -- refusals ------------------------------------------------------------------------------------------------------------


def submission_refusal(refused: Refused, limits: Limits, task: NewTask) -> replies.Refusal:
    """The documented answer to a task that is not let in (TS-147, TS-154, NS-005)."""
    wait_s = max(1, _seconds(refused.wait_ms))
    headers = {"Retry-After": str(wait_s), **submission_headers(limits, refused.left)}
    match refused.reason:
        case Reason.REUSED:
            return replies.reused_key()
        case Reason.QUEUE:
            return replies.busy(wait_s, headers)
        case Reason.SUBMISSIONS:
            return rate_refusal(refused, limits)
        case Reason.PROJECT:
            words = f"Project '{task.project}' may have {limits.project_tasks} tasks queued or running"
        case _:
            return untimely(task, refused)
    return replies.rate_limited(f"{words}: try again in {wait_s} s", wait_s, headers)


def rate_refusal(refused: Refused, limits: Limits) -> replies.Refusal:
    """The documented answer to a client that submits, or sends webhooks again, too often (TS-154)."""
    wait_s = max(1, _seconds(refused.wait_ms))
    headers = {"Retry-After": str(wait_s), **submission_headers(limits, refused.left)}
    words = f"This API key may submit {limits.submissions.per_minute} tasks a minute: try again in {wait_s} s"
    return replies.rate_limited(words, wait_s, headers)


def reading_refusal(refused: Refused, limits: Limits) -> replies.Refusal:
    """The documented answer to a client that looks too often (TS-154)."""
    wait_s = max(1, _seconds(refused.wait_ms))
    headers = {"Retry-After": str(wait_s), **reading_headers(limits, refused.left)}
    words = f"This API key may look at tasks {limits.reads.per_minute} times a minute: try again in {wait_s} s"
    return replies.rate_limited(words, wait_s, headers)


def _seconds(ms: int) -> int:
    return math.ceil(ms / 1000)
