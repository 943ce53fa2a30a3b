"""ffmpeg as a child process: where it is, how it is held in bounds, and what its end means."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

import imageio_ffmpeg

from genfleet.errors import PermanentError, TaskError, TransientError

_LOOK_EVERY = 0.2
"""Seconds between two looks at a child at work."""
_CPU_SECONDS, _MEMORY = 300, 3 * 2**30
"""What one child may use. Far more than the largest input that is accepted needs; a hostile one ends there."""
_VARIABLES = ("LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
"""What one child may know. Whoever reads a stranger's file needs neither the address of Redis nor a key."""
_KEPT = 4_000
"""Bytes kept of what a child said last."""


def program() -> str:
    """The system's ffmpeg, of version 5.1 (Debian 12) or later; without one, that of the `imageio-ffmpeg` wheel."""
    return shutil.which("ffmpeg") or str(imageio_ffmpeg.get_ffmpeg_exe())


def mortal(command: Sequence[str]) -> list[str]:
    """The command, so that it is killed when the process that started it is: on Linux, where util-linux is installed.

    Elsewhere the worker ends it a moment later; if that is killed as well, it ends with its step.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else list(command)


def run(arguments: Sequence[str], watch: Callable[[], None]) -> str:
    """Run ffmpeg to its end; what it said last. `watch` is called all the while, and may raise: then ffmpeg is killed.

    Raises `TransientError` when the disk is full or ffmpeg was killed, `PermanentError` for all else.
    """
    fixed = ["-hide_banner", "-nostdin", "-nostats", "-y", "-threads", "1", "-filter_threads", "1"]
    status, said = run_child([program(), *fixed, *arguments], watch)
    if status:
        raise failure(status, said)
    return said


def run_child(
    command: Sequence[str], watch: Callable[[], None], feed: bytes = b"", stdout: int = subprocess.DEVNULL
) -> tuple[int, str]:
    """Run a command to its end; its status, and what it said last on stderr. It never outlives this call.

    `feed` is what it reads, `stdout` a file descriptor that it writes to.
    """
    with tempfile.TemporaryFile() as reads, tempfile.TemporaryFile() as says:
        reads.write(feed)
        reads.seek(0)
        known = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        with subprocess.Popen(mortal(command), stdin=reads, stdout=stdout, stderr=says, env=known) as child:
            try:
                _bound(child.pid)
                watch()
                while not _ended(child):
                    watch()
            finally:
                child.kill()
        says.seek(max(says.tell() - _KEPT, 0))
        return child.returncode, says.read().decode(errors="replace")


def failure(status: int, said: str) -> TaskError:
    """What it means that ffmpeg ended with a status other than 0."""
    if status < 0:
        return TransientError(f"ffmpeg was killed by signal {-status}")
    if "No space left on device" in said or status == 256 - errno.ENOSPC:
        full = TransientError("No space left for the media")
        full.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return full
    return PermanentError(f"ffmpeg failed with status {status}: {said}")


def _ended(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(timeout=_LOOK_EVERY)
    except subprocess.TimeoutExpired:
        return False
    return True


def _bound(pid: int) -> None:
    """Limit a child from outside: code between fork and exec is not safe where there are threads. Linux only."""
    if sys.platform == "linux":
        resource.prlimit(pid, resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
        resource.prlimit(pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
