"""The audit of what is locked: it finds what is known, and never takes silence for safety.

Against a real server that says what PyPI said of a release with holes, word for word (`pypi/`), and once against PyPI.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tools import audit
from tools.locks import Release

SEEDED = Release("pycrypto", "2.6.1")
HOLES = {"CVE-2013-7459", "CVE-2018-6594"}
SAID: dict[str, Any] = json.loads((Path(__file__).with_name("pypi") / "pycrypto.json").read_text())


@dataclass(slots=True)
class Index:
    """PyPI's JSON API, as far as the audit asks it: what it says, by path, and what it was asked."""

    says: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def knows(self, name: str, version: str, *vulnerabilities: Any, alone: bool = True) -> None:
        """Of a release; `alone`: under its own path, else as the newest of its name."""
        path = f"/pypi/{name}/{version}/json" if alone else f"/pypi/{name}/json"
        self.says[path] = {"info": {"version": version}, "vulnerabilities": vulnerabilities}


@pytest.fixture
def index() -> Iterator[Index]:
    """An index that knows nothing yet."""
    made = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            said = made.says.get(self.path)
            body = json.dumps(said).encode()
            self.send_response(404 if said is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_port}"
        yield made
        server.shutdown()


@dataclass(slots=True)
class Desk:
    """A place to run the audit at."""

    folder: Path
    index: str
    capsys: pytest.CaptureFixture[str]

    def audit(self, *pins: Release, ignored: str = "", strict: bool = False) -> tuple[int, str]:
        """Its exit status, and what it says, of a lock with these releases."""
        lock, passed = self.folder / "lock.txt", self.folder / "ignored.toml"
        lock.write_text("".join(f"{each.name}=={each.version} \\\n    --hash=sha256:00\n" for each in pins))
        passed.write_text(ignored)
        words = [str(lock), "--index", self.index, "--answers", str(self.folder / "answers"), "--ignored", str(passed)]
        status = audit.main([*words, "--strict"] if strict else words)
        return status, self.capsys.readouterr().out

    def ages(self, by: timedelta) -> None:
        """As if what is remembered had been said so much earlier."""
        file = self.folder / "answers"
        before = audit.remembered(file)
        audit.remember(
            file, {release: audit.Told(said.at - by, said.vulnerabilities) for release, said in before.items()}
        )


@pytest.fixture
def desk(tmp_path: Path, index: Index, capsys: pytest.CaptureFixture[str]) -> Desk:
    """With that index."""
    return Desk(tmp_path, index.url, capsys)


def test_a_known_vulnerability_fails(index: Index, desk: Desk) -> None:
    """A lock with a seeded release of 2013 fails, with every number under which its holes are known, once each."""
    index.says[f"/pypi/{SEEDED.name}/{SEEDED.version}/json"] = SAID
    index.knows("good", "1")

    status, said = desk.audit(SEEDED, Release("good", "1"))

    assert status == audit.VULNERABLE
    assert {hole: said.count(hole) for hole in HOLES} == dict.fromkeys(HOLES, 1)
    assert said.count("KNOWN VULNERABILITY pycrypto 2.6.1") == len(HOLES)
    assert "no release mends it yet" in said
    assert "no known vulnerability" not in said


def test_pypi_itself_tells_of_the_seeded_release(desk: Desk) -> None:
    """The same, asked of PyPI: what the other tests replay is what it says."""
    try:
        httpx.head(audit.INDEX, timeout=5)
    except httpx.TransportError:
        pytest.skip("PyPI cannot be reached from here")
    desk.index = audit.INDEX

    status, said = desk.audit(SEEDED)

    assert status == audit.VULNERABLE
    assert all(hole in said for hole in HOLES)


def test_the_remedy_is_told(index: Index, desk: Desk) -> None:
    """The first good version, and how to get it; what was withdrawn is no vulnerability."""
    hole = {"id": "A-1", "aliases": [], "fixed_in": ["1.1"], "details": "Falls over.", "withdrawn": None}
    index.knows("bad", "1", hole, {**hole, "id": "A-2", "withdrawn": "2026-01-01T00:00:00Z"})

    status, said = desk.audit(Release("bad", "1"))

    assert status == audit.VULNERABLE
    assert said == "audit: KNOWN VULNERABILITY bad 1: A-1: Falls over. (fixed in 1.1: make lock UPGRADE=1)\n"


