"""What a worker tells of its machine and its processes (TS-058, TS-077)."""

from __future__ import annotations

import os
from typing import Any

import psutil

from genfleet_workers.family import Family
from genfleet_workers.gpus import Gpus


class Machine:
    """The machine that this worker runs on."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._gpus = Gpus(os.environ)
        self._gpus.start()
        psutil.cpu_percent()  # the first call only sets the mark that the next one measures from

    def describe(self) -> dict[str, Any]:
        """Load of the machine and of its GPUs, and memory of the worker's processes in bytes, by process id."""
        return {
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            **self._gpus.describe(),
            "memory_bytes": self._family.memory(),
        }
