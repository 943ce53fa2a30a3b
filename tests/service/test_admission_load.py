"""Many clients at once against the limits: the measurement of `bench/admission.py`, small."""

from __future__ import annotations

import asyncio

import httpx

from bench import admission
from tests.support.servers import Redis


def test_every_accepted_task_finishes_once_and_every_refusal_is_as_documented(
    api: httpx.Client, redis_server: Redis
) -> None:
    """TS-150, TS-152, TS-154, NS-005: 600 submissions of 4 clients, a fifth of them twice, and consumers that keep up."""
    secrets = admission.make_keys(api, 4)
    run = asyncio.run(admission.load(redis_server, str(api.base_url), secrets, 600))
    assert run.faults() == []
    assert (run.submitted, run.replays > 0) == (600, True)
    assert 400 <= len(run.accepted) < 450
    assert set(run.refused) <= {"429 rate_limit_exceeded", "429 project"}
    assert sum(run.refused.values()) + run.replays + len(run.accepted) == 600
