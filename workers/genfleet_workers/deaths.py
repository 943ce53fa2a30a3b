"""Why a process died, in words for people: what its parent heard of it, and what the kernel's memory controller counted."""

from __future__ import annotations

import re
from pathlib import Path

_ENDED = re.compile(r"(?P<signal>signal \d+ \(\w+\))|exitcode (?P<status>\d+)")
_CONTROL_GROUPS = Path("/sys/fs/cgroup")


class Deaths:
    """Tells of deaths, one after another: the counters of the kernel only say that there was one more."""

    def __init__(self) -> None:
        self._counter = _counter()
        self._killed = self._count()

    def tell(self, error: Exception) -> str:
        """What a process died of. `error` is what billiard says."""
        killed, before = self._count(), self._killed
        self._killed = killed
        found = _ENDED.search(str(error))
        if found is None:
            return f"its process was lost: {error}"
        if found["status"] is not None:
            return f"its process ended by itself, with status {found['status']}"
        if "SIGKILL" in found["signal"] and killed > before:
            return "its process was killed by the kernel: there was no more memory (OOM)"
        return f"its process was killed by {found['signal']}"

    def _count(self) -> int:
        """How many processes of our control group the kernel has killed for their memory. 0: it cannot be read here."""
        try:
            counted = dict(line.split() for line in self._counter.read_text().splitlines()) if self._counter else {}
        except (OSError, ValueError):
            return 0
        return int(counted.get("oom_kill", 0))


def _counter() -> Path | None:
    """The file that counts, of either version of the control groups. In a container its own group is the root."""
    try:
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return None
    for _, controllers, path in groups:
        if controllers == "memory":
            folder, name = _CONTROL_GROUPS / "memory", "memory.oom_control"
        elif not controllers:
            folder, name = _CONTROL_GROUPS, "memory.events"
        else:
            continue
        for file in (folder / path.lstrip("/") / name, folder / name):
            if file.exists():
                return file
    return None
