"""Starts controllers again and again without the second that Python needs to load one: a process that has loaded them forks.

What is forked is a process of its own, and runs the program from its first line on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.servers import ROOT, clean_environment
from tests.support.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Started:
    """A process that was started."""

    pid: int

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        return False

    def kill(self) -> None:
        """SIGKILL. Returns when it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        wait_for("it is gone", lambda: not self.alive)


@dataclass(slots=True)
class Starter:
    """The process that forks. Safe to use from any thread."""

    process: subprocess.Popen[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def start(self, program: str, environment: Mapping[str, str], log: Path) -> Iterator[Started]:
        """`genfleet-operator`, or `kopf`; killed at the end."""
        assert self.process.stdin
        assert self.process.stdout
        order = {"program": program, "environment": {**clean_environment(), **environment}, "log": str(log)}
        with self.lock:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            started = Started(int(self.process.stdout.readline()))
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def starting() -> Iterator[Starter]:
    """One that is ready."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.starter"],
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Starter(process)


def _serve() -> None:
    """Fork for each order, and say the number of the process."""
    import kopf.cli
    import lightkube.resources.apps_v1  # noqa: F401  of plain_kopf.py

    from genfleet_operator import main

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            break
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    else:
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    log, nothing = (
        os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        os.open(os.devnull, os.O_RDONLY),
    )
    for there, wanted in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(there, wanted)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv[1:] = []
    if order["program"] == "kopf":
        kopf.cli.main(["run", "-n", "default", str(ROOT / "tests/chaos/plain_kopf.py")])
    else:
        sys.exit(main.main())


if __name__ == "__main__":
    _serve()
