"""What was measured is kept in `docs/reliability.json`; `docs/reliability.md` is made from that, and from the campaigns."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.report import table
from tests.chaos.campaign import Campaign, Finding
from tests.chaos.every import campaigns
from tests.chaos.runner import Result

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "docs" / "reliability.json"
PAGE = ROOT / "docs" / "reliability.md"
INTRODUCTION = ROOT / "tests" / "chaos" / "introduction.md"


def _rows() -> dict[str, dict[str, Any]]:
    """What was measured, by campaign."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def remember(result: Result, *, seed: int, at: float) -> None:
    """Keep a row that came to a result, kept or broken, and write the page."""
    if result.ours is None:
        return
    rows = _rows()
    rows[result.campaign.id] = {
        "ours": asdict(result.ours),
        "peer": asdict(result.peer) if result.peer else None,
        "seed": seed,
        "at": round(at),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "seconds": round(result.seconds),
    }
    MEASURED.write_text(json.dumps({name: rows[name] for name in campaigns() if name in rows}, indent=1) + "\n")
    PAGE.write_text(text())


def longest_ago(known: Iterable[Campaign]) -> list[Campaign]:
    """Those that were never measured, and then those that were measured before the others."""
    rows = _rows()
    return sorted(known, key=lambda each: rows.get(each.id, {}).get("at", 0))


def expected_s(campaign: Campaign) -> float:
    """How long it takes, by the last time."""
    rows = _rows()
    return float(rows[campaign.id]["seconds"]) if campaign.id in rows else 60 * campaign.minutes


def text() -> str:
    """The page."""
    rows = _rows()
    known = campaigns()
    lines = [
        _row(campaign, rows[campaign.id]) if campaign.id in rows else _missing(campaign) for campaign in known.values()
    ]
    head = ("", "promise", "ours", "the peer, under the same fault in the same run", "trials", "bound")
    parts = [INTRODUCTION.read_text().rstrip(), table(head, lines).rstrip(), _defects(known)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(campaign: Campaign, row: dict[str, Any]) -> Sequence[object]:
    ours, peer = Finding(**row["ours"]), Finding(**row["peer"]) if row["peer"] else None
    beside = f"{campaign.peer_name}: {peer.said} ({peer.trials})" if peer else campaign.no_peer or "no result"
    broken = f"**broken {ours.failures} times**: " if ours.failures else ""
    return campaign.id, campaign.promise, broken + ours.said, beside, f"{ours.trials:,}", bound(ours)


def _missing(campaign: Campaign) -> Sequence[object]:
    return campaign.id, campaign.promise, "not measured yet", campaign.no_peer, "", ""


def bound(found: Finding) -> str:
    """What the trials show of the rate, at 95 %: the rule of three where nothing failed."""
    if found.failures or not found.trials:
        return ""
    percent = 300 / found.trials
    return f"< {percent:.2g} %" if percent < 100 else ""


def _defects(known: dict[str, Campaign]) -> str:
    told = [f"- **{campaign.id}**: {each}" for campaign in known.values() for each in campaign.fell_short]
    return "## What fell short at first, and how it was mended\n\n" + "\n".join(told) if told else ""
