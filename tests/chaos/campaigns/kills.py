"""T1: SIGKILL, again and again, of processes, of whole workers and of all workers at once, at every moment of a task.

What a dead worker held is back when its lease has run out. What was on its way to it, and is in nobody's hands, is found by
`recover`. What it had said, and was not heard, is said again by the next attempt; what was heard, is not done again.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet.store.records import Event
from genfleet.store.scripts import script
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.killer import Kill, Killer, Place, Trigger, plan
from tests.chaos.ledger import ended, verdict
from tests.chaos.nursery import STOCK, Nursery, Program, nursery
from tests.chaos.stock import Stock
from tests.support.servers import KEY, Site, free_port
from tests.support.tasks import queue_seen, submitted
from tests.support.waiting import comes_true

WORKERS, CONCURRENCY = 4, 3
TASKS_PER_KILL = 10 / 3
QUEUED = 8
"""So many wait at any time, so that a worker that is free fetches."""
SHORTEST_S, LONGEST_S = 0.05, 0.8
BACK_WITHIN_S = 15.0
"""What is promised of 99 in 100 losses."""
ENOUGH = 100
"""So many losses have a 99th percentile."""
PEER_WAIT_S = 30.0

SHARES = {
    ("child", "run"): 100,
    ("child", "settle"): 60,
    ("child", "chance"): 40,
    ("worker", "fetch"): 16,
    ("worker", "claim"): 16,
    ("worker", "run"): 16,
    ("worker", "settle"): 16,
    ("worker", "chance"): 16,
    ("all", "fetch"): 4,
    ("all", "claim"): 4,
    ("all", "run"): 4,
    ("all", "settle"): 4,
    ("all", "chance"): 4,
}

OUR_MOMENTS = {
    "fetch": [Trigger(b"BRPOP", b"delivery_tag")],
    "claim": [Trigger(script("claim").sha.encode(), before=True), Trigger(script("claim").sha.encode(), b"run")],
    "settle": [Trigger(script("settle").sha.encode(), before=True), Trigger(script("settle").sha.encode(), b":1")],
}
THEIR_MOMENTS = {
    "fetch": [Trigger(b"BRPOP", b"delivery_tag")],
    "claim": [Trigger(b"unacked_index", before=True)],
    "settle": [Trigger(b"HDEL", before=True), Trigger(b"HDEL", b"*")],
}
"""They have no claim, but note what they took; their settlement is the acknowledgement."""


@dataclass(slots=True)
class Ours:
    """Our workers, with the engines of tests, whose marks tell which process runs what."""

    site: Site
    nursery: Nursery
    marks: Path

    def start(self, place: Place) -> Program:
        """A worker."""
        arguments = ("--queue", "gpu_medium", "--name", f"{place.name}@test", "--concurrency", str(CONCURRENCY))
        environment = self.site.environment(REDIS_URL=place.link.url, GENFLEET_ENGINES="tests.support.engines:engines")
        log = self.site.folder / "workers.log"
        return self.nursery.start("genfleet_workers", *arguments, log=log, environment=environment)

    def running(self) -> list[tuple[str, int]]:
        """By their marks."""
        return [(task, pid) for (task, _), pid in self._attempts().items()]

    def about(self, request: bytes, reply: bytes) -> tuple[str, int | None]:
        """A fetch has the id in the message that it brings; a script as its first argument, before the token."""
        if b"BRPOP" in request:
            return orjson.loads(reply[reply.index(b"{") : reply.rindex(b"}") + 1])["headers"]["id"], None
        values = request.split(b"\r\n")
        task, token = values[8].decode(), values[10].decode()
        return task, self._attempts(ended=True).get((task, token))

    def _attempts(self, *, ended: bool = False) -> dict[tuple[str, str], int]:
        """Those that have begun, with their processes; also those that have ended."""
        attempts: dict[tuple[str, str], int] = {}
        for line in self.marks.read_text().splitlines():
            what, task, token, *pid = line.split()
            if what == "start":
                attempts[task, token] = int(pid[0])
            elif not ended:
                attempts.pop((task, token), None)
        return attempts


def ours(run: Run) -> Finding:
    """Kill under load, see every task end once, and how long what was lost was away."""
    redis = run.redis()
    site = run.site(redis)
    store = run.store(redis)
    programs = run.stack.enter_context(nursery())
    programs.start(
        "genfleet_service", log=run.folder / "api.log", environment=site.environment(PORT=str(free_port()), API_KEY=KEY)
    )  # does the chores, as an API that is up does
    marks = run.folder / "marks"
    marks.touch()
    killer = Killer(run, Ours(site, programs, marks), OUR_MOMENTS, WORKERS)
    killer.begin(redis.port)
    ids: list[str] = []

    def feed(enough: int) -> None:
        while len(ids) < enough or queue_seen(store).waiting < QUEUED:
            seconds = run.chance.uniform(SHORTEST_S, LONGEST_S)
            ids.append(submitted(store, seconds=seconds, marks=str(marks)))

    for kill in plan(run, SHARES):
        feed(0)
        killer.kill(*kill)
    feed(round(run.trials * TASKS_PER_KILL))
    found = verdict(redis, store, ids)
    return _judged(str(found), found.failures, killer, store, ids)


@dataclass(slots=True)
class Losses:
    """When tasks were lost, and how long it took until they started again."""

    kills: list[Kill]
    away: list[float] = field(default_factory=list)
    _workers: dict[str, float] = field(default_factory=dict)
    _tasks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for kill in self.kills:
            self._workers |= {f"{name}@test": kill.at for name in kill.workers}
            if kill.task:
                self._tasks[kill.task].append(kill.at)

    def note(self, task: str, events: tuple[Event, ...]) -> None:
        """Each start of a task that follows a loss: its message on the way, its process or its worker. Of two, the later counts."""
        starts = [event.at_ms / 1000 for event in events if event.fields.get("state") == "processing"]
        lost = [self._when(task, event) for event in events if "lost" in event.fields]
        fetched = [kill.at for kill in self.kills if kill.task == task and kill.moment == "fetch"]
        latest = {bisect(starts, at): at for at in sorted([*lost, *fetched])}
        self.away += [starts[number] - at for number, at in latest.items() if number < len(starts)]

    def _when(self, task: str, event: Event) -> float:
        """What was noticed then had happened before: to its worker, or to its process alone."""
        noticed = event.at_ms / 1000
        happened = [*self._tasks[task], self._workers.get(event.fields.get("worker", ""), 0.0)]
        return max((at for at in happened if at <= noticed), default=noticed)


def _judged(told: str, failures: int, killer: Killer, store: SyncStore, ids: list[str]) -> Finding:
    losses = Losses(killer.kills)
    quarantined = unexplained = 0
    for task_id in ids:
        record = ended(store, task_id)
        if record is None:
            continue  # counted as lost
        lost = sum(chapter.how == "lost" for chapter in record.story)
        if record.state.value == "failed" and lost == 3:
            quarantined += 1
        elif record.state.value != "completed":
            unexplained += 1
        (events,) = store.run(steps.events([(task_id, 0)]))
        losses.note(task_id, events.events)
    away = sorted(losses.away) or [0.0]
    p99 = away[int(0.99 * (len(away) - 1))]
    late = int(len(away) >= ENOUGH and p99 >= BACK_WITHIN_S)
    ends = f"{quarantined} in quarantine after three lost workers" + (f", {unexplained} failed" if unexplained else "")
    said = f"{told} ({ends}); kills: {killer.told()}; {len(away)} losses, started again after {away[len(away) // 2]:.1f} s (median), p99 {p99:.1f} s, at most {away[-1]:.1f} s"
    return Finding(len(killer.kills), failures + unexplained + late, said)


@dataclass(slots=True)
class Theirs:
    """Workers of stock Celery."""

    stock: Stock
    nursery: Nursery
    ids: list[str] = field(default_factory=list)

    def start(self, place: Place) -> Program:
        """A worker."""
        arguments = ("--app", "tests.chaos.stock", "worker", "--hostname", f"{place.name}@test")
        environment = self.stock.environment(STOCK_BROKER=place.link.url)
        log = self.stock.folder / "stock.log"
        return self.nursery.start(
            "celery", *arguments, "--concurrency", str(CONCURRENCY), log=log, environment=environment
        )

    def running(self) -> list[tuple[str, int]]:
        """By their notes."""
        return self.stock.running(self.ids[-3 * WORKERS * CONCURRENCY :])

    def about(self, _request: bytes, _reply: bytes) -> tuple[str, int | None]:
        """Not looked at."""
        return "", None


def peer(run: Run) -> Finding:
    """The same, and see what has not ended half a minute later."""
    redis = run.redis()
    programs = run.stack.enter_context(nursery(STOCK))
    stock = Stock(redis, run.folder)
    app = stock.app()
    side = Theirs(stock, programs)
    killer = Killer(run, side, THEIR_MOMENTS, WORKERS)
    killer.begin(redis.port)

    def feed(enough: int) -> None:
        while len(side.ids) < enough or redis.client.llen("celery") < QUEUED:
            side.ids.append(stock.submit(run.chance.uniform(SHORTEST_S, LONGEST_S), app=app))

    for kill in plan(run, {kind: share for kind, share in SHARES.items() if kind != ("child", "settle")}):
        feed(0)
        killer.kill(*kill)
    feed(round(run.trials * TASKS_PER_KILL))
    comes_true(lambda: redis.client.llen("celery") == 0, within=2 * PEER_WAIT_S)
    away: list[str] = []

    def all_ended() -> bool:
        away[:] = [task_id for task_id in side.ids if not stock.notes("end", task_id)]
        return not away

    comes_true(all_ended, within=PEER_WAIT_S)
    assert len(away) < len(side.ids), f"stock Celery has not run at all: {run.folder}/stock.log"
    kept = redis.client.hlen("unacked")
    gone = max(0, len(away) - kept)
    twice = sum(len(stock.notes("end", task_id)) > 1 for task_id in side.ids)
    said = f"{len(side.ids)} tasks, {len(away)} not back {PEER_WAIT_S:.0f} s later ({kept} held back for an hour, {gone} lost for good), {twice} done twice; kills: {killer.told()}"
    return Finding(len(killer.kills), len(away) + twice, said)


CAMPAIGNS = [
    Campaign(
        id="T1",
        promise="Whatever process is killed, and at whichever moment of a task, no task is lost and none ends twice; what was lost with a worker starts again within 15 s.",
        theme="kills",
        ours=ours,
        trials=300,
        short=8,
        peer=peer,
        peer_trials=90,
        minutes=8,
    )
]
