"""Everything at once, in any order: what no test of one feature beside another would think of.

Submissions that are delayed, due by a deadline, repeated and copied; workers that finish, fail, crash and vanish; messages
that are lost, replies that are lost, queues that are paused, tasks that are cancelled, webhooks, chores, expiry. After each
stretch of it every record has its place in every index and line, and no other; at the end nothing is left that grows.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

import orjson
import pytest

from genfleet.contract.keys import PREFIX, broker_list, key
from genfleet.contract.limits import Limits, Rate, Refused
from genfleet.contract.states import State
from genfleet.contract.task_types import QUEUES, TASK_TYPES
from genfleet.store import bulk, chores, outbox, pauses, steps
from genfleet.store.bulk import Filter
from genfleet.store.calls import Call
from genfleet.store.client import SyncStore
from genfleet.store.outbox import DeliveryState
from genfleet.store.records import Lease, Once
from tests.support.servers import Redis, free_port
from tests.support.tasks import new_task

T = TypeVar("T")
LIMITS = Limits(Rate(100_000), Rate(100_000), project_tasks=40, queue_length=200)
PROJECTS = ("a", "b", "b:c")
TYPES = ("generate_image", "generate_video", "test_prompt")
HOSTS = ("https://h1/x", "https://h2:99/y", "https://h3")
BROKER_QUEUES = ("gpu_heavy", "gpu_medium", "celery")
STAYS = {"counters", "measures", "durations", "last_reap", "proven_hosts", "service", "webhook_secret"}
"""Kinds of keys that may stay: their number does not grow with that of the tasks. All others end, or have a time to live."""


@dataclass(slots=True)
class Mixture:
    """A store, and what a crowd of clients and workers does with it."""

    store: SyncStore
    redis: Redis
    chance: random.Random
    ids: list[str] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)

    def run(self, call: Call[T]) -> T:
        """A step; every seventh time its reply is lost, and it is taken again."""
        answer = self.store.run(call)
        if self.chance.random() < 1 / 7:
            self.store.run(call)
        return answer

    def now_and_then(self, share: float) -> bool:
        """Whether something happens that happens in this share of the cases."""
        return self.chance.random() < share

    def soon(self, *milliseconds: int) -> timedelta:
        """One of some short times."""
        return timedelta(milliseconds=self.chance.choice(milliseconds))

    # -- what may happen -----------------------------------------------------------------------------------------------

    def submit(self) -> None:
        """A client wants something."""
        chance = self.chance
        task = new_task(kind=chance.choice(TYPES), project=chance.choice(PROJECTS), priority=chance.randint(1, 3))
        task = replace(
            task,
            key_id="k",
            run_at=self.soon(1, 20, 60) if self.now_and_then(0.4) else None,
            deadline=self.soon(65, 80, 150) if self.now_and_then(0.3) else None,
            callback_url=chance.choice(HOSTS) if self.now_and_then(0.5) else "",
        )
        once = Once(f"name-{chance.randint(0, 100)}", "f") if self.now_and_then(0.2) else None
        answer = self.run(steps.submit_within(LIMITS, task, once))
        if not isinstance(answer, Refused):
            self.ids.append(answer.id)

    def claim(self) -> None:
        """A worker takes a message, and loses it now and then."""
        broker_queue = self.chance.choice(BROKER_QUEUES)
        for priority in (1, 2, 3):
            message = self.redis.client.rpop(broker_list(broker_queue, priority))
            if isinstance(message, bytes) and not self.now_and_then(0.1):
                headers = orjson.loads(message)["headers"]
                nonce = str(self.chance.random())
                lease = self.run(steps.claim(headers["id"], str(headers["token"]), "w", nonce, gpus=1)).lease
                self.leases += [lease] if lease else []
                return

    def work(self) -> None:
        """Something comes of an attempt, or of one that its worker only believes to hold."""
        if not self.leases:
            return
        held = self.leases.pop(self.chance.randrange(len(self.leases)))
        attempt = (held.task_id, held.token)
        match self.chance.randrange(8):
            case 0:
                self.leases.append(held)
                self.run(steps.progress(*attempt, self.chance.random(), "drawing"))
                self.run(steps.log(*attempt, 1, [("info", "x")] * 3))
            case 1 | 2:
                self.run(steps.complete(*attempt, b"{}"))
            case 3:
                self.run(steps.fail(*attempt, "e"))
            case 4:
                self.run(steps.retry_later(*attempt, self.soon(1, 40), "e"))
            case 5:
                self.run(steps.lose(*attempt, "e"))
            case 6:
                self.run(steps.hand_back(*attempt, "stopping"))
            case 7:
                self.leases.append(held)
                self.redis.client.zadd(key("leases", TASK_TYPES[held.type].queue), {held.task_id: 1}, xx=True)

    def do_chores(self) -> None:
        """As `upkeep` does; leases that have run out are lost workers."""
        seconds, _ = self.redis.client.time()
        self.redis.client.set(key("last_reap"), seconds * 1000)
        grace = self.soon(0, 5)
        for chore in (chores.promote(QUEUES), chores.end_overdue(), chores.reap(QUEUES), chores.recover(QUEUES, grace)):
            self.run(chore)
        self.run(chores.expire())

    def cancel(self) -> None:
        """Somebody changes their mind, about one task or several."""
        if self.ids:
            self.run(steps.cancel(self.chance.choice(self.ids[-60:])))
        state = self.chance.choice((State.QUEUED, State.PROCESSING))
        if self.now_and_then(0.3):
            self.run(bulk.cancel_some(Filter(self.chance.choice(PROJECTS), state), self.chance.randint(1, 8)))

    def retry(self) -> None:
        """What failed is submitted again."""
        project = self.chance.choice(PROJECTS)
        for chosen in self.run(bulk.select(Filter(project, State.FAILED), None, 3)).tasks:
            again = replace(
                new_task(f"{chosen.id}+", kind=chosen.type, project=project), retry_of=chosen.id, copies=True
            )
            if not isinstance(self.run(steps.submit_within(LIMITS, again)), Refused):
                self.ids.append(again.id)

    def pause(self) -> None:
        """A queue rests, or goes on."""
        queue = self.chance.choice(QUEUES)
        if self.now_and_then(0.3):
            self.run(pauses.pause(queue, "x"))
        elif self.run(pauses.unpause(queue)):
            self.run(pauses.remake(queue))

    def deliver(self) -> None:
        """A courier comes, and is interrupted now and then."""
        for parcel in self.run(outbox.take(5, 5, 2, {})).parcels:
            if self.now_and_then(0.8):
                self.run(outbox.prepare(parcel.task_id, b"body", "k", "secret"))
                to, in_time = self.chance.choice(list(DeliveryState)), self.now_and_then(0.7)
                report = outbox.report(parcel.task_id, parcel.token, {"at_ms": 1}, to, self.soon(5), in_time=in_time)
                self.run(report)
        if self.ids and self.now_and_then(0.2):
            self.run(outbox.resend(self.chance.choice(self.ids), "k", LIMITS.submissions))

    def grow_old(self) -> None:
        """The time of a record is over."""
        if self.ids:
            self.redis.client.zadd(key("expiry"), {self.chance.choice(self.ids): 1}, xx=True)

    def end(self) -> None:
        """Everything ends, and its time is over."""
        for queue in QUEUES:
            self.store.run(pauses.unpause(queue))
        for task_id in self.ids:
            self.store.run(steps.cancel(task_id))
        for name in ("expiry", *(f"leases:{queue}" for queue in QUEUES)):
            self.redis.client.zunionstore(PREFIX + name, {PREFIX + name: 0})
        self.do_chores()
        while self.store.run(chores.expire()):
            continue

    # -- what holds ----------------------------------------------------------------------------------------------------

    def members(self, kind: str, *parts: str) -> Counter[str]:
        """Who is in the sorted sets of this kind; how often, of several sets."""
        found: Counter[str] = Counter()
        for name in self.redis.client.scan_iter(key(kind, *parts)):
            found.update(cast(bytes, member).decode() for member in self.redis.client.zrange(name, 0, -1))
        return found

    def records(self, kind: str) -> Iterator[tuple[str, dict[bytes, bytes]]]:
        """The hashes of this kind, by id."""
        for name in self.redis.client.scan_iter(key(kind, "*")):
            fields = cast(dict[bytes, bytes], self.redis.client.hgetall(name))
            yield name.decode().removeprefix(key(kind, "")), fields

    def check(self) -> None:
        """Everything is where it belongs, once, and nowhere else."""
        tasks = dict(self.records("task"))
        by_state = {
            state: {task_id for task_id, task in tasks.items() if task[b"state"] == state.value.encode()}
            for state in State
        }
        line = self.members("waiting", "*") + self.members("scheduled", "*")
        assert line == Counter(by_state[State.QUEUED]), "each that is queued waits or is scheduled, once"
        assert set(self.members("deadlines")) <= by_state[State.QUEUED]
        leases = set(self.members("leases", "*"))
        assert by_state[State.PROCESSING] <= leases, "what was cancelled may still have its place"
        assert not leases & (by_state[State.QUEUED] | by_state[State.COMPLETED] | by_state[State.FAILED])
        for state in State:
            assert self.members("index", state, "[*]", "*") == Counter(by_state[state]), state
            assert self.members("index", state, "[^*]*", "*") == Counter(by_state[state]), state
        assert self.members("index", "[*]", "*", "*") == Counter(dict.fromkeys(tasks, 2))
        webhooks = dict(self.records("webhook"))
        pending = {task_id for task_id, webhook in webhooks.items() if webhook[b"state"] == b"pending"}
        assert webhooks.keys() <= tasks.keys()
        assert self.members("outbox", "*") == Counter(pending)
        hosts = {
            name.decode().removeprefix(key("outbox", "")) for name in self.redis.client.scan_iter(key("outbox", "*"))
        }
        assert self.members("outbox_hosts", "*") == Counter(hosts)
        quarantined = {task_id for task_id, task in tasks.items() if b"quarantined" in task}
        assert self.members("quarantine") == self.members("project_quarantine", "*") == Counter(quarantined)
        assert quarantined <= by_state[State.FAILED]
        assert not self.members("dead_letters", "*"), "no step met a record that it could not judge"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of its own: an API that serves other tests would do chores in the one that all share, and send webhooks."""
    server = Redis(tmp_path, free_port())
    server.start()
    yield server
    server.stop()


def test_everything_at_once(alone: Redis) -> None:
    """TS-113, TS-122, TS-152, TS-160, NS-005: in any order nothing is lost, done twice, or left behind."""
    with contextlib.closing(SyncStore(alone.url)) as store:
        happen(store, alone)


def happen(store: SyncStore, redis_server: Redis) -> None:
    """All of it, and what has to hold now and then and at the end."""
    mixture = Mixture(store, redis_server, random.Random(1))  # noqa: S311  what happens is to be much the same each time
    often = [mixture.submit, mixture.claim, mixture.work] * 6 + [mixture.do_chores] * 2
    rarely = [mixture.cancel, mixture.retry, mixture.pause, mixture.deliver, mixture.deliver, mixture.grow_old]
    for _ in range(4):
        for _ in range(150):
            mixture.chance.choice(often + rarely)()
        mixture.check()
    assert len(mixture.ids) > 50
    mixture.end()
    mixture.check()
    left = {name for name in redis_server.client.scan_iter("*") if redis_server.client.ttl(name) < 0}
    assert {name.decode().removeprefix(PREFIX).partition(":")[0] for name in left} <= STAYS
