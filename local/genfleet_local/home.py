"""The one folder that a local installation lives in."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import orjson
import psutil

from genfleet.errors import ConfigurationError
from genfleet_local.processes import THE_KERNEL_TELLS, Noted, Parts

_SOCKET_PATH_LIMIT = 100
"""Bytes that the path of a Unix socket may have, a little below what any system allows."""
LEFT_END_WITHIN_S = 20.0
"""How long what an earlier `up` has left may take to end: a worker hands back what it runs first."""
KILLED_END_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything is. Nothing outside the folder is written to, but for a socket whose path would be too long."""

    folder: Path

    @property
    def redis(self) -> Path:
        """Redis keeps its append-only file here."""
        return self.folder / "redis"

    @property
    def media(self) -> Path:
        """Finished files."""
        return self.folder / "media"

    @property
    def scratch(self) -> Path:
        """Unfinished files."""
        return self.folder / "scratch"

    @property
    def logs(self) -> Path:
        """What the programs print, a file each."""
        return self.folder / "logs"

    @property
    def socket(self) -> Path:
        """Where Redis listens: a file that only its owner can open, and no port that could be taken."""
        inside = self.folder / "redis.sock"
        if len(os.fsencode(inside)) <= _SOCKET_PATH_LIMIT:
            return inside
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"genfleet-{os.getuid()}-{name}" / "redis.sock"

    @property
    def client_file(self) -> Path:
        """How the command line finds this installation while it runs: address and key."""
        return self.folder / "client.json"

    def make(self) -> None:
        """Make the folders; only their owner may look inside. Raises ConfigurationError."""
        try:
            for folder in (self.folder, self.redis, self.media, self.scratch, self.logs, self.socket.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{error.filename} cannot be made ({error.strerror}): choose another folder with --data"
            ) from None
        outside = self.socket.parent != self.folder  # in the temporary folder, which belongs to everybody
        if outside and self.socket.parent.lstat().st_uid != os.getuid():
            raise ConfigurationError(f"{self.socket.parent} belongs to somebody else: choose a shorter path for --data")

    def api_keys(self) -> str:
        """The keys of this installation: from the environment, else the one made at its first start (PI-021).

        Several are separated by commas, as the service reads them.
        """
        for name in ("API_KEY", "CELERY_API_KEY", "CELERY_TASK_API_KEY"):
            if os.environ.get(name):
                return os.environ[name]
        kept = self.folder / "api_key"
        if not kept.exists():
            _write_private(kept, f"gf_local_{secrets.token_urlsafe(24)}")
        return kept.read_text().strip()

    def announce(self, url: str, api_key: str) -> None:
        """Let the command line find us."""
        _write_private(self.client_file, orjson.dumps({"url": url, "api_key": api_key}).decode())

    def withdraw(self) -> None:
        """We are gone."""
        self.client_file.unlink(missing_ok=True)

    def remove_socket(self) -> None:
        """Nobody listens any more."""
        self.socket.unlink(missing_ok=True)
        if self.socket.parent != self.folder:
            with suppress(OSError):  # somebody put something there, or it is gone
                self.socket.parent.rmdir()

    @contextmanager
    def claimed(self, on_wait: Callable[[], object] = lambda: None) -> Iterator[Parts]:
        """For one `genfleet up` at a time, once nothing is left of an earlier one. Raises ConfigurationError."""
        with (self.folder / "lock").open("a+") as lock:
            if not _locked(lock):
                self._outwait(lock, on_wait)
            lock.truncate(0)
            parts = Parts(lock)
            parts.note(os.getpid())
            yield parts

    def _outwait(self, lock: TextIO, on_wait: Callable[[], object]) -> None:
        """Until all have ended that an `up` has left which was killed. Raises ConfigurationError: it runs, or they do not end."""
        began, told, killed = time.monotonic(), False, False
        while not _locked(lock):
            noted = Noted.of(lock)
            if noted.owner_lives:
                raise ConfigurationError(
                    f"another `genfleet up` runs on {self.folder}: stop it, or give this one its own --data folder"
                )
            if not told:
                told = True
                on_wait()
                for process in [] if THE_KERNEL_TELLS else noted.left:
                    with suppress(psutil.NoSuchProcess):
                        process.terminate()
            waited = time.monotonic() - began
            if waited > LEFT_END_WITHIN_S and not killed:
                killed = True
                for process in noted.left:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            if waited > LEFT_END_WITHIN_S + KILLED_END_WITHIN_S:
                ids = ", ".join(str(process.pid) for process in noted.left)
                raise ConfigurationError(
                    f"what an earlier `genfleet up` on {self.folder} has started does not end: end it (processes {ids})"
                )
            time.sleep(0.05)


def _locked(lock: TextIO) -> bool:
    """Whether it is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(text)
