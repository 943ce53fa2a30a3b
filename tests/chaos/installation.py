"""An API and workers that reach their Redis by a link, which a campaign makes bad; the campaign itself has a way of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from bench.submit import LIMITS
from genfleet.contract.keys import key
from genfleet.store.client import SyncStore
from tests.chaos.campaign import Run
from tests.chaos.ledger import Verdict, verdict
from tests.chaos.marks import Marks
from tests.chaos.proxy import Proxy, proxy
from tests.support.servers import Redis, Site
from tests.support.tasks import submitted


def counted(redis: Redis, name: str) -> int:
    """One of the lasting counters, e.g. `lost_workers`."""
    with redis.client as look:
        return int(look.hget(key("counters"), name) or 0)


@dataclass(frozen=True, slots=True)
class Installation:
    """All of it."""

    redis: Redis
    link: Proxy
    store: SyncStore
    """Past the link."""
    marks: Marks
    api: httpx.Client

    def submit(self, number: int, seconds: float = 0.0, prefix: str = "task") -> list[str]:
        """The ids of so many tasks that take so long, past the link."""
        return [
            submitted(self.store, f"{prefix}-{each}", seconds=seconds, marks=str(self.marks.file))
            for each in range(number)
        ]

    def judge(self, ids: Sequence[str], *, within: float = 60.0) -> Judgement:
        """Wait for their ends, and say how they came to them."""
        found = verdict(self.redis, self.store, ids, within=within)
        return Judgement(found, self.marks.beyond_one("start", ids), counted(self.redis, "lost_workers"))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of tasks while no worker was lost: each starts once, and ends once."""

    verdict: Verdict
    again: int
    """Starts beyond one for each task."""
    reaped: int
    """Leases that were taken from workers that were alive."""

    @property
    def failures(self) -> int:
        """Broken promises."""
        return self.verdict.failures + self.again + self.reaped

    def __str__(self) -> str:
        return f"{self.verdict}, {self.again} started again, {self.reaped} taken from a living worker"


def installation(run: Run, name: str = "site", *, workers: int = 1, concurrency: int = 4) -> Installation:
    """Running, with its link whole."""
    redis = run.redis(name=name)
    link = run.stack.enter_context(proxy(redis.port))
    store = run.store(redis)
    site = Site(redis, run.folder / name)
    api = run.stack.enter_context(site.api(REDIS_URL=link.url, **LIMITS))
    for number in range(workers):
        run.stack.enter_context(site.worker(name=f"worker-{number}", concurrency=concurrency, REDIS_URL=link.url))
    return Installation(redis, link, store, Marks(run.folder / name / "marks"), api)
