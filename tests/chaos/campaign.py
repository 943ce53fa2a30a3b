"""What a campaign is: a promise, a fault that is done to the product again and again, and the same fault done to a peer.

Each file of `tests/chaos/campaigns` holds one campaign or a few that are alike, in `CAMPAIGNS`. `make chaos` runs them in
full, with their peers; `make test` runs their short forms (`tests/chaos/test_*.py`), ours only. A campaign uses real parts:
a Redis, an API and workers of its own, from `tests/support/servers.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from genfleet.store.client import SyncStore
from tests.support.servers import Redis, Site, free_port


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of the trials of one column."""

    trials: int
    """How often the promise was put to the test: kills, cuts, messages, whatever the campaign counts."""
    failures: int
    """How often it was broken. Of ours any fails the campaign."""
    said: str
    """What was seen, with its figures, for the table: `0 lost, 0 run twice; back after 9.1 s, at most 10.4`."""


@dataclass(slots=True)
class Run:
    """One run of one column: where it may write, what it draws its chances from, how often it tries."""

    folder: Path
    trials: int
    seed: int
    stack: ExitStack
    """Whatever is entered here ends with the run."""
    name: str = ""
    chance: Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)  # noqa: S311  it has to be drawn again

    def tell(self, text: str) -> None:
        """Show people that it goes on."""
        sys.stderr.write(f"    {self.name}  {text}\n")

    def each_trial(self) -> Iterator[int]:
        """The numbers of the trials, told now and then."""
        for number in range(self.trials):
            if number and number % max(1, self.trials // 5) == 0:
                self.tell(f"{number} of {self.trials}")
            yield number

    def redis(self, *options: str, name: str = "redis") -> Redis:
        """A Redis of its own, running, with an append-only file."""
        folder = self.folder / name
        folder.mkdir()
        server = Redis(folder, free_port(), options=options)
        server.start()
        self.stack.callback(server.stop)
        return server

    def store(self, redis: Redis) -> SyncStore:
        """The store on that Redis, by a way that has no fault."""
        opened = SyncStore(redis.url)
        self.stack.callback(opened.close)
        return opened

    def site(self, redis: Redis | None = None) -> Site:
        """An installation on that Redis, or on a new one."""
        return Site(redis or self.redis(), self.folder)


Column = Callable[[Run], Finding]


@dataclass(frozen=True, slots=True)
class Campaign:
    """One row of `docs/reliability.md`."""

    id: str
    """T1 to T25, A to D; with a word behind it where there are several: `T7 always`."""
    promise: str
    """What we promise, and under which fault. A sentence for users."""
    theme: str
    """Which file runs its short form: `tests/chaos/test_{theme}.py`."""
    ours: Column
    trials: int
    """In full."""
    short: int
    """In the short form, which takes seconds."""
    peer: Column | None = None
    """The same fault, done to what people use today. None only with a reason."""
    peer_name: str = "stock Celery"
    peer_trials: int = 0
    """Often fewer: what fails every time need not fail a hundred times. 0: as many as ours."""
    no_peer: str = ""
    """Why there is no peer."""
    minutes: float = 3
    """How long one column may take in full, at the most."""
    alone: bool = False
    """Whether nothing else may run beside it: it measures cost."""
    long: bool = False
    """Whether it is left out of `make chaos` unless named: it takes half an hour."""
    fell_short: tuple[str, ...] = ()
    """What it found: each defect, and its mend, in a sentence or two."""
