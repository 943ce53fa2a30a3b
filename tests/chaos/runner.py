"""Runs campaigns, each column in a process of its own, so that whatever one breaks is not broken for the next."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from tests.chaos.campaign import Campaign, Finding

COLUMNS = ("ours", "peer")
LOGS = Path("build/chaos")
"""Where the logs of what did not come to a good end are kept."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a campaign."""

    campaign: Campaign
    ours: Finding | None
    """None: it did not come to an end; `trouble` says why."""
    peer: Finding | None
    seconds: float
    trouble: str = ""
    left: bool = False
    """Whether it was not begun, as there was no time left for it."""

    @property
    def kept(self) -> bool:
        """Whether the promise was put to the test, and never broken."""
        return self.ours is not None and self.ours.trials > 0 and not self.ours.failures and not self.trouble

    @property
    def summary(self) -> str:
        """In a line."""
        ours = self.ours.said if self.ours else "no result"
        peer = f" | {self.campaign.peer_name}: {self.peer.said}" if self.peer else ""
        return f"{ours}{peer}{f' | {self.trouble}' if self.trouble else ''} ({self.seconds:.0f} s)"


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs them side by side, and stops at the deadline (monotonic)."""

    seed: int
    lanes: int
    deadline: float
    expected_s: Callable[[Campaign], float]
    """How long a campaign takes: one that would not come to its end is left for the next run."""
    keep: Callable[[Result], None]
    """Called with each result as it is there, one at a time."""
    _one: threading.Lock = field(default_factory=threading.Lock)

    def run(self, chosen: Sequence[Campaign]) -> list[Result]:
        """As many as there is time for, in this order; those that measure cost alone and last."""
        together = [each for each in chosen if not each.alone]
        with ThreadPoolExecutor(self.lanes) as pool:
            results = dict(zip((each.id for each in together), pool.map(self._campaign, together), strict=True))
        for each in chosen:
            if each.alone:
                results[each.id] = self._campaign(each)
        return [results[each.id] for each in chosen]

    def _campaign(self, campaign: Campaign) -> Result:
        began = time.monotonic()
        if began + self.expected_s(campaign) > self.deadline:
            return Result(campaign, None, None, 0, left=True)
        columns = [column for column in COLUMNS if column == "ours" or campaign.peer]
        findings: dict[str, Finding | None] = {}
        troubles = []
        for column in columns:
            sys.stderr.write(f"{campaign.id} {column} …\n")
            try:
                findings[column] = self._column(campaign, column)
            except _Trouble as trouble:
                findings[column] = None
                troubles.append(f"{column}: {trouble}")
        seconds = time.monotonic() - began
        result = Result(campaign, findings["ours"], findings.get("peer"), seconds, "; ".join(troubles))
        with self._one:
            self.keep(result)
            sys.stderr.write(f"{campaign.id} {'kept' if result.kept else 'BROKEN'}: {result.summary}\n")
        return result

    def _column(self, campaign: Campaign, column: str) -> Finding:
        within = min(60 * campaign.minutes, self.deadline - time.monotonic())
        if within <= 0:
            raise _Trouble("the time was over")
        with tempfile.TemporaryDirectory(prefix="genfleet-chaos-") as folder, tempfile.TemporaryFile("w+") as errors:
            result = Path(folder) / "result.json"
            command = [sys.executable, "-m", "tests.chaos.column", campaign.id, column, str(self.seed), str(result)]
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            reader = threading.Thread(target=_show, args=(process, errors), daemon=True)
            reader.start()
            found: Finding | None = None
            try:
                process.wait(within)
                if process.returncode:
                    errors.seek(0)
                    raise _Trouble("ended with " + (errors.read().strip().splitlines() or ["no word"])[-1])
                found = Finding(**json.loads(result.read_text()))
            except subprocess.TimeoutExpired:
                pass
            finally:
                _end(process)
                reader.join(5)
                if found is None or found.failures:
                    _keep_logs(Path(folder), f"{campaign.id} {column}")
            if found is None:
                raise _Trouble(f"not at an end after {within:.0f} s")
            return found


def _keep_logs(folder: Path, name: str) -> None:
    """What its programs said, for whoever looks for the reason."""
    to = LOGS / name.replace(" ", "-")
    shutil.rmtree(to, ignore_errors=True)
    for log in folder.rglob("*.log"):
        kept = to / log.relative_to(folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, kept)
    sys.stderr.write(f"{name}: its logs are in {to}\n")


class _Trouble(Exception):
    """A column that came to no result."""


def _show(process: subprocess.Popen[str], errors: object) -> None:
    """Pass on what it says, and keep it: its last line is why it failed."""
    assert process.stderr is not None
    for line in process.stderr:
        sys.stderr.write(line)
        errors.write(line)  # type: ignore[attr-defined]


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(psutil.NoSuchProcess):
        end_all([psutil.Process(process.pid)])
    process.wait(10)


def end_all(columns: Sequence[psutil.Process]) -> None:
    """End columns and whatever they started, also in sessions of their own: each has adopted what lost its parent."""
    for column in columns:
        with suppress(psutil.NoSuchProcess):
            column.suspend()  # or it would start another one meanwhile
            while left := [each for each in column.children(recursive=True) if _runs(each)]:
                for each in left:
                    with suppress(psutil.NoSuchProcess):
                        each.kill()
            column.kill()


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    return False


def saved(finding: Finding) -> str:
    """As a column hands its finding to the runner."""
    return json.dumps(asdict(finding))
