"""Busy workers killed while a fleet of 200 follows a load that swings: by the operator, and by a ReplicaSet left alone.

The workers are simulated ones, on nodes that only look as if they ran pods (label `type: simulated`, as with KWOK). The
demand jumps between 10 and 200 tasks and is kept there, so that some are at work whenever others have to leave. The
comparison sets the replicas of a plain Deployment to the same kind of demand, with the same cooldown.
Swings up and down: GENFLEET_BENCH_SWINGS, of the comparison GENFLEET_BENCH_PLAIN_SWINGS; the greatest demand:
GENFLEET_BENCH_WORKERS; the seed: GENFLEET_BENCH_SEED.

    python -m bench.busy
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from bench import cluster, simulated
from bench.cluster import IMAGE, NODES, Json, Stage, say, until
from bench.report import table
from bench.simulated import Crew
from genfleet.contract.keys import key
from genfleet_operator import names
from genfleet_operator.kube import DEPLOYMENTS

LABELS = {"type": "simulated"}
"""Of nodes whose pods only look as if they ran."""
PLACE: Json = {"nodeSelector": LABELS, "tolerations": [{"key": "simulated", "operator": "Exists"}]}
FEWEST = 10
HOLD_S = (3.0, 8.0)
"""How long a demand is kept at least."""
FOLLOWS_WITHIN_S = 25.0
"""How much longer it is kept until the replicas have come half way; a swing that nobody follows shows nothing."""
COOLDOWN_S = 2
QUEUE = "gpu_medium"
"""One that the chores know: what is lost between two steps comes back by them."""
END_WITHIN_S = 180.0


@dataclass(slots=True)
class Load:
    """Keeps the demand at a mark."""

    stage: Stage
    queue: str
    mark: int = 0
    over: bool = False
    submitted: list[str] = field(default_factory=list)

    async def keep(self) -> None:
        """Submit what is missing, until it is over."""
        while not self.over:
            missing = self.mark - await self.stage.demand(self.queue)
            if missing > 0:
                self.submitted += await self.stage.submit(self.queue, missing)
            await asyncio.sleep(0.1)

    async def swing(self, chance: random.Random, most: int, times: int, size: Callable[[], int]) -> None:
        """Up and down so often, to somewhere in the upper and somewhere in the lower half."""
        middle = (FEWEST + most) // 2
        for number in range(1, times + 1):
            reached = []
            for lowest, highest in ((middle, most), (FEWEST, middle)):
                before, self.mark = size(), chance.randint(lowest, highest)
                await asyncio.sleep(chance.uniform(*HOLD_S))
                await self._half_way(abs(before - self.mark) / 2, size)
                reached.append(f"{size()} replicas for {self.mark} tasks")
            say(f"swing {number} of {times}: {', then '.join(reached)}")
        self.over = True

    async def _half_way(self, distance: float, size: Callable[[], int]) -> None:
        """Wait until the replicas are so near to the mark, but not for ever."""

        async def is_near() -> bool:
            return abs(size() - self.mark) <= distance

        with suppress(TimeoutError):
            await until("the replicas follow", is_near, within=FOLLOWS_WITHIN_S)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    what: str
    swings: int
    most: int
    stopped: int
    busy: int
    counted: str
    """Busy workers that were stopped, by the operator's own count."""
    submitted: int
    completed_once: int
    not_once: int
    counter: int

    def row(self) -> tuple[object, ...]:
        """A line of the table."""
        return (
            self.what,
            self.swings,
            self.most,
            self.stopped,
            self.busy,
            self.counted,
            self.submitted,
            self.completed_once,
            self.not_once,
            self.counter,
        )


HEAD = (
    "who removes workers",
    "swings",
    "workers at most",
    "workers stopped",
    "busy ones",
    "busy ones by the operator's count",
    "tasks submitted",
    "completed once",
    "not once",
    "completed by Redis' count",
)


async def _completed(stage: Stage) -> int:
    return int(await asyncio.to_thread(stage.redis.client.hget, key("counters"), "completed_tasks") or 0)


