"""The folder in which an attempt keeps its unfinished files.

It is also how the process of an attempt, its worker and other workers know of each other, whatever died: while it is there
the attempt has begun; while it is locked a process is at work in it; and what is not settled lies in it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

import structlog

from genfleet.store import steps
from genfleet.store.calls import Call

log = structlog.get_logger(__name__)

LEFT_FOR_S = 3600.0
"""A folder that nobody has locked, and that is this old, was left by a worker that is gone."""

_UNSETTLED = ".unsettled.json"


class Folder:
    """That of one attempt."""

    def __init__(self, scratch: Path, task_id: str, token: int) -> None:
        self.path = scratch / f"{task_id.replace('/', '_')}-{token}"
        self._task_id, self._token = task_id, token
        self._lock: int | None = None

    def begin(self) -> bool:
        """Make it, and lock it until it is closed. False: this attempt had begun before.

        Celery's pool gives a job to another process if the first one died before the pool had heard that it took it. That
        would be an attempt that nobody counts, and so a task that may kill process after process for ever.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.path.mkdir()
        except FileExistsError:
            return False
        self._lock = os.open(self.path, os.O_RDONLY)
        with suppress(OSError):  # some network disks have no locks; then nothing is ever taken for left
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    def close(self) -> None:
        """Whoever began it is done with it."""
        if self._lock is not None:
            with suppress(OSError):  # an engine has closed it
                os.close(self._lock)

    def remove(self) -> None:
        """The attempt is over."""
        shutil.rmtree(self.path, ignore_errors=True)

    def keep_unsettled(self, result: bytes) -> None:
        """Put a finished result where the parent finds it, if this process is killed before Redis has it."""
        kept, partial = self.path / _UNSETTLED, self.path / f"{_UNSETTLED}.partial"
        with suppress(OSError):  # the disk is full: then it is only here
            if not kept.exists():
                partial.write_bytes(result)
                partial.rename(kept)

    def unsettled(self) -> Call[bool] | None:
        """The step that an attempt was about to take when its process died: its work is done, and counts."""
        try:
            result = (self.path / _UNSETTLED).read_bytes()
        except OSError:
            return None
        return steps.complete(self._task_id, self._token, result)

    def size(self) -> int:
        """Bytes of the disk that its files take. They come and go meanwhile."""
        total = 0
        for place, _, names in os.walk(self.path):
            for name in names:
                with suppress(OSError):
                    total += os.stat(os.path.join(place, name), follow_symlinks=False).st_blocks * 512  # noqa: PTH116, PTH118  # every two seconds: a Path for each file costs more than the look
        return total


def remove_left(scratch: Path, now: float) -> None:
    """Remove what workers left that were killed with all their processes: hours of rendering may be gigabytes.

    `now` is of the clock of the disk. Who was killed and who cleans up need have nothing in common but the folder.
    """
    for folder in scratch.iterdir() if scratch.is_dir() else ():
        try:
            if now - folder.stat().st_mtime > LEFT_FOR_S and _is_free(folder):
                log.warning("left_files_removed", folder=folder.name)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            log.info("left_files_stay", folder=folder.name, reason=str(error))


def _is_free(folder: Path) -> bool:
    """Whether nobody works in it. Where that cannot be told, somebody does."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
