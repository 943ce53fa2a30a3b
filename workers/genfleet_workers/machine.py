"""What a worker tells of its machine and its processes (TS-058, TS-077)."""

from __future__ import annotations

import os
from typing import Any

import psutil

from genfleet_workers.family import Family


class Machine:
    """The machine that this worker runs on."""

    def __init__(self, family: Family) -> None:
        self._family = family
        psutil.cpu_percent()  # the first call only sets the mark that the next one measures from

    def describe(self) -> dict[str, Any]:
        """Load of the machine, and memory of the worker's processes in bytes, by process id."""
        return {
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            "gpu_utilization": [],  # filled by the GPU engines, which come with a later version
            "memory_bytes": self._family.memory(),
        }
