"""The programs of one `genfleet up`: they never outlive it for long, and a terminal's ctrl-C does not reach behind its back.

On Linux the kernel tells them to end when we die, however we die. Everywhere the next `up` waits until they are gone: each
holds our claim on the folder as well, so that two servers never write the same file.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

import psutil

_SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before any fork
THE_KERNEL_TELLS = _libc is not None
"""Whether what we started is told to end when we die."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Starts programs, and notes them in the file that the claim on the folder is a lock of."""

    claim: TextIO | None = None
    """None: nobody has to find them."""

    def start(
        self, command: Sequence[str | Path], *, environment: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=() if self.claim is None else (self.claim.fileno(),),
                preexec_fn=partial(_die_with, os.getpid()),  # noqa: PLW1509  two system calls, and no lock is taken
            )
        self.note(process.pid)
        return process

    def note(self, pid: int) -> None:
        """A process of ours, for the next `up`."""
        if self.claim is not None:
            with suppress(psutil.NoSuchProcess):
                self.claim.write(f"{pid} {psutil.Process(pid).create_time()}\n")
                self.claim.flush()


def _die_with(parent: int) -> None:
    if _libc is not None:
        _libc.prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel knew that we want to be told
            os._exit(1)


@dataclass(frozen=True, slots=True)
class Noted:
    """Who was noted in a claim: the one that made it first, then what that started."""

    lines: tuple[str, ...]

    @classmethod
    def of(cls, claim: TextIO) -> Noted:
        """As far as it is written."""
        claim.seek(0)
        return cls(tuple(claim.read().splitlines()))

    @property
    def owner_lives(self) -> bool:
        """Whether the one that made the claim runs. Also when it has not noted itself yet."""
        return not self.lines or bool(_group(self.lines[0], leader_only=True))

    @property
    def left(self) -> list[psutil.Process]:
        """What it started and what those started, as far as that still runs."""
        return [process for line in self.lines[1:] for process in _group(line)]


def _group(line: str, *, leader_only: bool = False) -> list[psutil.Process]:
    """The processes of a program that was noted. A number may be somebody else's by now: the moment of birth tells."""
    number, _, born = line.partition(" ")
    pid = int(number)
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        if leader.create_time() != float(born):
            return []
        if leader_only:
            return [leader] if leader.status() != psutil.STATUS_ZOMBIE else []
    return [] if leader_only else [each for each in psutil.process_iter() if _group_of(each.pid) == pid]


def _group_of(pid: int) -> int:
    with suppress(ProcessLookupError, PermissionError):
        return os.getpgid(pid)
    return 0


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
