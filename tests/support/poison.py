"""Engines that harm the process they run in, as bad inputs, bad libraries and bad luck do.

Nothing here is played: what is said to segfault does. Each is bounded by itself, should the worker fail to stop it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genfleet.contract.task_types import TASK_TYPES
from genfleet_workers.engines import ffmpeg
from genfleet_workers.engines.base import Engine, Job, Product, Report
from tests.support.engines import Acting

BOUND_S = 60
"""Nothing of this lasts longer."""
MANY = 40
"""Processes of the fork bomb: within what any machine bears, above the limit that tests set."""
MUCH = 400_000_000
"""Bytes that are taken of memory or disk at the most."""


class Unspeakable(Exception):
    """It can be neither shown nor pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.code = lambda: None

    def __str__(self) -> str:
        raise RuntimeError("no words")

    def __reduce__(self) -> str:
        raise TypeError("not to be pickled")


def _killed(_job: Job) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _segfault(_job: Job) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)
    return {}


def _exited(_job: Job) -> dict[str, Any]:
    os._exit(0)


def _exited_badly(_job: Job) -> dict[str, Any]:
    os._exit(3)


def _memory(_job: Job) -> dict[str, Any]:
    taken = [bytearray(os.urandom(1)) * (MUCH // 8) for _ in range(8)]
    time.sleep(BOUND_S)
    return {"taken": len(taken)}


def _bomb(job: Job) -> dict[str, Any]:
    """Every other one in a session of its own, so that no process group holds them; and one left without its parent."""
    for number in range(MANY):
        if os.fork() == 0:
            if number % 2:
                os.setsid()
            if number == 0 and os.fork():
                os._exit(0)
            (job.folder.parent.parent / "bomb").open("a").write(f"{os.getpid()}\n")
            time.sleep(BOUND_S)
            os._exit(0)
    time.sleep(BOUND_S)
    return {}


def _disk(job: Job) -> dict[str, Any]:
    with (job.folder / "much").open("wb") as file:
        for _ in range(MUCH // 4_000_000):
            file.write(b"0" * 4_000_000)
            file.flush()
            time.sleep(0.002)
    time.sleep(BOUND_S)
    return {}


def _closed(_job: Job) -> dict[str, Any]:
    os.closerange(3, 1024)
    return {}


def _large(_job: Job) -> dict[str, Any]:
    return {"text": "x" * 50_000_000}


def _unspeakable(_job: Job) -> dict[str, Any]:
    raise Unspeakable


def _left(_job: Job) -> dict[str, Any]:
    sys.exit(7)


def _no_json(_job: Job) -> dict[str, Any]:
    return {"file": object()}


def _half_letters(_job: Job) -> dict[str, Any]:
    raise ValueError("no such file: \udcff\udcfe" + "x" * 10_000_000)


def _babble(_job: Job) -> dict[str, Any]:
    """Endless output, until the soft limit."""
    while True:
        os.write(2, b"y" * 1000 + b"\n")
        time.sleep(0.001)


def _deaf(_job: Job) -> dict[str, Any]:
    """Neither SIGTERM nor the soft limit, and a helper that does not hear them either."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    subprocess.run(["/bin/sleep", str(BOUND_S)], check=False)
    return {}


def _helped(_job: Job) -> dict[str, Any]:
    """Waits for a tool, as the engines here do."""
    ffmpeg.run_child(["sleep", str(BOUND_S)], lambda: None)
    return {}


DEADLY: dict[str, tuple[Callable[[Job], dict[str, Any]], str]] = {
    "kills itself": (_killed, "its process was killed by signal 9 (SIGKILL)"),
    "segfaults": (_segfault, "its process was killed by signal 11 (SIGSEGV)"),
    "exits": (_exited, "its process ended by itself, with status 0"),
    "exits badly": (_exited_badly, "its process ended by itself, with status 3"),
    "eats memory": (_memory, "of memory, and 300 MB is the limit"),
    "forks": (_bomb, "processes, and 20 is the limit"),
    "fills the disk": (_disk, "of unfinished files, and 100 MB is the limit"),
}
"""What takes its process with it, and what its story says then, given `LIMITS`."""
AT_ONCE = "its process died as soon as it had begun"
"""What the story says instead where the pool had not even heard that it began."""
LIMITS = {
    "GENFLEET_MEMORY_LIMIT": "300000000",
    "GENFLEET_PROCESS_LIMIT": "20",
    "GENFLEET_SCRATCH_LIMIT": "100000000",
}
HARMLESS: dict[str, tuple[Callable[[Job], dict[str, Any]], str]] = {
    "makes a result of 50 MB": (_large, "The result has 47.7 MiB of JSON, and 1 MiB is the limit"),
    "raises what cannot be shown": (_unspeakable, "Unspeakable: its message cannot be read"),
    "leaves": (_left, "SystemExit: 7"),
    "makes no JSON": (_no_json, "The result of the engine cannot be written as JSON"),
    "says half letters": (_half_letters, "ValueError: no such file: ??xxx"),
    "ignores SIGTERM and the soft limit": (_deaf, "The hard time limit of 4 seconds was exceeded"),
}
"""What merely fails, and what the task is told."""
OTHERS = {"closes its files": _closed, "babbles": _babble, "waits for a tool": _helped}

ACTS = {name: act for name, (act, _) in (DEADLY | HARMLESS).items()} | OTHERS


class Poison(Acting):
    """Does what `poison` names, or what `Acting` does."""

    def run(self, job: Job, report: Report) -> Product:
        """Do what the task data says."""
        says: dict[str, Any] = job.data.model_extra or {}
        if "poison" not in says:
            return super().run(job, report)
        if "marks" in says:
            with Path(says["marks"]).open("a") as marks:
                marks.write(f"poison {job.task_id} {job.token} {os.getpid()}\n")
        return Product(values=ACTS[says["poison"]](job))


def engines(_settings: object) -> dict[str, Engine]:
    """One for every task type."""
    return dict.fromkeys(TASK_TYPES, Poison())
