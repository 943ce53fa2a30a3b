"""Node, and the TypeScript client as npm and its compiler make it. What is missing is a reason to skip, not a failure."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.servers import ROOT

PACKAGE = ROOT / "clients" / "typescript"
COMPILER = PACKAGE / "node_modules" / "typescript"
OLDEST = 20
"""The oldest version of node that is still cared for by its makers."""


@cache
def node() -> str:
    """Where node is. Skips the test where there is none, or an old one."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("there is no node on the PATH: the TypeScript client is tested in node 20 or later")
    version = _run(found, "--version").stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < OLDEST:
        pytest.skip(f"node is {version}: the TypeScript client is tested in node {OLDEST} or later")
    return found


@cache
def compiler() -> Path:
    """Where TypeScript's compiler is, in the version that is locked. Skips the test where it cannot be got."""
    node()
    locked = json.loads((PACKAGE / "package-lock.json").read_text())["packages"]["node_modules/typescript"]["version"]
    with _alone():
        if _version(COMPILER) != locked:
            npm = shutil.which("npm")
            if npm is None:
                pytest.skip("there is no npm on the PATH, which fetches the TypeScript compiler")
            done = _run(npm, "ci")
            if done.returncode:
                pytest.skip(f"npm cannot fetch the TypeScript compiler: {done.stderr.strip()[-200:]}")
    return COMPILER


@cache
def built() -> Path:
    """The compiled client. Fails where it does not compile."""
    tsc, made = compiler() / "bin" / "tsc", PACKAGE / "dist"
    with _alone():
        if not _is_new(made / "index.js"):
            done = _run(node(), str(tsc))
            assert done.returncode == 0, done.stdout
            (made / "index.js").touch()
    return made


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Tests run in several processes at once, and the folder is one."""
    with (PACKAGE / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _is_new(made: Path) -> bool:
    sources = [*(PACKAGE / "src").iterdir(), PACKAGE / "tsconfig.json", COMPILER / "package.json"]
    return made.exists() and all(source.stat().st_mtime <= made.stat().st_mtime for source in sources)


def _version(package: Path) -> str | None:
    try:
        return str(json.loads((package / "package.json").read_text())["version"])
    except FileNotFoundError:
        return None


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, timeout=100, check=False)
