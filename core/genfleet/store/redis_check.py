"""Looks at a Redis, in one round trip, and has it judged.

At the start of every program, when it may be another one since, and for whoever asks. What is judged how stands in
`genfleet.contract.redis_terms`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import structlog
from redis.exceptions import NoPermissionError, RedisError

from genfleet.contract import keys
from genfleet.contract.redis_terms import Finding, RedisFacts, Severity, judge, refusal, worse
from genfleet.errors import ConfigurationError, StoreUnavailable
from genfleet.redis_address import RedisAddress
from genfleet.settings import ProgramSettings
from genfleet.store.calls import Call, info, text_of
from genfleet.store.client import AsyncStore, SyncStore
from genfleet.store.rights import Program, needs
from genfleet.store.scripts import script

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 30.0

_SETTINGS = ("appendfsync", "save", "timeout", "min-replicas-to-write", "maxmemory-policy")


def _seconds(reply: Any) -> float:
    whole, parts = reply
    return float(whole) + float(parts) / 1e6


_LOOK: tuple[Call[Any], ...] = (Call("INFO", (), info), Call("TIME", (), _seconds))
_READ_SETTINGS: tuple[Call[Any], ...] = tuple(Call("CONFIG", ("GET", name), info) for name in _SETTINGS)
_closed: WeakSet[SyncStore | AsyncStore] = WeakSet()
"""Those that may not read settings: asked once, or the log of what Redis denied would fill up."""


def _calls(store: SyncStore | AsyncStore) -> tuple[Call[Any], ...]:
    return _LOOK if store in _closed else (*_LOOK, *_READ_SETTINGS)


def _probes(program: Program) -> tuple[Call[Any], ...]:
    """Which rights are missing. Commands that no script may call are tried so that they fail for want of sense."""
    needed = needs(program)
    tried = [pattern.replace("*", "probe") for pattern in needed.keys]
    asked = Call(
        script("probe"), (len(needed.scripted), *needed.scripted, *tried), lambda reply: [*map(text_of, reply)]
    )
    if program is not Program.WORKER:
        return (asked,)
    return (
        asked,
        Call("BRPOP", (keys.broker_list("default", 0), "x"), bool),
        Call("EXEC", (), bool),
        Call("UNWATCH", (), bool),
    )


def _denied(calls: Sequence[Call[Any]], answers: Sequence[Any]) -> tuple[str, ...]:
    denied: list[str] = []
    for call, answer in zip(calls, answers, strict=True):
        if isinstance(answer, NoPermissionError):
            denied.append(call.what.lower() if isinstance(call.what, str) else "eval")
        elif isinstance(answer, list):
            denied += answer
    return tuple(denied)


def _facts(
    answers: Sequence[Any], store: SyncStore | AsyncStore, now: float | None, denied: tuple[str, ...]
) -> RedisFacts:
    info, moment, *settings = answers
    address = store.address
    if any(isinstance(setting, NoPermissionError) for setting in settings):
        _closed.add(store)
    config: dict[str, str] = {}
    for setting in settings:
        config |= {} if isinstance(setting, RedisError) else setting
    return RedisFacts(
        info={} if isinstance(info, RedisError) else info,
        config=config,
        denied=denied,
        clock_ahead_s=None if now is None or isinstance(moment, RedisError) else moment - now,
        encrypted=address.tls is not None,
        verified=address.tls is None or address.tls.verify,
        near=address.is_near,
    )


def look(store: SyncStore, program: Program, now: float | None) -> tuple[Finding, ...]:
    """Everything, the rights of this program included. `now`: seconds since the epoch. Raises StoreUnavailable."""
    calls, probes = _calls(store), _probes(program)
    answers = store.run_each((*calls, *probes))
    seen, tried = answers[: len(calls)], answers[len(calls) :]
    return judge(_facts(seen, store, now, _denied(probes, tried)))


async def look_again(store: AsyncStore, now: float | None) -> tuple[Finding, ...]:
    """The same without the rights, which do not change by themselves. Raises StoreUnavailable."""
    return judge(_facts(await store.run_each(_calls(store)), store, now, ()))


def look_at_start(address: RedisAddress, program: Program, now: float) -> Teller:
    """For entry points. Raises ConfigurationError where no program may start; a Redis that is away is waited for later."""
    store, teller = SyncStore(address), Teller()
    try:
        findings = look(store, program, now)
    except StoreUnavailable as error:
        log.warning("redis_not_checked", reason=str(error))
        return teller
    finally:
        store.close()
    if told := refusal(findings):
        raise ConfigurationError(f"Redis at {address} cannot be used: {told}")
    teller.tell(findings)
    return teller


class Teller:
    """Logs each finding once, and once more when it is over."""

    def __init__(self) -> None:
        self.is_due = True
        """Whether Redis has not been looked at, or was away since: it may be another one, set up in another way."""
        self._told: dict[str, Finding] = {}

    def tell(self, findings: Sequence[Finding]) -> None:
        """What is found now."""
        self.is_due = False
        found = {finding.check: finding for finding in worse(tuple(findings))}
        for check, finding in found.items():
            before = self._told.get(check)
            if before is None or before.severity is not finding.severity:
                write = log.error if finding.severity is Severity.FAILURE else log.warning
                write("redis_check", check=check, found=finding.found, why=finding.why, remedy=finding.remedy)
        for check in self._told.keys() - found.keys():
            log.info("redis_check_over", check=check)
        self._told = found


async def keep_looking(store: AsyncStore, teller: Teller) -> None:
    """Look now and then, for as long as the program runs: what is promoted may be set up in another way."""
    while True:
        await asyncio.sleep(0 if teller.is_due else LOOK_EVERY_S)
        try:
            teller.tell(await look_again(store, now=None))
        except StoreUnavailable:
            await asyncio.sleep(LOOK_EVERY_S)  # whoever needs Redis says that it is away
        except Exception:
            log.exception("redis_not_checked")
            await asyncio.sleep(LOOK_EVERY_S)


def findings_at(url: str | None = None) -> list[dict[str, str]]:
    """For `genfleet doctor`: what is seen of a Redis from here, by the settings of the programs. Never raises."""
    try:
        store = SyncStore(ProgramSettings.redis_at(url))
    except ConfigurationError as error:
        return [_shown(Finding("address", Severity.FAILURE, str(error), "no program can start", "correct it"))]
    try:
        here = Finding("address", Severity.OK, f"{store.address}, looked at from here")
        seen = (here, *look(store, Program.API, time.time()))  # noqa: TID251  compared with the clock of Redis, and nothing else
    except StoreUnavailable as error:
        remedy = "see whether it runs, and whether REDIS_URL is right"
        seen = (
            Finding("connection", Severity.FAILURE, f"{store.address}: {error}", "nothing works without it", remedy),
        )
    finally:
        store.close()
    return [_shown(finding) for finding in seen]


def _shown(finding: Finding) -> dict[str, str]:
    return {
        "subject": "redis",
        "check": finding.check,
        "severity": finding.severity.value,
        "found": finding.found,
        "why": finding.why,
        "remedy": finding.remedy,
    }
