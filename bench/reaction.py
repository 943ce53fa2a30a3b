"""From a submission to `spec.replicas`, as the API server tells it; and back to zero. Beside KEDA, where it is there.

Pods stay Pending on purpose: how fast a node starts one is not measured, and is the same for both.
Trials: GENFLEET_BENCH_TRIALS; of KEDA GENFLEET_BENCH_KEDA_TRIALS, and of its default settings, where one trial takes
minutes, GENFLEET_BENCH_KEDA_DEFAULT_TRIALS. 0 leaves it out.

    python -m bench.reaction
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence

from bench import cluster, keda
from bench.cluster import NOWHERE, Stage, percentile, say
from bench.report import table

MANY = 20
PAUSE_S = 2.0
"""Longest pause before a submission: two turns of the operator's loop."""
ZERO_TRIALS = 5
COOLDOWN_S = 10

Row = tuple[object, ...]


def row(what: str, seconds: Sequence[float]) -> Row:
    """A line of the table. Milliseconds where they say more."""
    unit, factor = ("ms", 1000) if max(seconds) < 1 else ("s", 1)
    shown = [
        f"{value * factor:.3g} {unit}" for value in (statistics.median(seconds), percentile(seconds, 99), max(seconds))
    ]
    return (what, len(seconds), *shown)


async def rising(stage: Stage, replicas: int, trials: int) -> list[float]:
    """Seconds from the submission of so many tasks to as many replicas."""
    took = []
    for trial in range(trials):
        await stage.replicas.become("rising", lambda number: number == 0, within=60)
        await cluster.random_pause(PAUSE_S)
        began = time.monotonic()
        ids = await stage.submit("rising", replicas)
        there = await stage.replicas.become("rising", lambda number: number >= replicas, within=60)
        took.append(there - began)
        await stage.cancel(ids)
        say(f"0 → {replicas}, trial {trial + 1} of {trials}: {took[-1] * 1000:.0f} ms")
    return took


async def falling(stage: Stage, trials: int) -> list[float]:
    """Seconds from the cancellation of all work to no replicas."""
    took = []
    for trial in range(trials):
        ids = await stage.submit("falling", MANY)
        await stage.replicas.become("falling", lambda number: number == MANY, within=60)
        await cluster.random_pause(PAUSE_S)
        began = time.monotonic()
        await stage.cancel(ids)
        took.append(await stage.replicas.become("falling", lambda number: number == 0, within=120) - began)
        say(f"back to zero, trial {trial + 1} of {trials}: {took[-1]:.2f} s")
    return took


async def ours(stage: Stage, trials: int) -> list[Row]:
    """What the operator does."""
    target = {"tasksPerWorker": 1}
    await stage.apply_queue("rising", pool=NOWHERE, maxReplicas=MANY, target=target, cooldownSeconds=1)
    await stage.apply_queue("falling", pool=NOWHERE, maxReplicas=MANY, target=target, cooldownSeconds=COOLDOWN_S)
    async with cluster.operator(stage):
        return [
            row("genfleet 0 → 1", await rising(stage, 1, trials)),
            row(f"genfleet 0 → {MANY}", await rising(stage, MANY, trials)),
            row(f"genfleet → 0, cooldown {COOLDOWN_S} s", await falling(stage, min(trials, ZERO_TRIALS))),
        ]


async def theirs(stage: Stage) -> list[Row]:
    """What KEDA does, for the same pods and from the same Redis."""
    rows: list[Row] = []
    for settings, default in ((keda.AGGRESSIVE, 8), (keda.DEFAULT, 0)):
        trials = cluster.number(settings.trials, default)
        if not trials:
            continue
        for replicas in (1, MANY):
            risen, fallen = await keda.measure(stage, settings, replicas, trials)
            rows.append(row(f"KEDA, {settings.name}, 0 → {replicas}", risen))
            if fallen:
                rows.append(row(f"KEDA, {settings.name}, {replicas} → 0, cooldown {settings.cooldown_s} s", fallen))
    return rows


async def measure() -> None:
    """Measure and print."""
    async with cluster.stage() as stage:
        rows = await ours(stage, cluster.number("TRIALS", 30))
        try:
            await keda.look_for(stage)
            rows += await theirs(stage)
        except cluster.AbsentError as error:
            say(f"KEDA is not measured: {error}")
    sys.stdout.write(table(("from the submission to spec.replicas", "trials", "median", "p99", "longest"), rows))


def main() -> None:
    """Measure on the cluster of KUBECONFIG."""
    cluster.run(measure)


if __name__ == "__main__":
    main()
