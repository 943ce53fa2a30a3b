"""T24: what Redis says of a queue is absurd, or nothing at all, while two tasks run.

The reply is changed on its way to the controller: null, -1, a million millions, or another one with each look; or Redis does not
answer. Workers are not stopped at their work, what is not known is not taken for zero, and numbers do not swing.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.clusters import Make, Scale, Side, Supervised, ours, plain_kopf, side_by_side
from tests.chaos.proxy import Proxy, proxy
from tests.support.waiting import comes_true, wait_for

COOLDOWN_S = 5
MAXIMUM = 5
LASTS_S, SHORT_S = 7.0, 3.0
BACK_WITHIN_S = 30.0
LANES = 3
HUGE = b"1000000000000"
DEPTHS = {"null": b"null", "-1": b"-1", "a million millions": HUGE, "flapping": b"", "Redis away": b""}
HELD = ("null", "-1", "Redis away")
"""With these nothing is known, and nothing changes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one trial."""

    kind: str
    wrong: int
    busy_killed: int
    moved: int
    """Changes of the number although nothing was known."""
    swings: int
    """Changes of direction, beyond one in a cooldown."""
    back: bool
    """Whether there were two workers again, soon after."""

    @property
    def kept(self) -> bool:
        """Whether all that we promise was kept."""
        return self.back and not (self.wrong or self.busy_killed or self.moved or self.swings)


def _depth(asked: bytes, reply: bytes, depth: bytes) -> bytes:
    """The reply with another number of waiting tasks, if it tells one: to our look, or to `LLEN`."""
    if b"LLEN" in asked and reply.startswith(b":"):
        return b"$-1\r\n" if depth == b"null" else b":" + depth + b"\r\n"
    found = re.fullmatch(rb"\$\d+\r\n(.*)\r\n", reply, re.DOTALL)
    if found is None or b'"waiting":' not in found[1]:
        return reply
    body = re.sub(rb'"waiting":\d+', b'"waiting":' + depth, found[1])
    return b"$%d\r\n%s\r\n" % (len(body), body)


def _swings(scales: Sequence[Scale]) -> int:
    """Changes of direction that follow the one before within a cooldown."""
    turns = [
        after.at
        for before, after in itertools.pairwise(scales)
        if (after.number > after.before) != (before.number > before.before)
    ]
    return sum(later - earlier < COOLDOWN_S - 1 for earlier, later in itertools.pairwise(turns))


def _begin(side: Side) -> None:
    side.clear()
    side.pods.maximum = MAXIMUM
    side.declare(scaling={"maxReplicas": MAXIMUM, "cooldownSeconds": COOLDOWN_S})
    side.pods.submit(2)


def _trial(side: Side, link: Proxy, kind: str, chance: Random, lasts_s: float) -> Outcome:
    pods = side.pods
    _begin(side)
    with Supervised(side).running():
        wait_for(f"both work ({side.log})", lambda: side.settled == (2, 2, 2), within=30)
        pods.scales.clear()
        flapping = [*(HUGE, b"0", b"-1", b"null", b"1")]
        if kind == "Redis away":
            link.refuses = True
            link.reset_all()
        else:
            link.rewrite = lambda asked, reply: _depth(asked, reply, DEPTHS[kind] or chance.choice(flapping))
        time.sleep(lasts_s * (2 if kind == "flapping" else 1))
        moved = len(pods.scales)
        link.rewrite, link.refuses = (lambda _, reply: reply), False
        back = comes_true(lambda: side.settled == (2, 2, 2), within=BACK_WITHIN_S)
    side.place.api.cut_watches()
    return Outcome(
        kind, len(pods.wrong), len(pods.busy_killed), moved if kind in HELD else 0, _swings(pods.scales), back
    )


def _depths(run: Run, make: Make) -> Finding:
    short = run.trials < len(DEPTHS)
    kinds = [*(HELD if short else DEPTHS)]
    kinds = kinds * (run.trials // len(kinds)) + run.chance.sample(kinds, run.trials % len(kinds))
    links: dict[str, Proxy] = {}
    sides = make(run, min(LANES, run.trials))
    for side in sides:
        link = run.stack.enter_context(proxy(side.place.redis.port))
        links[link.url] = link
        side.broker = link.url
    found: list[Outcome] = []

    def trial(side: Side, kind: str) -> None:
        found.append(one := _trial(side, links[side.broker], kind, run.chance, SHORT_S if short else LASTS_S))
        run.tell(str(one))

    side_by_side(sides, kinds, trial)
    said = (
        f"{len(found)} spells of {len(set(kinds))} kinds: {sum(one.busy_killed for one in found)} workers stopped at work, "
        f"{sum(one.wrong for one in found)} wrong sizes, {sum(one.moved for one in found)} changes while nothing was known, "
        f"{sum(one.swings for one in found)} swings within a cooldown, {sum(not one.back for one in found)} not right again "
        f"within {BACK_WITHIN_S:.0f} s"
    )
    return Finding(len(found), sum(not one.kept for one in found), said)


def depths(run: Run) -> Finding:
    """Ours."""
    return _depths(run, ours)


def depths_plain(run: Run) -> Finding:
    """Plain kopf."""
    return _depths(run, plain_kopf)


CAMPAIGNS = [
    Campaign(
        id="T24",
        promise="What is not known of a queue, or absurd, is not taken for zero: no worker is stopped at its work, the number is kept "
        "or within its bounds, and turns at most once in a cooldown.",
        theme="operator",
        ours=depths,
        trials=15,
        short=1,
        peer=depths_plain,
        peer_name="plain kopf",
        peer_trials=5,
        fell_short=(
            "A number of tasks below zero was reckoned with. A queue whose numbers are none counts as not seen.",
            "A record that nobody can read ended `genfleet up`; the operator was blind for that queue only. Now both are.",
        ),
    )
]
