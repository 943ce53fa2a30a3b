"""What a worker tells of its machine and its processes (TS-058, TS-077)."""

from __future__ import annotations

import os
from typing import Any

import psutil


class Machine:
    """The machine that this worker runs on."""

    def __init__(self) -> None:
        self._self = psutil.Process()
        psutil.cpu_percent()  # the first call only sets the mark that the next one measures from

    def describe(self) -> dict[str, Any]:
        """Load of the machine, and memory of the worker's processes in bytes, by process id."""
        return {
            "host": os.uname().nodename,
            "pid": self._self.pid,
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            "gpu_utilization": [],  # filled by the GPU engines, which come with a later version
            "memory_bytes": self._memory(),
        }

    def _memory(self) -> dict[str, int]:
        used = {}
        for process in (self._self, *self._self.children()):
            try:
                used[str(process.pid)] = process.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # it ended while we looked
        return used
