"""T22: 2,000 GenerationQueues that nobody should have let through, as an older definition, or none, would.

Each is a good one in which up to three things were changed: kinds of values, signs, sizes, names, order of bounds, what is
missing and what is unknown. All of them reach the controller by its watch, 25 at a time, beside a good queue whose work
goes on.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types of its own

from genfleet.contract.queue import API_VERSION, KIND, GenerationQueue
from genfleet.errors import ConfigurationError
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.clusters import Make, Side, Supervised, ours, plain_kopf
from tests.support.api_objects import Json
from tests.support.waiting import comes_true, wait_for
from tools import crd

AT_ONCE = 25
WITHIN_S = 5.0
GOOD: Json = {
    "concurrency": 2,
    "paused": False,
    "scaling": {
        "minReplicas": 0,
        "maxReplicas": 3,
        "target": {"tasksPerWorker": 2},
        "cooldownSeconds": 5,
        "schedule": [{"cron": "0 8 * * 1-5", "duration": "1h", "minReplicas": 1, "timeZone": "Europe/Berlin"}],
    },
    "pools": [
        {
            "name": "spot",
            "class": "gpu",
            "gpus": 1,
            "maxReplicas": 2,
            "nodeSelector": {"pool": "spot"},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "resources": {"limits": {"memory": "1Gi"}},
            "template": {"spec": {"containers": [{"name": "worker", "env": [{"name": "A", "value": "b"}]}]}},
        },
        {"name": "rest", "spilloverAfterSeconds": 60},
    ],
}
DEEP: Any = "deep"
for _ in range(60):
    DEEP = [DEEP]
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        99,
        2**63,
        -(2**63),
        1e308,
        0.5,
        "",
        " ",
        "1",
        "\x00",
        "🦊" * 30,
        "../..",
        "x" * 20_000,
    ),
    *(
        [],
        {},
        [[]],
        {"": None},
        [None],
        {"minReplicas": 9},
        ["a"] * 1000,
        {str(number): number for number in range(1000)},
        DEEP,
    ),
)


@dataclass(slots=True)
class Odd:
    """One of them."""

    name: str
    document: Json
    valid: bool
    """For Python, which is what the operator asks."""
    refused: bool
    """By the schema of our definition, if there were one at the door."""
    made: float = 0.0
    told: float | None = None
    """When somebody said something of it."""


def _odd(number: int, chance: Random, schema: Draft202012Validator) -> Odd:
    spec: Any = {"queue": f"odd-{number}", **copy.deepcopy(GOOD)}
    for _ in range(chance.randrange(4)):
        spec = _changed(spec, chance)
    document: Json = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": f"odd-{number}", "namespace": "default"},
        "spec": spec,
    }
    try:
        GenerationQueue.parse(document, source="a campaign")
        valid = True
    except ConfigurationError:
        valid = False
    refused = not schema.is_valid(document)
    if chance.random() < 0.2:
        document["status"] = chance.choice(ODD)
    return Odd(f"odd-{number}", document, valid, refused)


def _changed(spec: Any, chance: Random) -> Any:
    """With one change, anywhere in it."""
    places = [*_places(spec)]
    if not places or chance.random() < 0.03:
        return chance.choice(ODD)
    there, at = chance.choice(places)
    match chance.randrange(5):
        case 0 if isinstance(there, dict):
            del there[at]
        case 1 if isinstance(there, dict):
            there[chance.choice(("unknown", "maxReplica", "🦊", ""))] = chance.choice(ODD)
        case 2 if isinstance(there[at], int):
            there[at] = chance.choice((-there[at] - 1, min(there[at] * 10**9, 2**63), str(there[at]), [there[at]]))
        case 3 if isinstance(there, list):
            there.append(copy.deepcopy(there[at]))
        case _:
            there[at] = copy.deepcopy(chance.choice(ODD))
    return spec


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every field and entry, with what holds it."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for at, entry in list(entries)[:50]:
        yield value, at
        yield from _places(entry)


@dataclass(slots=True)
class Seen:
    """What came of all of them."""

    documents: int = 0
    invalid: int = 0
    refused: int = 0
    untold: list[str] = field(default_factory=list)
    """Of which nothing right was said in time."""
    slowest_s: float = 0.0
    reactions: list[float] = field(default_factory=list)
    """Of the good queue to its work."""


def _tell(side: Side, batch: list[Odd], seen: Seen, *, condition: bool) -> None:
    """Make them, let the good queue's work change meanwhile, and see what is said of each."""
    objects, pods = side.place.objects, side.pods
    for one in batch:
        one.made = time.monotonic()
        objects.create("generationqueues", one.document)
    more = len(pods.busy) == 1
    began = time.monotonic()
    pods.submit() if more else pods.finish(min(pods.busy))
    wanted = (2, 2, 2) if more else (1, 1, 1)
    followed = comes_true(lambda: side.settled == wanted, within=4 * WITHIN_S)
    seen.reactions.append(time.monotonic() - began if followed else 4 * WITHIN_S)

    while time.monotonic() < began + WITHIN_S + 1:
        said = _events(side, began) if not condition else _conditions(side, began)
        for one in batch:
            if one.told is None:
                one.told = next(
                    (at for at, reason in said.get(one.name, ()) if one.valid or reason == "InvalidSpec"), None
                )
        if all(one.told for one in batch if condition or not one.valid):
            break
        time.sleep(0.2)
    for one in batch:
        seen.documents += 1
        seen.invalid += not one.valid
        seen.refused += one.refused
        took = (one.told or one.made + 99) - one.made
        if took > WITHIN_S and (condition or not one.valid):
            seen.untold.append(one.name)
        elif one.told:
            seen.slowest_s = max(seen.slowest_s, took)
        objects.delete("generationqueues", "default", one.name)


