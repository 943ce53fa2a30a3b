"""The operator among parts that act whenever they like: whatever comes first, no task is cut off, and all ends well.

The controller and what it writes with are the real ones. They stand before a model of Kubernetes, Redis and workers, in
which Hypothesis chooses what happens next: an answer that never comes, a watch that lags, an operator that dies.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from genfleet_operator import applier, controller, reporter
from genfleet_operator.blueprint import Installation
from genfleet_operator.world import World
from tests.operator.model import BEAT_S, NAME, NODES, QUEUE, Model, Pod

CONCURRENCY = 2
PLENTY = 6
"""Tasks that wait at most."""

which = st.integers(0, 11)
"""One of those that are there."""
chances = st.randoms(use_true_random=False)


def _homeless(pod: Pod) -> bool:
    return not pod.node and not pod.terminating


def _stays(pod: Pod) -> bool:
    return not pod.terminating


def _through(pod: Pod) -> bool:
    return pod.terminating and not pod.running


def _up(pod: Pod) -> bool:
    return pod.ready_at is not None


def _works(pod: Pod) -> bool:
    return pod.running > 0


class Log:
    """Errors that are only logged count here, too."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def info(self, event: str, **about: object) -> None:
        """Not of interest."""

    warning = info

    def exception(self, event: str, **about: object) -> None:
        """Something that nobody expected."""
        self._model.wrongs.append(f"{event}: {traceback.format_exc()}")


