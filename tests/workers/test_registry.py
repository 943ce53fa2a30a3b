"""Which engines a worker has, and what it loads for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from genfleet.contract.task_types import TASK_TYPES
from genfleet_workers.engines import engines
from genfleet_workers.settings import WorkerSettings

LOOK = """
import sys
import genfleet_workers.app
from genfleet_workers.engines import engines
from genfleet_workers.settings import WorkerSettings
engines(WorkerSettings(queue=sys.argv[1]))
print(*sorted({"numpy", "PIL"} & sys.modules.keys()))
"""


def test_every_type_that_is_accepted_has_an_engine_and_no_other() -> None:
    """TS-017: what the API accepts, the workers can run; there is no engine that nobody could reach."""
    assert set(engines(WorkerSettings())) == set(TASK_TYPES)


@pytest.mark.parametrize(("queue", "loaded"), [("default", ""), ("gpu_medium", "PIL numpy")])
def test_a_worker_loads_what_its_queue_needs(queue: str, loaded: str) -> None:
    """TS-115: a worker that makes no pictures holds no picture libraries; one that does has them before its first task."""
    command = [sys.executable, "-c", LOOK, queue]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == loaded
