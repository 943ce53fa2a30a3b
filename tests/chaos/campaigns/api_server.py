"""T23: the API server fails in each of the ways that it has, while work comes and goes; then it is well again.

In the middle of each fault a task ends, and later a person raises the maximum and more tasks come. When the server is well,
all of that has to be followed: for that, the controller has to write, and to see. It is supervised as in Kubernetes, so that
it may end, and is started again later and later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.clusters import Make, Side, Supervised, ours, plain_kopf, side_by_side
from tests.support.api_server import ApiServer, Ask, refusal
from tests.support.operators import NAME
from tests.support.waiting import comes_true, every, wait_for

RECOVERED_WITHIN_S = 15.0
WAIT_S = 45.0
"""For those that take longer."""
ASKS_A_SECOND = 5.0
LASTS_S = 20.0
SHORT_S = 4.0
LONG = {"503": 60.0, "503 for watches": 60.0, "403": 60.0, "410": 60.0}
"""Faults that last longer."""


def _all(_: Ask) -> bool:
    return True


def _watches(ask: Ask) -> bool:
    return ask.verb == "watch"


def _sees(ask: Ask) -> bool:
    return ask.verb in ("list", "watch")


def _work(ask: Ask) -> bool:
    return ask.writes and ask.plural == "deployments"


@contextmanager
def _refused(
    picks: Callable[[Ask], bool], code: int, reason: str, api: ApiServer, *, retry: int | None = None
) -> Iterator[None]:
    with api.fails(picks, refusal(code, "by a campaign", reason, retry_after=retry)):
        api.cut_watches()
        yield


@contextmanager
def _forgetful(api: ApiServer) -> Iterator[None]:
    """The history is gone, again and again: those who watch are told so in the stream."""
    with every(4, api.objects.forget_history):
        yield


@contextmanager
def _watching(name: str, api: ApiServer) -> Iterator[None]:
    """The watches are silent, or repeat themselves."""
    setattr(api, name, True)
    try:
        yield
    finally:
        setattr(api, name, False)


FAULTS: dict[str, Callable[[ApiServer], AbstractContextManager[None]]] = {
    "503": partial(_refused, _all, 503, "ServiceUnavailable"),
    "503 for watches": partial(_refused, _sees, 503, "ServiceUnavailable"),
    "410": partial(_refused, _watches, 410, "Expired"),
    "410 in the stream": _forgetful,
    "403": partial(_refused, _all, 403, "Forbidden"),
    "409": partial(_refused, _work, 409, "Conflict"),
    "422": partial(_refused, _work, 422, "Invalid"),
    "429": partial(_refused, _all, 429, "TooManyRequests", retry=2),
    "silent watches": partial(_watching, "silent"),
    "repeated events": partial(_watching, "repeats"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one trial."""

    fault: str
    back_s: float
    """After the end of the fault; `WAIT_S`: not by then."""
    wrong: int
    busy_killed: int
    exits: int
    asks_a_second: float

    @property
    def kept(self) -> bool:
        """Whether all that we promise was kept."""
        return (
            self.back_s <= RECOVERED_WITHIN_S
            and not self.wrong
            and not self.busy_killed
            and self.asks_a_second <= ASKS_A_SECOND
        )


def _trial(side: Side, fault: str, lasts_s: float) -> Outcome:
    side.clear()
    side.declare()
    side.pods.maximum = 4
    side.pods.submit(2)
    api = side.place.api
    with Supervised(side).running() as program:
        wait_for(f"both work ({side.log})", lambda: side.settled == (2, 2, 2), within=30)
        with FAULTS[fault](api):
            began = time.monotonic()
            _pass(began + lasts_s / 3)
            side.pods.finish(min(side.pods.busy))
            _pass(began + lasts_s * 2 / 3)
            side.place.edit(NAME, {"scaling": {"maxReplicas": 4}})
            side.pods.submit(3)
            _pass(began + lasts_s)
        healed = time.monotonic()
        asked = len(api.asked_for(_all, since=began))
        back = comes_true(lambda: side.settled == (4, 4, 4), within=WAIT_S)
        took = time.monotonic() - healed if back else WAIT_S
        exits = program.exits
    api.cut_watches()
    pods = side.pods
    return Outcome(fault, took, len(pods.wrong), len(pods.busy_killed), exits, asked / (healed - began))