async def _settled(stage: Stage, crew: Crew, load: Load, owner: str) -> None:
    """Wait until all work is done and all workers have gone."""

    async def is_over() -> bool:
        return not await stage.demand(load.queue) and not stage.replicas.of(owner) and not crew.size

    await until("all work is done and all workers have gone", is_over, within=END_WITHIN_S)


async def followed(stage: Stage, seed: str, most: int, swings: int) -> Outcome:
    """The operator follows the load."""
    target = {"tasksPerWorker": 1}
    await stage.apply_queue(
        "busy", queue=QUEUE, pool=PLACE, maxReplicas=most, target=target, cooldownSeconds=COOLDOWN_S
    )
    load, labels = Load(stage, QUEUE), {names.QUEUE: "busy"}
    async with cluster.operator(stage) as operator, simulated.crew(stage, QUEUE, labels, seed) as crew:
        keeping = asyncio.create_task(load.keep())
        await load.swing(random.Random(seed), most, swings, lambda: stage.replicas.of("busy"))  # noqa: S311  no secret
        await keeping
        await _settled(stage, crew, load, "busy")
        by_us, by_others = [
            round(await operator.total("genfleet_busy_workers_stopped_total", {"by": by}))
            for by in ("scaling", "other")
        ]
        return await _outcome("the operator", swings, crew, load, f"{by_us} by scaling, {by_others} by others")


async def alone(stage: Stage, seed: str, most: int, swings: int) -> Outcome:
    """A loop sets the replicas of a Deployment to the demand, and its ReplicaSet picks who goes."""
    labels = {"app": "plain"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "worker", "image": IMAGE}], **PLACE},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "plain"}, "spec": spec}
    await stage.apply(DEPLOYMENTS, document)
    load = Load(stage, "cpu_intensive")
    async with simulated.crew(stage, load.queue, labels, seed) as crew:
        keeping = asyncio.create_task(load.keep())
        scaling = asyncio.create_task(_scale(stage, load.queue, most))
        await load.swing(random.Random(seed), most, swings, lambda: stage.replicas.of("plain"))  # noqa: S311  no secret
        await keeping
        await _settled(stage, crew, load, "plain")
        await cluster.ended(scaling)
        return await _outcome("the ReplicaSet alone", swings, crew, load, "-")


async def _scale(stage: Stage, queue: str, most: int) -> None:
    """At once up, and down to the highest demand of the cooldown."""
    seen: list[tuple[float, int]] = []
    while True:
        now = time.monotonic()
        seen = [one for one in seen if one[0] > now - COOLDOWN_S] + [(now, min(most, await stage.demand(queue)))]
        wanted = max(demand for _, demand in seen)
        if wanted != stage.replicas.of("plain"):
            await stage.client.patch(DEPLOYMENTS, "plain", {"spec": {"replicas": wanted}}, namespace=stage.namespace)
        await asyncio.sleep(0.25)


async def _outcome(what: str, swings: int, crew: Crew, load: Load, counted: str) -> Outcome:
    once = sum(crew.completed[task_id] == 1 for task_id in load.submitted)
    return Outcome(
        what=what,
        swings=swings,
        most=crew.most,
        stopped=crew.stopped,
        busy=crew.stopped_busy,
        counted=counted,
        submitted=len(load.submitted),
        completed_once=once,
        not_once=len(load.submitted) - once + crew.refused,
        counter=await _completed(load.stage),
    )


async def measure() -> None:
    """Measure and print."""
    seed, most = str(cluster.number("SEED", 4)), cluster.number("WORKERS", 200)
    swings = {followed: cluster.number("SWINGS", 50), alone: cluster.number("PLAIN_SWINGS", 10)}
    outcomes = []
    for course, times in swings.items():
        async with cluster.stage() as stage:
            if not [node async for node in stage.client.list(NODES, labels=LABELS)]:
                raise cluster.AbsentError("the cluster has no simulated nodes (label type: simulated)")
            say(f"{course.__name__}, seed {seed}")
            outcomes.append(await course(stage, seed, most, times))
    sys.stdout.write(table(HEAD, [outcome.row() for outcome in outcomes]))
    sys.stdout.write(f"\nSeed {seed}.\n")


def main() -> None:
    """Measure on the cluster of KUBECONFIG."""
    cluster.run(measure)


if __name__ == "__main__":
    main()
