"""The folder of an attempt: who has begun, who is at work in it, and what a killed worker has left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from genfleet_workers.scratch import LEFT_FOR_S, Folder, remove_left
from tests.support.servers import Site
from tests.support.waiting import wait_for


def test_an_attempt_begins_once(tmp_path: Path) -> None:
    """Also when the first process that began it is gone; another attempt of the same task begins."""
    with closing(Folder(tmp_path / "scratch", "a/b", 1)) as first:
        assert first.begin()
    with (
        closing(Folder(tmp_path / "scratch", "a/b", 1)) as again,
        closing(Folder(tmp_path / "scratch", "a/b", 2)) as other,
    ):
        assert (again.begin(), other.begin()) == (False, True)


def test_a_result_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """What is kept first stays: it is settled by the token, and there is one result for each."""
    folder = Folder(tmp_path, "a", 1)
    assert folder.unsettled() is None
    folder.keep_unsettled(b"{}")  # there is no folder, as where the disk is full
    assert folder.unsettled() is None
    with closing(folder):
        folder.begin()
        folder.keep_unsettled(b'{"n":1}')
        folder.keep_unsettled(b'{"n":2}')
    call = folder.unsettled()
    assert call is not None
    assert b'{"n":1}' in call.args


@pytest.mark.parametrize(
    ("age", "at_work", "stays"),
    [
        pytest.param(LEFT_FOR_S + 60, False, False, id="left by a worker that was killed"),
        pytest.param(LEFT_FOR_S + 60, True, True, id="somebody still renders in it"),
        pytest.param(LEFT_FOR_S - 60, False, True, id="its parent may yet look into it"),
    ],
)
def test_only_what_was_left_is_removed(tmp_path: Path, age: float, *, at_work: bool, stays: bool) -> None:
    """Workers share the folder, also those of other installations."""
    begun = subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path)], stdin=subprocess.PIPE)
    folder = tmp_path / "a-1"
    wait_for("it has begun", (tmp_path / "begun").exists)
    try:
        if not at_work:
            begun.kill()
            begun.wait()
        (folder / "gigabytes").write_text("x")
        os.utime(folder, (time.time() - age, time.time() - age))
        remove_left(tmp_path, time.time())
        assert folder.exists() is stays
    finally:
        begun.kill()
        begun.communicate()


WORK = """
import sys, pathlib
from genfleet_workers.scratch import Folder
folder = Folder(pathlib.Path(sys.argv[1]), "a", 1)
assert folder.begin()
pathlib.Path(sys.argv[1], "begun").touch()
sys.stdin.read()
"""


def test_a_worker_that_starts_removes_what_another_left(site: Site) -> None:
    """A worker that was killed with all its processes cannot."""
    left = site.folder / "scratch" / "task-1"
    left.mkdir(parents=True)
    (left / "gigabytes").write_text("x")
    os.utime(left, (0, 0))
    with site.worker():
        assert not left.exists()
