"""Rules, observations and workers to begin a test with: valid as they are, and a test changes what it is about."""

from __future__ import annotations

from genfleet.scaling.observation import Observation, Phase, WorkerView
from genfleet.scaling.policy import Policy, TasksPerWorker

NOW = 1_800_000_000.0
POLICY = Policy(min_replicas=0, max_replicas=10, concurrency=1, target=TasksPerWorker(2), cooldown=60)
SEEN = Observation(
    now=NOW, waiting=0, running=0, due=0, oldest_wait=None, service_seconds=None, paused=False, workers=()
)


def workers(idle: int = 0, busy: int = 0, leaving: int = 0) -> tuple[WorkerView, ...]:
    """Workers of which the busy and the leaving hold one task each."""
    kinds = [(Phase.READY, 1)] * busy + [(Phase.READY, 0)] * idle + [(Phase.DRAINING, 1)] * leaving
    return tuple(WorkerView(f"w{at}", phase, running) for at, (phase, running) in enumerate(kinds))
