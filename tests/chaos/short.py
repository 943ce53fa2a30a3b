"""The short form of a campaign: ours only, a few trials, in `make test`."""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.campaign import Campaign, Run


def short(campaign: Campaign, folder: Path) -> None:
    """Run it. Fails with what was seen. The seed is the same each time: `make chaos` draws new ones."""
    seed = zlib.crc32(campaign.id.encode())
    with ExitStack() as stack:
        found = campaign.ours(Run(folder, campaign.short, seed, stack, campaign.id))
    assert found.trials, f"{campaign.id} tried nothing"
    assert found.failures == 0, f"{campaign.id}: {found.said}"