Said = dict[str, list[tuple[float, str]]]
"""When something was said of a queue, and what."""


def _conditions(side: Side, since: float) -> Said:
    """The reason of condition Degraded, in each status that was written."""
    said: Said = {}
    for ask in side.place.api.asked_for(lambda ask: ask.below == "status", since=since):
        reasons = {each["type"]: each["reason"] for each in ask.body["status"].get("conditions", ())}
        said.setdefault(ask.name, []).append((ask.at, reasons.get("Degraded", "")))
    return said


def _events(side: Side, since: float) -> Said:
    """Events: what kopf offers. Any will do."""
    said: Said = {}
    for ask in side.place.api.asked_for(lambda ask: ask.plural == "events" and ask.writes, since=since):
        about = ask.body.get("involvedObject") or ask.body.get("regarding") or {}
        said.setdefault(about.get("name", ""), []).append((ask.at, "InvalidSpec"))
    return said


def _odd_queues(run: Run, make: Make, *, condition: bool) -> Finding:
    (side,) = make(run, 1)
    schema, seen = Draft202012Validator(crd.schema()), Seen()
    side.declare()
    side.pods.submit()
    with Supervised(side).running() as program:
        wait_for(f"it works ({side.log})", lambda: side.settled == (1, 1, 1), within=30)
        for first in range(0, run.trials, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, run.trials))
            _tell(side, [_odd(number, run.chance, schema) for number in numbers], seen, condition=condition)
            run.tell(f"{seen.documents} of {run.trials}; {seen.untold[-3:]}")
        exits = program.exits
    side.place.api.cut_watches()
    late = sum(took > WITHIN_S for took in seen.reactions)
    said = (
        f"{seen.documents:,} queues, {seen.invalid:,} of them invalid ({seen.refused:,} would be refused by our definition): "
        f"{exits} exits, {len(seen.untold)} not told within {WITHIN_S:.0f} s (the slowest after {seen.slowest_s:.1f}); the good queue "
        f"followed its work after {max(seen.reactions):.1f} s at the latest"
    )
    wrong = len(side.pods.wrong) + len(side.pods.busy_killed)
    return Finding(seen.documents, exits + len(seen.untold) + late + wrong, said)


def odd_queues(run: Run) -> Finding:
    """Ours, which writes a condition."""
    return _odd_queues(run, ours, condition=True)


def odd_queues_plain(run: Run) -> Finding:
    """Plain kopf, which may write an Event."""
    return _odd_queues(run, plain_kopf, condition=False)


CAMPAIGNS = [
    Campaign(
        id="T22",
        promise="No GenerationQueue, however wrong, stops the operator or another queue; what is wrong with it is told within 5 s.",
        theme="operator",
        ours=odd_queues,
        trials=2000,
        short=25,
        peer=odd_queues_plain,
        peer_name="plain kopf",
        peer_trials=200,
        minutes=5,
    )
]