def _pass(until: float) -> None:
    """Let time pass: a fault lasts, and nobody says when it was long enough."""
    time.sleep(max(0.0, until - time.monotonic()))


def _faults(run: Run, make: Make, lasts_s: float = LASTS_S, long: dict[str, float] = LONG) -> Finding:
    kinds = [*FAULTS]
    if run.trials < len(kinds):
        kinds, lasts_s, long = run.chance.sample(kinds, run.trials), SHORT_S, {}
    others = [kind for kind in kinds if kind not in long]
    rest = run.trials - len(kinds)
    trials = kinds + (others * (1 + rest // len(others)))[:rest]
    found: list[Outcome] = []

    def trial(side: Side, fault: str) -> None:
        found.append(one := _trial(side, fault, long.get(fault, lasts_s)))
        run.tell(f"{one}")

    side_by_side(make(run, len(kinds)), trials, trial)
    return Finding(len(found), sum(not one.kept for one in found), _said(found))


def _said(found: list[Outcome]) -> str:
    slowest = max(found, key=lambda one: one.back_s)
    busiest = max(found, key=lambda one: one.asks_a_second)
    never = sum(one.back_s >= WAIT_S for one in found)
    late = sorted({one.fault for one in found if one.back_s > RECOVERED_WITHIN_S})
    return (
        f"{len(found)} faults of {len({one.fault for one in found})} kinds: back after {slowest.back_s:.1f} s at the latest "
        f"({slowest.fault})"
        + (f", {never} not within {WAIT_S:.0f} s; late after {', '.join(late)}" if late else "")
        + f"; {sum(one.wrong for one in found)} wrong sizes, {sum(one.busy_killed for one in found)} workers stopped at work, "
        f"{sum(one.exits for one in found)} exits, at most {busiest.asks_a_second:.1f} requests a second ({busiest.fault})"
    )


def faults(run: Run) -> Finding:
    """Ours."""
    return _faults(run, ours)


def faults_plain(run: Run) -> Finding:
    """Plain kopf."""
    return _faults(run, plain_kopf)


def long_outage(run: Run) -> Finding:
    """Ten minutes, ours."""
    return _faults(run, ours, 600.0, {})


def long_outage_plain(run: Run) -> Finding:
    """Ten minutes, plain kopf."""
    return _faults(run, plain_kopf, 600.0, {})


CAMPAIGNS = [
    Campaign(
        id="T23",
        promise="Whatever the API server does (403, 409, 410, 422, 429 and 503, for up to a minute; watches that are silent or repeat themselves), the number of "
        "workers stays right, requests are few, and all is followed again within 15 s of its end.",
        theme="operator",
        ours=faults,
        trials=25,
        short=2,
        peer=faults_plain,
        peer_name="plain kopf",
        peer_trials=10,
        minutes=3.5,
        fell_short=(
            (
                "A watch that was refused (HTTP 410, 403) ended the operator, and a container that ends is started later and later, "
                "up to five minutes. The operator lives on and begins its watches anew within 8 s."
            ),
            (
                "An operator that might not have its lease (403) ended, again and again, with the same delays. It waits, says why in "
                "its log and is not ready until it may lead; a leader that is refused once keeps its lease until that runs out."
            ),
            (
                "After a long outage the watches waited for up to 30 s before they tried again, and so did changes that had been "
                "refused (409, 422). Now 8 s and 12 s."
            ),
        ),
    ),
    Campaign(
        id="T23 long",
        promise="The same with faults of ten minutes.",
        theme="operator",
        ours=long_outage,
        trials=10,
        short=1,
        peer=long_outage_plain,
        peer_name="plain kopf",
        minutes=13,
        long=True,
    ),
]
