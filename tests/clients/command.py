"""The `genfleet` command as a program of its own, told where the API is by its environment alone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.servers import KEY, clean_environment
from tests.support.waiting import wait_for

COMMAND = [sys.executable, "-m", "genfleet_client.cli"]
COLUMNS = 80
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for scripts: everything on stdout is that."""
        return json.loads(self.out)


def environment(api: httpx.Client | None, **more: str) -> dict[str, str]:
    """Where the API is, its key, and a terminal of 80 columns; nobody's home folder."""
    address = {"GENFLEET_URL": str(api.base_url), "GENFLEET_API_KEY": KEY} if api else {}
    ours = {"COLUMNS": str(COLUMNS), "HOME": "/nonexistent", "TERM": "xterm", "TZ": "UTC"}
    without = {name: value for name, value in clean_environment().items() if name not in ("FORCE_COLOR", "NO_COLOR")}
    return without | ours | address | more


def genfleet(api: httpx.Client | None, *words: object, stdin: str = "", folder: Path = Path("/"), **more: str) -> Done:
    """Run a command to its end."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        env=environment(api, **more),
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(slots=True)
class Running:
    """A command that goes on."""

    process: subprocess.Popen[str]
    out: Path
    err: Path

    def wait_for(self, words: str) -> None:
        """Wait until it has said this."""
        wait_for(f"it says {words!r}", lambda: words in self.out.read_text() + self.err.read_text(), within=20)

    def interrupt(self) -> Done:
        """Press ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.done()

    def done(self) -> Done:
        """What came of it, once it has ended."""
        return Done(self.process.wait(20), self.out.read_text(), self.err.read_text())


@contextlib.contextmanager
def started(api: httpx.Client, folder: Path, *words: object) -> Iterator[Running]:
    """Start a command; its output is kept in this folder."""
    out, err = folder / "out", folder / "err"
    with out.open("w") as to_out, err.open("w") as to_err:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words)], env=environment(api), stdout=to_out, stderr=to_err, text=True
        )
    try:
        yield Running(process, out, err)
    finally:
        process.kill()
        process.wait(10)


@dataclass(slots=True)
class Terminal:
    """A terminal of 80 columns that a command runs in."""

    process: subprocess.Popen[bytes]
    ours: int
    text: str = ""
    """All that was written to it so far, without the codes that move the cursor and colour."""
    raw: bytes = b""
    """The same with them."""

    def shows(self, words: str) -> bool:
        """Whether this has been written to it."""
        with contextlib.suppress(BlockingIOError, OSError):  # nothing new; on Linux also: the command has ended
            while more := os.read(self.ours, 65536):
                self.raw += more
        self.text = _CONTROL.sub("", self.raw.decode(errors="replace")).replace("\r", "\n")
        return words in self.text


@contextlib.contextmanager
def terminal(api: httpx.Client, *words: object) -> Iterator[Terminal]:
    """Start a command in a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    os.set_blocking(ours, False)
    command = [*COMMAND, *map(str, words)]
    process = subprocess.Popen(command, env=environment(api), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait(10)
        os.close(ours)