def test_nothing_known_is_told_with_its_day(index: Index, desk: Desk) -> None:
    """Only of what was told, and as of the day on which it was."""
    index.knows("good", "1")

    assert desk.audit(Release("good", "1"), strict=True) == (
        0,
        f"audit: 1 of 1 releases: no known vulnerability, as of {datetime.now(UTC):%Y-%m-%d}\n",
    )


def test_offline_is_not_safe(desk: Desk) -> None:
    """Without a network the check passes, and says that nothing is known; `--strict`, for a release, fails."""
    desk.index = "http://127.0.0.1:9"
    locked = (Release("one", "1"), Release("two", "2"))

    status, said = desk.audit(*locked)
    assert status == 0
    assert "COULD NOT LOOK at 2 of 2 releases, nothing is known of them: not reached" in said
    assert "one 1, two 2" in said
    assert "no known vulnerability" not in said
    assert desk.audit(*locked, strict=True)[0] == audit.INCOMPLETE


def test_news_of_another_version_are_none_of_this_one(index: Index, desk: Desk) -> None:
    """An index that tells of newer releases alone has told nothing; one whose newest is ours has."""
    index.knows("old", "2", alone=False)
    index.knows("new", "1", alone=False)

    status, said = desk.audit(Release("old", "1"), Release("new", "1"), Release("gone", "1"), strict=True)

    assert status == audit.INCOMPLETE
    assert "1 of 3 releases: no known vulnerability" in said
    assert "PyPI told of newer ones only\naudit:   old 1\n" in said
    assert "the index answered 404\naudit:   gone 1\n" in said


def test_it_is_asked_once_a_day(index: Index, desk: Desk) -> None:
    """Checks are run all day long; after a day it is asked again, and what is new since then counts."""
    index.knows("good", "1")
    for _ in range(3):
        desk.audit(Release("good", "1"))
    assert len(index.asked) == 1

    desk.ages(timedelta(days=2))
    index.says["/pypi/good/1/json"]["vulnerabilities"] = SAID["vulnerabilities"]

    assert desk.audit(Release("good", "1"))[0] == audit.VULNERABLE


def test_what_was_vulnerable_stays_so_offline(index: Index, desk: Desk) -> None:
    """An old answer counts where no new one is to be had, with its day."""
    index.says[f"/pypi/{SEEDED.name}/{SEEDED.version}/json"] = SAID
    index.knows("good", "1")
    desk.audit(SEEDED, Release("good", "1"))
    desk.ages(timedelta(days=40))
    desk.index = "http://127.0.0.1:9"

    assert desk.audit(SEEDED)[0] == audit.VULNERABLE
    day = datetime.now(UTC) - timedelta(days=40)
    assert desk.audit(Release("good", "1")) == (
        0,
        f"audit: 1 of 1 releases: no known vulnerability, as of {day:%Y-%m-%d}\n",
    )


def entry(number: str, until: date, package: str = SEEDED.name) -> str:
    """Of the list of what is passed over."""
    return f'[[ignored]]\nid = "{number}"\npackage = "{package}"\nuntil = {until}\nreason = "not reached"\n'


def test_a_reason_with_a_day_passes_over_a_vulnerability(index: Index, desk: Desk) -> None:
    """By any of its numbers, for that package, until that day; then, or when there is nothing to pass over, it fails."""
    index.says[f"/pypi/{SEEDED.name}/{SEEDED.version}/json"] = SAID
    today = datetime.now(UTC).date()
    both = [entry("CVE-2013-7459", today), entry("GHSA-6528-wvf6-f6qg", today)]

    assert desk.audit(SEEDED, ignored="".join(both))[0] == 0
    assert desk.audit(SEEDED, ignored=both[0])[0] == audit.VULNERABLE
    over = entry("CVE-2013-7459", today - timedelta(days=1))
    assert "was passed over until" in desk.audit(SEEDED, ignored=over + both[1])[1]
    status, said = desk.audit(SEEDED, ignored="".join([*both, entry("CVE-1", today)]))
    assert status == audit.VULNERABLE
    assert "CVE-1 of pycrypto is not there any more: remove its entry" in said


def test_every_exception_is_dated_and_reasoned() -> None:
    """The list of this repository can be read, and nothing in it is for longer than half a year."""
    for each in audit.passed_over(audit.IGNORED):
        assert len(each.reason) > 20, each
        assert each.until <= datetime.now(UTC).date() + timedelta(days=183), each
