"""`make audit`, and a part of `make check`: is a vulnerability known of anything that is locked?

python -m tools.audit [--strict] [FILE…]

PyPI is asked, release by release: its advisories are those of the Python Packaging Advisory Database and of GitHub's. What
it could not be asked is never counted as safe: the line for it says so, and `--strict` fails. See docs/decisions/0016.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson

from tools.locks import LOCKS, ROOT, Release, releases

INDEX = "https://pypi.org"
ANSWERS = ROOT / "build" / "audit.json"
"""What PyPI said, so that it is asked once a day and not for every `make check`."""
IGNORED = ROOT / "requirements" / "ignored.toml"
FRESH = timedelta(days=1)
AT_ONCE = 16
TIMEOUT_S = 15.0

VULNERABLE, INCOMPLETE = 1, 2
"""Exit statuses."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One that is known of a release."""

    ids: tuple[str, ...]
    """Its number and its other numbers."""
    fixed_in: tuple[str, ...]
    summary: str

    def __str__(self) -> str:
        """What it is, and what to do."""
        remedy = (
            f"fixed in {', '.join(self.fixed_in)}: make lock UPGRADE=1" if self.fixed_in else "no release mends it yet"
        )
        return f"{', '.join(self.ids)}: {self.summary} ({remedy})"


@dataclass(frozen=True, slots=True)
class Told:
    """PyPI knows the release, and told of it at that time."""

    at: datetime
    vulnerabilities: tuple[Vulnerability, ...]


@dataclass(frozen=True, slots=True)
class Untold:
    """Nothing is known of the release, and why."""

    reason: str


Answer = Told | Untold


@dataclass(frozen=True, slots=True)
class Passed:
    """A vulnerability that is passed over until a day, for a reason."""

    id: str
    """Any of its numbers."""
    package: str
    until: date
    """The last day."""
    reason: str


# -- judging: pure -----------------------------------------------------------------------------------------------------


def faults(answers: Mapping[Release, Answer], ignored: Sequence[Passed], today: date) -> list[str]:
    """Each known vulnerability that is not passed over, and each entry of the list that passes over nothing."""
    said, used = [], set()
    for release, answer in answers.items():
        for found in answer.vulnerabilities if isinstance(answer, Told) else ():
            passed = [each for each in ignored if each.package == release.name and each.id in found.ids]
            used.update(passed)
            if not passed:
                said.append(f"{release}: {found}")
            said += [
                f"{release}: {each.id} was passed over until {each.until}" for each in passed if each.until < today
            ]
    unsure = {release.name for release, answer in answers.items() if isinstance(answer, Untold)}
    said += [
        f"{IGNORED.name}: {each.id} of {each.package} is not there any more: remove its entry"
        for each in ignored
        if each not in used and each.package not in unsure
    ]
    return said


def verdict(answers: Mapping[Release, Answer], found: Sequence[str]) -> list[str]:
    """What is said of all this, in lines. Only what was told counts as safe."""
    times = [answer.at for answer in answers.values() if isinstance(answer, Told)]
    untold: dict[str, list[str]] = {}
    for release, answer in answers.items():
        if isinstance(answer, Untold):
            untold.setdefault(answer.reason, []).append(str(release))
    lines = [f"KNOWN VULNERABILITY {each}" for each in found]
    if times and not found:
        lines.append(f"{len(times)} of {len(answers)} releases: no known vulnerability, as of {min(times):%Y-%m-%d}")
    for reason, names in untold.items():
        lines.append(f"COULD NOT LOOK at {len(names)} of {len(answers)} releases, nothing is known of them: {reason}")
        lines.append(f"  {', '.join(names)}")
    return lines


def told(body: Any, release: Release, at: datetime) -> Answer:
    """What an answer of PyPI says of a release. It may be about another one: the newest of that name."""
    version = body["info"]["version"]
    if version != release.version:
        return Untold("PyPI told of newer ones only")
    found: list[Vulnerability] = []
    for each in body["vulnerabilities"]:
        known = {number for other in found for number in other.ids}  # both databases tell of most
        if each["id"] not in known and not each.get("withdrawn"):
            ids = tuple(dict.fromkeys((each["id"], *each["aliases"])))
            summary = " ".join((each.get("summary") or each["details"]).split())
            found.append(Vulnerability(ids, tuple(each["fixed_in"]), textwrap.shorten(summary, 160)))
    return Told(at, tuple(found))


