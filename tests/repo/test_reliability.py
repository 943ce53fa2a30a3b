"""What the page of fault tests promises about itself."""

from __future__ import annotations

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.every import campaigns
from tests.repo.test_layout import ROOT


@pytest.mark.parametrize("campaign", campaigns().values(), ids=lambda campaign: campaign.id)
def test_every_campaign_has_a_short_form_and_a_peer_or_a_reason(campaign: Campaign) -> None:
    """`make test` runs all of them in short; and a row without a peer says why it has none."""
    assert (ROOT / "tests" / "chaos" / f"test_{campaign.theme}.py").is_file()
    assert 0 < campaign.short <= campaign.trials
    assert bool(campaign.peer) != bool(campaign.no_peer)
