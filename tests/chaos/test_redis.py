"""The short forms of what befalls Redis."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.campaigns.redis_killed import compiler
from tests.chaos.every import of_theme
from tests.chaos.short import short


@pytest.mark.parametrize("campaign", of_theme("redis"), ids=lambda campaign: campaign.id)
def test_it_is_kept(campaign: Campaign, tmp_path: Path) -> None:
    """A few trials, ours only; `make chaos` has them all, beside the peer."""
    if campaign.id.startswith("T8") and (compiler() is None or sys.platform != "linux"):
        pytest.skip(
            "the loss of power is modelled by a shim in C that Linux loads into Redis; there is no compiler here"
        )
    short(campaign, tmp_path)