# -- asking ------------------------------------------------------------------------------------------------------------


async def ask(index: str, wanted: Sequence[Release], now: datetime) -> dict[Release, Answer]:
    """What the index knows of each release."""
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=index, timeout=TIMEOUT_S, follow_redirects=True) as client:

        async def one(release: Release) -> Answer:
            async with turns:
                return await _ask(client, release, now)

        # The first alone: who is offline waits for one answer, not for a hundred.
        answers = [await one(release) for release in wanted[:1]]
        if answers and isinstance(answers[0], Untold) and answers[0].reason.startswith("not reached"):
            answers *= len(wanted)
        else:
            answers += await asyncio.gather(*map(one, wanted[1:]))
    return dict(zip(wanted, answers, strict=True))


async def _ask(client: httpx.AsyncClient, release: Release, now: datetime) -> Answer:
    """By the release's own page; a mirror that lacks it may have that of the newest release, which may be the same."""
    try:
        for path in (f"/pypi/{release.name}/{release.version}/json", f"/pypi/{release.name}/json"):
            response = await client.get(path)
            if response.is_success:
                return told(response.json(), release, now)
        return Untold(f"the index answered {response.status_code}")
    except (httpx.TransportError, OSError) as error:
        return Untold(f"not reached: {type(error).__name__}")
    except (KeyError, TypeError, ValueError):
        return Untold("the index answered something else than PyPI does")


def remembered(file: Path) -> dict[Release, Told]:
    """What was said before; nothing if there is no such file, or none that can be read."""
    try:
        rows = orjson.loads(file.read_bytes())
        return {
            Release(*row["release"]): Told(
                datetime.fromisoformat(row["at"]),
                tuple(Vulnerability(tuple(i), tuple(f), s) for i, f, s in row["vulnerabilities"]),
            )
            for row in rows
        }
    except (OSError, KeyError, TypeError, ValueError):
        return {}


def remember(file: Path, answers: Mapping[Release, Answer]) -> None:
    """Keep what was said."""
    rows = [
        {
            "release": (release.name, release.version),
            "at": answer.at.isoformat(),
            "vulnerabilities": [(each.ids, each.fixed_in, each.summary) for each in answer.vulnerabilities],
        }
        for release, answer in answers.items()
        if isinstance(answer, Told)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))


def passed_over(file: Path) -> list[Passed]:
    """The list of what is passed over. Raises KeyError or TypeError for an entry that lacks a reason or a day."""
    entries: Iterable[dict[str, Any]] = tomllib.loads(file.read_text()).get("ignored", ())
    return [Passed(each["id"], each["package"], each["until"], each["reason"]) for each in entries]


# -- the command -------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, judge, and say so."""
    parser = argparse.ArgumentParser(prog="tools.audit", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="locked files; left out: all of this repository")
    parser.add_argument("--strict", action="store_true", help="fail if anything could not be looked up, too")
    parser.add_argument("--index", default=INDEX, help="where PyPI's JSON API answers")
    parser.add_argument("--answers", type=Path, default=ANSWERS, help="where answers are kept for a day")
    parser.add_argument("--ignored", type=Path, default=IGNORED, help="what is passed over")
    chosen = parser.parse_args(arguments)
    now = datetime.now(UTC)

    wanted = releases(chosen.files or LOCKS)
    before = remembered(chosen.answers)
    stale = [release for release in wanted if release not in before or before[release].at < now - FRESH]
    asked = asyncio.run(ask(chosen.index, stale, now))
    # An old answer is better than none: what was vulnerable a week ago is so today.
    answers: dict[Release, Answer] = {
        release: before[release]
        if isinstance(asked.get(release, Untold("")), Untold) and release in before
        else asked[release]
        for release in wanted
    }
    remember(chosen.answers, {**before, **answers})

    found = faults(answers, passed_over(chosen.ignored), now.date())
    for line in verdict(answers, found):
        print(f"audit: {line}")
    if found:
        return VULNERABLE
    return INCOMPLETE if chosen.strict and any(isinstance(answer, Untold) for answer in answers.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
