"""Finds every campaign."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from tests.chaos.campaign import Campaign


def campaigns() -> dict[str, Campaign]:
    """By their ids, in the order of the table."""
    folder = Path(__file__).parent / "campaigns"
    modules = [import_module(f"tests.chaos.campaigns.{file.stem}") for file in sorted(folder.glob("[a-z]*.py"))]
    found: list[Campaign] = [campaign for module in modules for campaign in module.CAMPAIGNS]
    ordered = {campaign.id: campaign for campaign in sorted(found, key=_place)}
    assert len(ordered) == len(found), "two campaigns have the same id"
    return ordered


def of_theme(theme: str) -> list[Campaign]:
    """Those whose short form one file of tests runs."""
    return [campaign for campaign in campaigns().values() if campaign.theme == theme]


def _place(campaign: Campaign) -> tuple[str, int, str]:
    """T1 to T25 before A to D."""
    letter, number, more = re.fullmatch(r"([A-Z])(\d*)(.*)", campaign.id, re.DOTALL).groups()  # type: ignore[union-attr]
    return ("" if letter == "T" else letter, int(number or 0), more)
