"""The short forms of what happens when Sentinels promote another server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.every import of_theme
from tests.chaos.short import short


@pytest.mark.parametrize("campaign", of_theme("promotion"), ids=lambda campaign: campaign.id)
def test_it_is_kept(campaign: Campaign, tmp_path: Path) -> None:
    """One trial, ours only; `make chaos` has them all."""
    short(campaign, tmp_path)
