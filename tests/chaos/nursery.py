"""Starts programs fast, so that a campaign can kill hundreds of them.

Most of what a program of ours does until it is ready is to load its code. The nursery is a process that has loaded it, and
forks: each child is the program as it is, with a session, an environment and a log of its own, and is at work after a fifth of a
second, with a twentieth of the CPU.

    python -m tests.chaos.nursery MODULE…      then, for each program, a line of JSON; answered by its process id
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from threading import Lock

import psutil

from tests.support.servers import clean_environment

OURS = (
    *("genfleet_workers.main", "genfleet_service.main", "genfleet_service.app", "uvicorn.protocols.http.h11_impl"),
    *("tests.support.engines", "celery.apps.worker", "celery.concurrency.prefork", "celery.worker.consumer"),
    *("celery.worker.components", "celery.worker.strategy", "kombu.transport.redis", "celery.app.amqp"),
)
"""What our workers and API load."""
STOCK = (
    *("tests.support.servers", "celery.bin.celery", "celery.apps.worker", "celery.concurrency.prefork"),
    *("celery.worker.consumer", "celery.worker.components", "celery.worker.strategy", "kombu.transport.redis"),
)
"""What the workers of `stock.py` load; not that itself, which reads its environment then."""


@dataclass(slots=True)
class Program:
    """What the nursery started."""

    pid: int

    def alive(self) -> bool:
        """Whether it runs."""
        return psutil.pid_exists(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """To it and all its processes: it leads a group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, to all of it at once."""
        self.signal(signal.SIGKILL)


@dataclass(slots=True)
class Nursery:
    """Safe to use from several threads."""

    process: subprocess.Popen[str]
    started: list[Program] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def start(self, module: str, *arguments: str, log: Path, environment: Mapping[str, str]) -> Program:
        """As `python -m module arguments` would."""
        asked = {"module": module, "arguments": arguments, "log": str(log), "environment": dict(environment)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self._lock:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
            program = Program(int(self.process.stdout.readline()))
            self.started.append(program)
        return program


@contextmanager
def nursery(modules: tuple[str, ...] = OURS) -> Iterator[Nursery]:
    """One that has loaded these; nothing that it started is left afterwards."""
    command = [sys.executable, "-m", "tests.chaos.nursery", *modules]
    process = subprocess.Popen(
        command, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    made = Nursery(process)
    try:
        yield made
    finally:
        for program in made.started:
            program.kill()
        process.communicate(timeout=10)  # its input ends, and so does it


def main(modules: list[str]) -> int:
    """Load them, then fork for each line."""
    for module in modules:
        import_module(module)
    gc.freeze()  # what is shared stays shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        asked = json.loads(line)
        if (pid := os.fork()) == 0:
            os._exit(_become(**asked))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    return 0


def _become(module: str, arguments: list[str], log: str, environment: dict[str, str]) -> int:
    """The program, until it ends. Its exit status."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with Path(log).open("ab") as output, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.update(environment)
    sys.argv[1:] = arguments
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except BaseException:  # noqa: BLE001  it goes to its log, as it would go to that of a program
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
