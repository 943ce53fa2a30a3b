"""From a decision to moves: who starts and where, who leaves, and how one revision takes the place of another."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genfleet.contract.reasons import Reason
from genfleet.scaling.decide import Decision, Memory, decide
from genfleet.scaling.drain import retired
from genfleet.scaling.moves import Moves, PoolView, moves
from genfleet.scaling.observation import Observation, Phase, WorkerView
from genfleet.scaling.policy import Policy, TasksPerWorker
from tests.core.fleets import NOW, POLICY, SEEN

patient = settings(deadline=None)
POOL = PoolView(name="spot", maximum=10)
REST = PoolView(name="rest", maximum=10)


def starting(name: str, pool: str = "spot") -> WorkerView:
    """A worker of the present revision that was asked for and is not ready."""
    return WorkerView(name, Phase.STARTING, pool=pool)


def ready(name: str, running: int = 0, pool: str = "spot") -> WorkerView:
    """A worker of the present revision."""
    return WorkerView(name, Phase.READY, running, pool=pool)


def old(name: str, running: int = 0, phase: Phase = Phase.READY) -> WorkerView:
    """A worker of an earlier revision."""
    return WorkerView(name, phase, running, pool="spot", outdated=True)


def leaving(name: str, running: int = 0, recallable: bool = True) -> WorkerView:
    """A worker that drains."""
    return WorkerView(name, Phase.DRAINING, running, recallable, pool="spot")


def seen(*workers: WorkerView, waiting: int | None = 0) -> Observation:
    """What was seen of these workers."""
    return replace(SEEN, workers=workers, waiting=waiting, running=sum(worker.running for worker in workers))


def decided(
    replicas: int, demand: int | None = 0, reason: Reason = Reason.STEADY, *, needed: int | None = None
) -> Decision:
    """A decision for so many workers. `needed`: how many of them are not only kept by the cooldown; or all."""
    told = replicas if needed is None else needed
    return Decision(replicas=replicas, needed=told, reason=reason, explanation="Told.", demand=demand, memory=())


def made(
    replicas: int, *workers: WorkerView, pools: Sequence[PoolView] = (POOL,), maximum: int = 10, waiting: int = 0
) -> Moves:
    """The moves towards so many workers."""
    return moves(decided(replicas), seen(*workers, waiting=waiting), pools, maximum)


# -- who starts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "workers", "pools", "start"),
    [
        pytest.param(2, [], [POOL], {"spot": 2}, id="as many as are missing"),
        pytest.param(2, [starting("a"), ready("b")], [POOL], {}, id="nobody when all are on their way"),
        pytest.param(3, [], [replace(POOL, maximum=2), REST], {"spot": 2, "rest": 1}, id="the first pool first"),
        pytest.param(
            3,
            [leaving("a", 1, recallable=False)],
            [replace(POOL, maximum=2), REST],
            {"spot": 1, "rest": 2},
            id="who drains has a place",
        ),
        pytest.param(2, [], [replace(POOL, closed=True), REST], {"rest": 2}, id="not in a closed pool"),
        pytest.param(2, [], [replace(POOL, closed=True)], {"spot": 2}, id="in a closed one when all are"),
        pytest.param(2, [], [replace(POOL, maximum=0), replace(REST, maximum=1)], {"rest": 1}, id="no more than fit"),
        pytest.param(2, [leaving("a")], [POOL], {"spot": 1}, id="one less for each that is called back"),
        pytest.param(
            2, [leaving("a", 1, recallable=False)], [POOL], {"spot": 2}, id="who cannot come back is replaced"
        ),
        pytest.param(2, [old("a", 1), old("b", 1)], [POOL], {"spot": 2}, id="a new one for each old one"),
        pytest.param(9, [old("a", 1), old("b", 1)], [POOL], {"spot": 8}, id="but all together fit the maximum"),
        pytest.param(1, [old("a", phase=Phase.STARTING)], [POOL], {"spot": 1}, id="for one that never came up as well"),
    ],
)
def test_who_starts(replicas: int, workers: list[WorkerView], pools: list[PoolView], start: dict[str, int]) -> None:
    """Missing workers start in the first pools that take them."""
    assert made(replicas, *workers, pools=pools).start == start


@pytest.mark.parametrize(
    ("needed", "workers", "start", "drain"),
    [
        pytest.param(0, [old("a")], {}, (), id="an idle worker is kept as it is"),
        pytest.param(0, [old("a", 1)], {}, ("a",), id="one at work leaves with its task"),
        pytest.param(1, [old("a"), old("b")], {"spot": 1}, (), id="the work gets its new worker"),
        pytest.param(1, [old("a"), ready("n")], {}, (), id="and no more of them"),
        pytest.param(1, [old("a"), old("b"), ready("n")], {}, ("b",), id="new ones take the place of old ones"),
        pytest.param(0, [old("a"), old("b"), leaving("x")], {}, (), id="nor does one make place for another"),
    ],
)
def test_the_cooldown_starts_nobody(
    needed: int, workers: list[WorkerView], start: dict[str, int], drain: tuple[str, ...]
) -> None:
    """It keeps two of those that are there, of whatever revision; a third has no place."""
    told = moves(decided(2, needed=needed), seen(*workers), [POOL], 3)
    assert (told.start, told.drain) == (start, drain)


def test_who_is_stuck_gets_no_other_while_it_cools_down() -> None:
    """What only the cooldown keeps is not passed on to the next pool: it leaves."""
    told = moves(decided(1, needed=0), seen(starting("a")), [replace(POOL, stuck=("a",)), REST], 3)
    assert (told.start, told.drain) == ({}, ("a",))


def test_a_paused_queue_starts_nobody() -> None:
    """Also where fewer are there than hold a task by the decision."""
    assert moves(decided(3, reason=Reason.PAUSED), seen(), [POOL], 10).start == {}


# -- spill-over ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pools", "drain", "start"),
    [
        pytest.param([replace(POOL, stuck=("b", "c")), REST], ("b", "c"), {"rest": 2}, id="to the next pool"),
        pytest.param([replace(POOL, stuck=("c",)), REST], ("c",), {"rest": 1}, id="only who is stuck"),
        pytest.param([POOL, REST], (), {}, id="not while nobody is"),
        pytest.param(
            [replace(POOL, stuck=("b", "c")), replace(REST, maximum=1)],
            ("b",),
            {"rest": 1},
            id="as far as there is room",
        ),
        pytest.param([replace(POOL, stuck=("b",))], (), {}, id="not where there is no next pool"),
        pytest.param(
            [replace(POOL, stuck=("b",)), replace(REST, stuck=("x",))], (), {}, id="not to one that is stuck too"
        ),
        pytest.param(
            [replace(POOL, stuck=("b",)), replace(REST, stuck=("x",)), PoolView(name="last", maximum=5)],
            ("b",),
            {"last": 1},
            id="over one that is stuck",
        ),
        pytest.param([replace(POOL, stuck=("a",)), REST], (), {}, id="not who is ready by now"),
    ],
)
def test_stuck_workers_are_passed_on(pools: list[PoolView], drain: tuple[str, ...], start: dict[str, int]) -> None:
    """Worker a is ready, b and c find no node: they leave, and as many start in a later pool that has room."""
    told = made(3, ready("a", 1), starting("b"), starting("c"), pools=pools, maximum=3, waiting=2)
    assert (told.drain, told.start) == (drain, start)


def test_who_is_stuck_stays_while_demand_is_unknown() -> None:
    """Who is blind moves nobody."""
    pools = [replace(POOL, stuck=("b",)), REST]
    assert moves(decided(1, demand=None), seen(starting("b"), waiting=None), pools, 3) == Moves()


# -- a new revision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "workers", "waiting", "room", "leave"),
    [
        pytest.param(2, [ready("n")], 1, 5, (), id="nobody who is not outdated"),
        pytest.param(1, [old("a")], 1, 5, (), id="not before a new one is ready"),
        pytest.param(1, [old("a"), starting("n")], 1, 5, (), id="nor while it starts"),
        pytest.param(1, [old("a", phase=Phase.STARTING)], 1, 5, ("a",), id="who never came up, at once"),
        pytest.param(1, [old("a", 1, Phase.STARTING)], 1, 5, (), id="unless it holds a task all the same"),
        pytest.param(1, [old("a"), ready("n")], 1, 5, ("a",), id="when it is ready"),
        pytest.param(2, [old("a"), old("b"), ready("n")], 1, 5, ("b",), id="one for one"),
        pytest.param(2, [old("a"), old("b", 1), ready("n")], 1, 5, ("a",), id="the idle one first"),
        pytest.param(1, [old("a", 1)], 0, 5, ("a",), id="who is at work, when nothing waits: it takes nothing more"),
        pytest.param(1, [old("a", 1)], 3, 5, (), id="but not while work waits"),
        pytest.param(0, [old("a")], 0, 5, ("a",), id="everyone who is not wanted"),
        pytest.param(2, [old("a"), old("b")], 1, 0, ("b",), id="without place, one makes it"),
        pytest.param(2, [old("a"), leaving("x", 1)], 1, 0, (), id="but one at a time"),
        pytest.param(2, [old("a"), starting("n")], 1, 0, (), id="and not while a new one comes"),
    ],
)
def test_who_is_retired(
    replicas: int, workers: list[WorkerView], waiting: int, room: int, leave: tuple[str, ...]
) -> None:
    """Outdated workers leave as new ones take their place, and those at work when nobody needs them for more."""
    assert retired(decided(replicas), seen(*workers, waiting=waiting), room=room) == leave


# -- properties ----------------------------------------------------------------------------------------------------------

kinds: st.SearchStrategy[Callable[..., WorkerView]] = st.sampled_from([starting, ready, ready, old, old, leaving])
fleets = st.lists(st.tuples(kinds, st.sampled_from([0, 0, 1, 2]), st.sampled_from(["spot", "rest"])), max_size=9)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Decision, Observation, list[PoolView], int]:
    """A decision, what was seen, the pools, and the maximum of all."""
    drawn = enumerate(draw(fleets))
    workers = [
        replace(kind(f"w{at}"), running=0 if kind is starting else running, pool=pool)
        for at, (kind, running, pool) in drawn
    ]
    stuck = [worker.id for worker in workers if worker.phase is Phase.STARTING and draw(st.booleans())]
    pools = [
        PoolView(
            name=name,
            maximum=draw(st.integers(0, 8)),
            stuck=tuple(worker.id for worker in workers if worker.id in stuck and worker.pool == name),
            closed=draw(st.booleans()),
        )
        for name in ("spot", "rest")
    ]
    maximum = draw(st.integers(0, 12))
    waiting = draw(st.none() | st.integers(0, 3))
    look = seen(*workers, waiting=waiting)
    reason = draw(st.sampled_from([Reason.STEADY, Reason.PAUSED])) if look.demand is not None else Reason.DEMAND_UNKNOWN
    return decided(draw(st.integers(0, maximum)), look.demand, reason), look, pools, maximum


@patient
@given(situations())
def test_nobody_at_work_is_sent_away_but_to_finish(drawn: tuple[Decision, Observation, list[PoolView], int]) -> None:
    """One of the present revision that holds a task stays, unless all are paused. Nobody is sent away and called back."""
    decision, look, pools, maximum = drawn
    told = moves(decision, look, pools, maximum)
    away = [worker for worker in look.workers if worker.id in told.drain]
    assert decision.reason is Reason.PAUSED or not [one for one in away if one.running and not one.outdated]
    assert not set(told.drain) & set(told.recall)
    assert len(set(told.drain)) == len(told.drain)


@patient
@given(situations())
def test_there_is_place_for_all_who_start(drawn: tuple[Decision, Observation, list[PoolView], int]) -> None:
    """With those that are there, draining ones included, in each pool and in all; passed on ones give their place."""
    decision, look, pools, maximum = drawn
    told = moves(decision, look, pools, maximum)
    stuck = {id_ for pool in pools for id_ in pool.stuck}
    for pool in pools:
        held = sum(worker.pool == pool.name for worker in look.workers)
        assert not told.start.get(pool.name) or held + told.start[pool.name] <= pool.maximum
    passed_on = len(stuck & set(told.drain))
    assert not told.start or len(look.workers) - passed_on + sum(told.start.values()) <= maximum


@patient
@given(situations())
def test_who_is_blind_drains_nobody(drawn: tuple[Decision, Observation, list[PoolView], int]) -> None:
    """While demand is unknown, nobody leaves, outdated or stuck as they may be."""
    decision, look, pools, maximum = drawn
    blind = replace(decision, demand=None, reason=Reason.DEMAND_UNKNOWN)
    assert moves(blind, replace(look, waiting=None), pools, maximum).drain == ()


@patient
@given(situations())
def test_while_work_waits_those_who_do_it_are_not_missed(
    drawn: tuple[Decision, Observation, list[PoolView], int],
) -> None:
    """Never fewer than decided take work after the moves than before; where there is no place, one fewer."""
    decision, look, pools, maximum = drawn
    look = replace(look, waiting=(look.waiting or 0) + 1)
    decision = replace(decision, reason=Reason.STEADY, demand=look.demand)
    told = moves(decision, look, pools, maximum)
    before = [worker.id for worker in look.staying if worker.phase is Phase.READY]
    after = [id_ for id_ in before if id_ not in told.drain]
    room = maximum - len(look.workers)
    assert len(after) >= min(len(before), decision.replicas - (room <= 0))


@patient
@given(situations())
def test_a_paused_queue_only_shrinks(drawn: tuple[Decision, Observation, list[PoolView], int]) -> None:
    """Nobody starts or is called back, whoever is missing, and all who stay are told to leave."""
    decision, look, pools, maximum = drawn
    look = replace(look, waiting=look.waiting or 0)
    told = moves(replace(decision, reason=Reason.PAUSED, demand=look.demand), look, pools, maximum)
    assert (told.start, told.recall) == ({}, ())
    assert set(told.drain) == {worker.id for worker in look.staying}


# -- a whole rollout -----------------------------------------------------------------------------------------------------


class Rollout:
    """A fleet that changes its revision, step by step, under a load."""

    def __init__(self, policy: Policy, workers: list[WorkerView], waiting: int, chance: random.Random) -> None:
        self.policy, self.workers, self.waiting, self.chance = policy, workers, waiting, chance
        self.memory: Memory = ()
        self.now = NOW
        self.made = 0

    def step(self) -> None:
        """Look, decide, move; then time passes."""
        look = replace(seen(*self.workers, waiting=self.waiting), now=self.now)
        decision = decide(self.policy, look, self.memory)
        self.memory = decision.memory
        told = moves(decision, look, [replace(POOL, maximum=self.policy.max_replicas)], self.policy.max_replicas)
        self.workers = [self._moved(worker, told) for worker in self.workers]
        for _ in range(told.start.get("spot", 0)):
            self.made += 1
            self.workers.append(starting(f"new-{self.made}"))
        assert len(self.workers) <= self.policy.max_replicas
        self.workers = [self._later(worker) for worker in self.workers if not self._gone(worker)]
        self.now += 5

    def _moved(self, worker: WorkerView, told: Moves) -> WorkerView:
        if worker.id in told.drain:
            assert worker.outdated or not worker.running
            return replace(worker, phase=Phase.DRAINING, outdated=False, recallable=not worker.outdated)
        return replace(worker, phase=Phase.READY) if worker.id in told.recall else worker

    def _gone(self, worker: WorkerView) -> bool:
        return worker.phase is Phase.DRAINING and not worker.running and self.chance.random() < 0.7

    def _later(self, worker: WorkerView) -> WorkerView:
        if worker.phase is Phase.STARTING and self.chance.random() < 0.5:
            worker = replace(worker, phase=Phase.READY)
        if worker.running and self.chance.random() < 0.3:
            worker = replace(worker, running=0)
        if worker.phase is Phase.READY and not worker.running and self.waiting:
            self.waiting -= 1
            worker = replace(worker, running=1)
        return worker


@patient
@given(
    st.integers(1, 5),
    st.lists(st.sampled_from([(0, Phase.READY), (1, Phase.READY), (0, Phase.STARTING)]), max_size=5),
    st.integers(0, 30),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_a_rollout_always_ends(
    maximum: int, olds: list[tuple[int, Phase]], waiting: int, endless: bool, chance: random.Random
) -> None:
    """Whatever the load is and however little place there is, in the end all workers are of the present revision."""
    policy = replace(POLICY, max_replicas=maximum, cooldown=20, target=TasksPerWorker(1))
    workers = [old(f"old-{at}", running, phase) for at, (running, phase) in enumerate(olds[:maximum])]
    rollout = Rollout(policy, workers, waiting, chance)
    for _ in range(200):
        if endless:
            rollout.waiting = max(1, rollout.waiting)
        rollout.step()
        if not any(worker.id.startswith("old") for worker in rollout.workers) and (endless or not rollout.workers):
            return
    pytest.fail(f"left after 200 steps: {rollout.workers}, {rollout.waiting} waiting")
