"""What there is in an image, told from inside, as JSON on standard output.

docker run --rm --user 0 -i IMAGE python - <tools/inside.py

Needs nothing but Python, and root to see everything. The tests on a cluster run it in a pod of each image and judge.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

OUR_USER = 10001
VIRTUAL = (
    "/proc",
    "/sys",
    "/dev",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/var/run/secrets",
    "/run/secrets",
)
"""Not of the image: the kernel's, and what whoever runs it mounts."""
TOOLS = re.compile(r"(.*-)?(cc|gcc|g\+\+|c\+\+|clang|ld|as|make|pip|pip3|uv|git|curl|wget)(-?[\d.]+)?")
"""What builds or fetches programs."""
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "busybox"}
SECRETS = re.compile(r"(\.env|\.netrc|\.pypirc|\.git|\.git-credentials|\.docker|id_(rsa|dsa|ecdsa|ed25519)|pip\.conf)")
KEY = b"PRIVATE KEY-----\n"
FOLDERS_WITH_KEYS = ("/etc", "/home", "/opt", "/root", "/src", "/build", "/tmp")  # noqa: S108  looked into, not written


def entries(top: str = "/") -> Iterator[tuple[Path, os.stat_result]]:
    """Every file and folder of the image."""
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not str(Path(folder, name)).startswith(VIRTUAL)]
        for name in (*folders, *files):
            path = Path(folder, name)
            if not str(path).startswith(VIRTUAL):
                yield path, path.lstat()


def is_writable(what: os.stat_result) -> bool:
    """Whether our user, who is in no group but its own, may write there."""
    mode = what.st_mode
    if stat.S_ISLNK(mode):
        return False
    if what.st_uid == OUR_USER:
        return bool(mode & stat.S_IWUSR)
    return bool(mode & (stat.S_IWGRP if what.st_gid == OUR_USER else stat.S_IWOTH))


def has_a_key(path: Path, what: os.stat_result) -> bool:
    """Whether a small file holds a private key."""
    if not stat.S_ISREG(what.st_mode) or what.st_size > 100_000 or not str(path).startswith(FOLDERS_WITH_KEYS):
        return False
    return KEY in path.read_bytes()


def distributions(folder: Path) -> dict[str, str]:
    """What is installed in a folder of packages: names with versions."""
    return {each.name: each.version for each in metadata.distributions(path=[str(folder)])}


def packages() -> dict[str, str]:
    """Debian's packages with versions; none on another base."""
    status = Path("/var/lib/dpkg/status")
    text = status.read_text() if status.exists() else ""
    return dict(re.findall(r"^Package: (.+)\n(?:.+\n)*?Version: (.+)$", text, re.MULTILINE))


def facts() -> dict[str, object]:
    """All of it."""
    found: dict[str, list[str]] = {
        key: [] for key in ("setuid", "writable", "tools", "shells", "secrets", "caches", "not_roots")
    }
    for path, what in entries():
        text, mode = str(path), what.st_mode
        is_program = stat.S_ISREG(mode) and mode & 0o111 and path.parent.name in {"bin", "sbin"}
        for key, holds in (
            ("setuid", stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID)),
            ("writable", is_writable(what)),
            ("tools", is_program and TOOLS.fullmatch(path.name)),
            ("shells", is_program and path.name in SHELLS),
            ("secrets", SECRETS.fullmatch(path.name) or has_a_key(path, what)),
            ("caches", re.match(r"/root/\.cache/|/var/cache/apt/.+\.(deb|bin)$|/var/lib/apt/lists/.*_Packages", text)),
            ("not_roots", text.startswith("/opt") and (what.st_uid, what.st_gid) != (0, 0)),
        ):
            if holds:
                found[key].append(text)
    (venv,) = Path("/opt/venv/lib").glob("python3*/site-packages")
    return {
        **{key: sorted(paths) for key, paths in found.items()},
        "python": ".".join(map(str, sys.version_info[:3])),
        "locked": distributions(venv),
        "own": distributions(Path("/opt/genfleet")),
        "packages": packages(),
        "variables": sorted(os.environ),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts()) + "\n")
