"""The store on a real Redis beside a model of it: a dictionary, and the rules of a task's life in a few lines each.

Hypothesis draws what happens: submissions, deliveries, lost and doubled messages, claims and repeated claims, workers that
settle, fail, crash, vanish and come back as zombies with an old token, cancellations, chores. After each step the answer and
the record have to be what the model says; at the end everything left is worked off, and every task has ended, once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

import orjson
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from genfleet.contract.keys import broker_list, key
from genfleet.contract.states import State, is_final
from genfleet.contract.task_types import TASK_TYPES, broker_queues
from genfleet.store import chores, steps
from genfleet.store.client import SyncStore
from genfleet.store.records import Claim
from genfleet.store.scripts import CRASHES_ALLOWED
from tests.support.tasks import new_task
from tests.support.waiting import wait_for

TYPE = "generate_image"
QUEUE = TASK_TYPES[TYPE].queue
NAMES = st.sampled_from([f"t{number}" for number in range(3)])
WORKERS = st.sampled_from(["v", "w"])
PICK = st.integers(0, 10_000)
"""Which one of those that there are: a number that means something whatever went before."""


@dataclass(slots=True)
class Known:
    """One task, as the model has it."""

    calls_back: bool
    state: State = State.QUEUED
    token: int = 1
    in_line: bool = True
    """Or it waits for its time."""
    claimed: tuple[str, str] = ("", "")
    """Worker and nonce of the claim."""
    crashes: int = 0
    retries: int = 0

    def holds(self, token: int) -> bool:
        """Whether this attempt is the present one."""
        return self.state is State.PROCESSING and self.token == token

    def back(self, *, in_line: bool) -> None:
        """To its queue, under a new token."""
        self.state, self.in_line, self.token, self.claimed = State.QUEUED, in_line, self.token + 1, ("", "")


class Life(RuleBasedStateMachine):
    """One example: an empty Redis, and a stretch of what happens."""

    client: ClassVar[redis.Redis]
    store: ClassVar[SyncStore]
    steps_taken: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.client.flushdb()
        self.known: dict[str, Known] = {}
        self.messages: list[tuple[str, str]] = []
        """Every message that was ever fetched: brokers deliver again."""
        self.leases: list[tuple[str, int]] = []
        """Every right to run that was ever given: zombies come back."""
        self.nonces = 0

    # -- what may happen -----------------------------------------------------------------------------------------------

    @rule(name=NAMES, priority=st.integers(1, 3), later=st.booleans(), calls_back=st.booleans())
    def submit(self, name: str, priority: int, later: bool, calls_back: bool) -> None:
        """A client submits, or repeats what it submitted."""
        task = replace(
            new_task(name, kind=TYPE, priority=priority),
            run_at=timedelta(hours=1) if later else None,
            callback_url="https://receiver.example/x" if calls_back else "",
        )
        answer = self.store.run(steps.submit(task))
        assert answer.known == (name in self.known)
        self.known.setdefault(name, Known(calls_back, in_line=not later))

    @rule(lost=st.booleans())
    def fetch(self, lost: bool) -> None:
        """A message leaves its list, and arrives or does not."""
        message = self._next()
        if message and not lost:
            self.messages.append(message)

    @rule(worker=WORKERS)
    def start(self, worker: str) -> None:
        """A message arrives, and its worker asks: as it nearly always goes."""
        if message := self._next():
            self.messages.append(message)
            self.nonces += 1
            self._expect_claim(self.known[message[0]], *message, worker, str(self.nonces))

    @precondition(lambda self: self.messages)
    @rule(pick=PICK, worker=WORKERS, again=st.booleans())
    def claim(self, pick: int, worker: str, again: bool) -> None:
        """A worker asks with a message, new or old; or asks once more, as its answer was lost."""
        name, token = self.messages[pick % len(self.messages)]
        known = self.known[name]
        self.nonces += 1
        nonce = known.claimed[1] if again and known.claimed[0] == worker else str(self.nonces)
        self._expect_claim(known, name, token, worker, nonce)

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, how=st.sampled_from(["complete", "fail", "retry", "lose", "hand_back", "progress"]))
    def work(self, pick: int, how: str) -> None:
        """Something comes of an attempt, the present one or one that was lost long ago."""
        name, token = self.leases[pick % len(self.leases)]
        known = self.known[name]
        held = known.holds(token)
        repeated = known.token == token and known.state is _ENDS.get(how)
        if how == "retry":  # heard of before, if it still waits for the attempt after this one
            repeated = known.token == token + 1 and known.state is State.QUEUED and not known.in_line
        match how:
            case "complete":
                accepted = self.store.run(steps.complete(name, token, b"{}"))
            case "fail":
                accepted = self.store.run(steps.fail(name, token, "e"))
            case "retry":
                accepted = self.store.run(steps.retry_later(name, token, timedelta(hours=1), "e"))
            case "lose":
                accepted = self.store.run(steps.lose(name, token, "e"))
            case "hand_back":
                accepted = self.store.run(steps.hand_back(name, token, "e"))
            case _:
                accepted = self.store.run(steps.progress(name, token, 0.5, "half"))
        assert accepted == (held or repeated), f"{how} by token {token} of {known}: {accepted}"
        if held:
            self._came_of_it(known, how)

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, worker=WORKERS)
    def beat(self, pick: int, worker: str) -> None:
        """A worker renews a lease, its own or one that it only believes to have."""
        name, token = self.leases[pick % len(self.leases)]
        known = self.known[name]
        (verdict,) = self.store.run(steps.renew(worker, QUEUE, b"{}", [(name, token)])).verdicts
        expected = VERDICTS.get(known.state, "lost") if known.token == token else "lost"
        assert verdict == expected

    @rule(name=NAMES)
    def cancel(self, name: str) -> None:
        """Somebody changes their mind."""
        answer = self.store.run(steps.cancel(name))
        known = self.known.get(name)
        assert (answer is None) == (known is None)
        if known is not None:
            assert answer is not None
            assert answer.was is known.state
            if not is_final(known.state):
                known.state, known.in_line = State.CANCELLED, False

    @precondition(lambda self: any(known.state is State.PROCESSING for known in self.known.values()))
    @rule(pick=PICK)
    def vanish(self, pick: int) -> None:
        """A worker goes without a word: its lease runs out, and whoever is up sees that."""
        running = [name for name, known in self.known.items() if known.state is State.PROCESSING]
        name = running[pick % len(running)]
        self.client.zadd(key("leases", QUEUE), {name: 1})
        self._reap()
        self._came_of_it(self.known[name], "lose")

    @rule()
    def the_time_comes(self) -> None:
        """What was delayed, or waits for its next attempt, gets in line."""
        self.client.zunionstore(key("scheduled", QUEUE), {key("scheduled", QUEUE): 0})
        self.store.run(chores.promote([QUEUE]))
        for known in self.known.values():
            known.in_line = known.state is State.QUEUED

    @rule()
    def recover(self) -> None:
        """Lost messages are sent again. A wrong guess does no harm."""
        self.store.run(chores.recover([QUEUE], timedelta(0)))

    # -- what holds ----------------------------------------------------------------------------------------------------

    @invariant()
    def records_are_as_the_model_has_them(self) -> None:
        """State, retries and place of each task; and what was counted."""
        type(self).steps_taken += 1
        names = list(self.known)
        with self.client.pipeline(transaction=False) as asked:  # one round trip: this is looked at after each step
            for kind in ("waiting", "scheduled"):
                asked.zrange(key(kind, QUEUE), 0, -1)
            asked.hgetall(key("counters"))
            asked.zcard(key("webhooks", "*"))
            for name in names:
                asked.hmget(key("task", name), "state", "retries")
            waiting, scheduled, counted, webhooks, *records = asked.execute()
        for name, (state, retries) in zip(names, records, strict=True):
            known = self.known[name]
            queued = known.state is State.QUEUED
            assert (state.decode(), int(retries)) == (known.state, known.retries), f"{name}: {known}"
            assert (name.encode() in waiting) == (queued and known.in_line), f"{name}: {known}"
            assert (name.encode() in scheduled) == (queued and not known.in_line), f"{name}: {known}"
        ends = Counter(known.state for known in self.known.values() if is_final(known.state))
        for state in filter(is_final, State):
            assert int(counted.get(f"{state}_tasks".encode(), 0)) == ends[state], f"{state} is counted once for each"
        owed = sum(known.calls_back and known.state in (State.COMPLETED, State.FAILED) for known in self.known.values())
        assert webhooks == owed, "one webhook for each task that has one"

    def teardown(self) -> None:
        """An accepted task ends: whatever is left is worked off by a worker that does all it is asked."""

        def all_ended() -> bool:
            self.client.zunionstore(key("leases", QUEUE), {key("leases", QUEUE): 0})
            self._reap()
            for known in self.known.values():
                if known.state is State.PROCESSING:
                    self._came_of_it(known, "lose")
            self.the_time_comes()
            self.recover()
            while message := self._next():
                name, token = message
                self.nonces += 1
                if self._expect_claim(self.known[name], name, token, "last", str(self.nonces)).lease:
                    assert self.store.run(steps.complete(name, self.known[name].token, b"{}"))
                    self.known[name].state = State.COMPLETED
            return all(is_final(known.state) for known in self.known.values())

        wait_for("everything ends", all_ended, within=3)
        self.records_are_as_the_model_has_them()

    # -- the model's own rules -------------------------------------------------------------------------------------------

    def _expect_claim(self, known: Known, name: str, token: str, worker: str, nonce: str) -> Claim:
        match known.state:
            case State.PROCESSING:
                expected = "run" if known.claimed == (worker, nonce) else "busy"
            case State.QUEUED if str(known.token) == token and known.in_line:
                expected = "run"
            case _:
                expected = "drop"
        answer = self.store.run(steps.claim(name, token, worker, nonce))
        assert answer.verdict == expected, f"claim with token {token} of {known}: {answer.verdict}"
        if answer.lease:
            assert answer.lease.token == known.token
            known.state, known.in_line, known.claimed = State.PROCESSING, False, (worker, nonce)
            self.leases.append((name, known.token))
        return answer

    def _came_of_it(self, known: Known, how: str) -> None:
        match how:
            case "complete":
                known.state = State.COMPLETED
            case "fail":
                known.state = State.FAILED
            case "retry":
                known.retries += 1
                known.back(in_line=False)
            case "hand_back":
                known.back(in_line=True)
            case "lose":
                known.crashes += 1
                if known.crashes < CRASHES_ALLOWED:
                    known.back(in_line=True)
                else:
                    known.state = State.FAILED

    def _next(self) -> tuple[str, str] | None:
        """Id and token of the message that a worker would get now; it is out of its list."""
        for priority in (1, 2, 3):
            message = self.client.rpop(broker_list(broker_queues(QUEUE)[0], priority))
            if isinstance(message, bytes):
                headers = orjson.loads(message)["headers"]
                return headers["id"], str(headers["token"])
        return None

    def _reap(self) -> None:
        seconds, _ = self.client.time()
        self.client.set(key("last_reap"), seconds * 1000)
        self.store.run(chores.reap([QUEUE]))


VERDICTS = {State.PROCESSING: "held", State.CANCELLED: "stop", State.COMPLETED: "done"}
"""What a worker hears of an attempt that is, or was, the present one."""
_ENDS = {"complete": State.COMPLETED, "fail": State.FAILED}
