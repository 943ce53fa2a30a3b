"""What became of tasks, for the verdict: an accepted task ends once, with one result, one count and one end in its story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import redis as redis_client

from genfleet.contract.keys import key
from genfleet.contract.states import State, is_final
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet.store.records import TaskRecord
from tests.support.servers import Redis
from tests.support.waiting import comes_true

ENDS = tuple(filter(is_final, State))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of all tasks that were accepted."""

    tasks: int
    lost: list[str]
    """Ids without a record, or without an end."""
    doubled: int
    """Ends that were counted beyond one for each task."""
    states: Counter[str]

    @property
    def failures(self) -> int:
        """Broken promises."""
        return len(self.lost) + abs(self.doubled)

    def __str__(self) -> str:
        return f"{self.tasks} tasks, {len(self.lost)} lost, {self.doubled} ended twice"


def ended(store: SyncStore, task_id: str) -> TaskRecord | None:
    """The record of a task that has ended."""
    found = store.run(steps.task(task_id))
    return found if found is not None and found.finished_ms else None


def wait_for_ends(store: SyncStore, ids: Sequence[str], *, within: float) -> list[str]:
    """Wait until all have ended, or the time is over. Those that have not."""
    left = list(ids)

    def all_ended() -> bool:
        left[:] = [task_id for task_id in left if ended(store, task_id) is None]
        return not left

    comes_true(all_ended, within=within)
    return left


def ends_counted(client: redis_client.Redis) -> int:
    """Ends of tasks, as this Redis has counted them."""
    counted = client.hmget(key("counters"), [f"{state.value}_tasks" for state in ENDS])
    return sum(int(number or 0) for number in counted)


def verdict(redis: Redis, store: SyncStore, ids: Sequence[str], *, within: float = 60.0) -> Verdict:
    """Wait for the ends of these tasks, all that this Redis has ever accepted, and compare them with what was counted."""
    with redis.client as client:
        comes_true(lambda: ends_counted(client) >= len(ids), within=within)  # to look at each all the while is a load
        lost = wait_for_ends(store, ids, within=0)
        ends = ends_counted(client)
    states = Counter(found.state.value for task_id in ids if (found := ended(store, task_id)))
    return Verdict(len(ids), lost, ends - (len(ids) - len(lost)), states)
