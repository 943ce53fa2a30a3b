"""What many queues cost one operator, at rest and with work for any of them, and how fast it follows then.

Pods stay Pending on purpose, see `bench.reaction`. Numbers of queues: GENFLEET_BENCH_QUEUES, such as 200,500. Seconds
at rest: GENFLEET_BENCH_REST. Submissions, ten a second: GENFLEET_BENCH_SUBMISSIONS, each to a queue that has no work.

    python -m bench.queues
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import time
from dataclasses import dataclass
from itertools import pairwise

from bench import cluster
from bench.cluster import NOWHERE, Stage, Use, percentile, say, until
from bench.report import table
from genfleet_operator.kube import QUEUES

AT_ONCE = 16
"""Requests at a time when queues are declared."""
A_SECOND = 10
"""Submissions."""
SETTLES_S = 5.0
"""Between the last status and the rest."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What so many queues cost."""

    queues: int
    settled_s: float
    """From the first declaration to the last status."""
    rest: Use
    work: Use
    commands: tuple[float, float]
    """Commands that Redis carried out a second, at rest and at work; those of the submissions included."""
    reactions: list[float]


async def _declare(stage: Stage, number: int) -> float:
    """Declare the queues, all at once. Seconds until each has a status."""
    turns, began = asyncio.Semaphore(AT_ONCE), time.monotonic()

    async def declare(name: str) -> None:
        async with turns:
            await stage.apply_queue(
                name, pool=NOWHERE, maxReplicas=20, target={"tasksPerWorker": 1}, cooldownSeconds=600
            )

    await asyncio.gather(*(declare(_name(at)) for at in range(number)))

    async def all_told() -> bool:
        queues = [queue async for queue in stage.client.list(QUEUES, namespace=stage.namespace, chunk_size=500)]
        return sum("observedGeneration" in (queue.get("status") or {}) for queue in queues) == number

    await until(f"{number} queues have a status", all_told, within=300)
    return time.monotonic() - began


def _name(at: int) -> str:
    return f"queue-{at:04}"


async def _commands(stage: Stage) -> int:
    return int((await asyncio.to_thread(stage.redis.client.info, "stats"))["total_commands_processed"])


async def _react(stage: Stage, name: str) -> float:
    """Seconds from a submission to one replica more."""
    before, began = stage.replicas.of(name), time.monotonic()
    await stage.submit(name, 1)
    return await stage.replicas.become(name, lambda replicas: replicas > before, within=60) - began


async def _work(stage: Stage, queues: int, submissions: int) -> list[float]:
    """Ten submissions a second, on average, to queues at random; none twice until all had one."""
    reactions: list[float] = []
    for _ in range(0, submissions, queues):
        chosen = random.sample(range(queues), min(queues, submissions - len(reactions)))
        running = []
        for at in chosen:
            running.append(asyncio.create_task(_react(stage, _name(at))))
            await asyncio.sleep(random.expovariate(A_SECOND))
        reactions += await asyncio.gather(*running)
    return reactions


async def measured(queues: int, rest_s: float, submissions: int) -> Outcome:
    """The operator, with so many queues."""
    async with cluster.stage() as stage, cluster.operator(stage) as operator:
        settled = await _declare(stage, queues)
        say(f"{queues} queues have a status after {settled:.0f} s; {rest_s:g} s at rest follow")
        await asyncio.sleep(SETTLES_S)
        marks, commands = [await operator.mark()], [await _commands(stage)]
        await asyncio.sleep(rest_s)
        marks.append(await operator.mark())
        commands.append(await _commands(stage))
        say(f"{submissions} submissions follow")
        reactions = await _work(stage, queues, submissions)
        marks.append(await operator.mark())
        commands.append(await _commands(stage))
        seconds = [after.at - before.at for before, after in pairwise(marks)]
        return Outcome(
            queues=queues,
            settled_s=settled,
            rest=marks[1].since(marks[0]),
            work=marks[2].since(marks[1]),
            commands=((commands[1] - commands[0]) / seconds[0], (commands[2] - commands[1]) / seconds[1]),
            reactions=reactions,
        )


def rows(outcome: Outcome) -> list[tuple[object, ...]]:
    """Two lines of the table."""
    milliseconds = [1000 * seconds for seconds in outcome.reactions]
    worked = (
        f"{statistics.median(milliseconds):.0f}",
        f"{percentile(milliseconds, 99):.0f}",
        f"{max(milliseconds):.0f}",
    )
    return [
        (
            f"{outcome.queues} queues, {what}",
            f"{use.cpu_percent / 100:.2f}",
            f"{use.rss_mib:.0f}",
            f"{use.round_trips:.1f}",
            f"{commands:.0f}",
            f"{use.api_requests:.1f}",
            *reactions,
        )
        for what, use, commands, reactions in (
            ("at rest", outcome.rest, outcome.commands[0], ("-", "-", "-")),
            (f"{len(milliseconds)} submissions", outcome.work, outcome.commands[1], worked),
        )
    ]


HEAD = (
    "one operator",
    "cores",
    "MiB",
    "Redis round trips/s",
    "Redis commands/s, all programs",
    "API requests/s",
    "reaction, median ms",
    "p99 ms",
    "longest ms",
)


async def measure() -> None:
    """Measure and print."""
    sizes = [int(size) for size in os.environ.get("GENFLEET_BENCH_QUEUES", "200,500").split(",")]
    rest, submissions = cluster.number("REST", 60), cluster.number("SUBMISSIONS", 200)
    outcomes = [await measured(size, rest, submissions) for size in sizes]
    sys.stdout.write(table(HEAD, [row for outcome in outcomes for row in rows(outcome)]))
    told = ", ".join(f"{outcome.queues} after {outcome.settled_s:.0f} s" for outcome in outcomes)
    sys.stdout.write(f"\nEvery queue had its status: {told}.\n")


def main() -> None:
    """Measure on the cluster of KUBECONFIG."""
    cluster.run(measure)


if __name__ == "__main__":
    main()