class AnyOrder(RuleBasedStateMachine):
    """A queue with two pools, its workers, and one operator after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.spec = {"minimum": 0, "maximum": 4, "paused": False, "image": 1}
        self.tasks: list[asyncio.Task[None]] = []

    @initialize(minimum=st.integers(0, 1), tasks=st.integers(0, PLENTY), rounds=st.integers(0, 8))
    def begin(self, minimum: int, tasks: int, rounds: int) -> None:
        """A queue is declared, an operator runs, and some work is under way."""
        self.model = Model()
        for module in (applier, controller, reporter):
            self.patch.setattr(module, "time", self.model)
            self.patch.setattr(module, "log", Log(self.model))
        self.spec["minimum"] = minimum
        self.world = World()
        self._declare()
        self._launch()
        self.model.waiting = tasks
        self.all_do_their_part(rounds, random.Random(0))  # noqa: S311  not for secrets

    def teardown(self) -> None:
        """Without more disturbance everything comes to rest where it should."""
        if not hasattr(self, "model"):
            return
        try:
            if not self.model.wrongs:
                self._calm_down()
        finally:
            self._kill()
            self.model.loop.close()
            self.patch.undo()

    # -- people --------------------------------------------------------------------------------------------------------

    def _declare(self) -> None:
        spec = self.spec
        env = [{"name": "IMAGE", "value": str(spec["image"])}]
        pools = [
            {"name": "spot", "maxReplicas": 3},
            {"name": "rest", "spilloverAfterSeconds": 5},
        ]
        template = {"spec": {"containers": [{"name": "worker", "env": env}]}}
        scaling = {"minReplicas": spec["minimum"], "maxReplicas": spec["maximum"], "cooldownSeconds": 3}
        self.model.most = max(self.model.most, spec["maximum"])
        self.model.declare(
            {
                "apiVersion": "genfleet.dev/v1alpha1",
                "kind": "GenerationQueue",
                "spec": {
                    "queue": QUEUE,
                    "concurrency": CONCURRENCY,
                    "scaling": {**scaling, "target": {"tasksPerWorker": 1}},
                    "pools": [{**pool, "template": template} for pool in pools],
                    "paused": spec["paused"],
                },
            }
        )
        self.model.show(self.world, ("queue", NAME))

    @rule(number=st.integers(1, 4))
    def submit(self, number: int) -> None:
        """Work comes."""
        self.model.waiting = min(PLENTY, self.model.waiting + number)
        self.controller._woken[QUEUE] = self.model.monotonic()

    @rule()
    def new_revision(self) -> None:
        """Another image."""
        self.spec["image"] += 1
        self._declare()

    @rule(bounds=st.sampled_from([(0, 4), (1, 4), (0, 1), (2, 3), (0, 2)]))
    def rescale(self, bounds: tuple[int, int]) -> None:
        """Other bounds."""
        self.spec["minimum"], self.spec["maximum"] = bounds
        self._declare()

    @rule()
    def pause(self) -> None:
        """Paused, or not any more."""
        self.spec["paused"] = not self.spec["paused"]
        self._declare()

    # -- the operator --------------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        self.model.forget_watches()
        self.world = World()
        self.controller = controller.Controller(
            cluster=self.model,  # type: ignore[arg-type]  # as much of a cluster as is needed
            store=self.model,  # type: ignore[arg-type]
            world=self.world,
            installation=Installation("genfleet-worker:1"),
            reporter=reporter.Reporter(self.model, self.model, self._clock),  # type: ignore[arg-type]
            clock=self._clock,
        )
        self._run(self.controller._list_once())
        self.model.let_all()

    def _clock(self) -> datetime:
        return datetime.fromtimestamp(self.model.now, UTC)

    def _run(self, part: Any) -> None:
        async def start() -> asyncio.Task[None]:
            return asyncio.create_task(part)

        self.tasks.append(self.model.loop.run_until_complete(start()))
        self.model.spin()

    def _kill(self) -> None:
        for task in asyncio.all_tasks(self.model.loop):
            task.cancel()
        self.model.spin()
        self.model.calls.clear()
        self.tasks.clear()

    @property
    def _looking(self) -> bool:
        return any(not task.done() for task in self.tasks)

    @rule()
    def restart(self) -> None:
        """The operator dies, wherever it is, and the next one begins."""
        self._kill()
        self._launch()

    @precondition(lambda self: not self._looking)
    @rule()
    def look(self) -> None:
        """It looks, and begins to do what follows."""
        self.tasks.clear()
        if not self.model.calls:
            self.model.most = int(self.spec["maximum"])
        self._run(self.controller._look(None))

    @rule()
    def look_and_act(self) -> None:
        """It does what it began, looks again and does what follows, undisturbed."""
        self.model.let_all()
        self.look()
        self.model.let_all()

    @precondition(lambda self: self.model.calls)
    @rule(at=which)
    def answer(self, at: int) -> None:
        """A call arrives, or is answered."""
        self.model.let(at)

    @precondition(lambda self: self.model.calls)
    @rule(at=which)
    def no_answer(self, at: int) -> None:
        """A call does not arrive, or its answer does not."""
        self.model.let(at, fail=True)

    @precondition(lambda self: self.model.unseen())
    @rule(at=which)
    def watch(self, at: int) -> None:
        """An event arrives, in any order."""
        unseen = self.model.unseen()
        self.model.show(self.world, unseen[at % len(unseen)])

    @rule()
    def watch_all(self) -> None:
        """All events arrive."""
        self.model.show_all(self.world)

    # -- Kubernetes ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.deployments)
    @rule(at=which)
    def follow(self, at: int) -> None:
        """A Deployment's number is passed on to its ReplicaSet."""
        all_ = list(self.model.deployments)
        self.model.follow(all_[at % len(all_)])

    @precondition(lambda self: self.model.replica_sets)
    @rule(at=which)
    def catch_up(self, at: int) -> None:
        """The controller of a ReplicaSet sees how things are."""
        all_ = list(self.model.replica_sets)
        self.model.catch_up(all_[at % len(all_)])

    @precondition(lambda self: self.model.replica_sets)
    @rule(at=which, chance=chances)
    def replicate(self, at: int, chance: random.Random) -> None:
        """It acts, by what it saw last, however long ago that was."""
        all_ = list(self.model.replica_sets)
        self.model.replicate(all_[at % len(all_)], chance)

    @precondition(lambda self: self._some(_homeless))
    @rule(at=which, node=st.sampled_from((*NODES, "")))
    def place(self, at: int, node: str) -> None:
        """The scheduler has a node for a pod, or none."""
        self.model.place(self._one(at, _homeless), node)

    @precondition(lambda self: self._some(self._may_start))
    @rule(at=which)
    def start(self, at: int) -> None:
        """A worker is up. That takes longer than a watch needs to show its pod."""
        self.model.start(self._one(at, self._may_start))

    def _may_start(self, pod: Pod) -> bool:
        return bool(pod.node) and pod.ready_at is None and self.model.knows(pod) and self.model.redis_up

    @precondition(lambda self: self._some(_stays))
    @rule(at=which)
    def evict(self, at: int) -> None:
        """A node is drained."""
        self.model.evict(self._one(at, _stays))

    @precondition(lambda self: self._some(_through))
    @rule(at=which)
    def leave(self, at: int) -> None:
        """A worker that was stopped is through."""
        self.model.leave(self._one(at, _through))

    def _some(self, fit: Callable[[Pod], bool]) -> bool:
        return any(map(fit, self.model.pods.values()))

    def _one(self, at: int, fit: Callable[[Pod], bool]) -> Pod:
        pods = list(filter(fit, self.model.pods.values()))
        return pods[at % len(pods)]

    # -- workers and Redis ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self._some(_up))
    @rule(at=which)
    def beat(self, at: int) -> None:
        """A worker beats."""
        self.model.beat(self._one(at, _up))

    @precondition(lambda self: self.model.waiting and self._some(self._takes))
    @rule(at=which)
    def take(self, at: int) -> None:
        """A worker takes a task."""
        self.model.take(self._one(at, self._takes))

    def _takes(self, pod: Pod) -> bool:
        return pod.consuming and pod.running < CONCURRENCY and self.model.redis_up and not self.spec["paused"]

    @precondition(lambda self: self._some(_works))
    @rule(at=which)
    def finish(self, at: int) -> None:
        """A task ends."""
        self.model.finish(self._one(at, _works))

    @rule()
    def redis(self) -> None:
        """Redis goes away, or comes back."""
        self.model.redis_up = not self.model.redis_up

    @precondition(lambda self: self._some(self._marked))
    @rule(at=which)
    def lose_mark(self, at: int) -> None:
        """A drain mark is lost, as when the container of a worker starts anew."""
        self.model.marks.discard(self._one(at, self._marked).id)

    def _marked(self, pod: Pod) -> bool:
        return pod.id in self.model.marks

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.5, 1.0, 2.5, 8.0, 70.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.model.pass_time(seconds)

    @precondition(lambda self: self.model.redis_up)
    @rule(rounds=st.integers(1, 6), chance=chances)
    def all_do_their_part(self, rounds: int, chance: random.Random) -> None:
        """A while without disturbance, so that there is something to disturb."""
        for _ in range(rounds):
            self._everyone(chance)

    # -- what has to hold ----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_wrong(self) -> None:
        """No worker is removed with a task, and there are never too many."""
        assert not self.model.wrongs

    def _calm_down(self) -> None:
        """Everyone does their part, until nothing changes any more."""
        model = self.model
        model.redis_up = True
        chance = random.Random(0)  # noqa: S311  not for secrets
        rested = 0
        for _ in range(150):
            self._everyone(chance)
            self.nothing_wrong()
            rested = rested + 1 if not self._missing() else 0
            if rested == 3:
                return
        pytest.fail(f"does not come to rest: {self._missing()}")

    def _everyone(self, chance: random.Random) -> None:
        model = self.model
        model.show_all(self.world)
        self.look_and_act()
        model.control(chance)
        model.show_all(self.world)
        for pod in list(model.pods.values()):
            if not pod.node:
                model.place(pod, NODES[0])
            elif self._may_start(pod):
                model.start(pod)
            while pod.running and chance.random() < 0.5:
                model.finish(pod)
            if pod.terminating and not pod.running:
                model.leave(pod)
            elif model.waiting and self._takes(pod):
                model.take(pod)
        model.pass_time(BEAT_S)

    def _missing(self) -> str:
        """What is not as it should be in the end."""
        model, paused = self.model, self.spec["paused"]
        wanted = 0 if paused else self.spec["minimum"]
        present = {plan.deployment for plan in self.controller.fleets["studio", NAME].blueprints}
        replicas = {name: one["spec"]["replicas"] for name, one in model.deployments.items()}
        pods = list(model.pods.values())
        checks = {
            "work waits": paused or not model.waiting,
            "a task runs": not any(pod.running for pod in pods),
            f"not {wanted} workers": len(pods) == wanted == sum(replicas.values()),
            "an old revision is left": replicas.keys() <= present,
            "a worker takes nothing": all(pod.consuming for pod in pods),
            "a cost is left": not any(pod.cost for pod in pods),
            "a mark is left": not model.marks & {pod.id for pod in pods},  # one of a pod that is gone does no harm
        }
        faults = [what for what, fine in checks.items() if not fine]
        told = [(pod.name, pod.running, pod.beat, pod.cost, pod.terminating) for pod in pods]
        return f"{faults}: {replicas}, {told}, marks {model.marks}, waiting {model.waiting}" if faults else ""


AnyOrder.TestCase.settings = settings(
    deadline=None,
    max_examples=40,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
test_whatever_comes_first_no_task_is_cut_off_and_all_ends_well = AnyOrder.TestCase
