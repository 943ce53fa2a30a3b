"""An operator that is killed after any of its writes: the next one finishes what it began (T21). And one whose watch ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.api_server import Ask, refusal
from tests.support.operators import Place, place, queue
from tests.support.servers import Redis
from tests.support.waiting import wait_for


@pytest.fixture
def there(redis_server: Redis, tmp_path: Path) -> Iterator[Place]:
    """A cluster with one queue."""
    with place(redis_server, tmp_path) as made:
        made.objects.create("generationqueues", queue())
        yield made


def _works(ask: Ask) -> bool:
    return ask.of_work


def test_killed_after_any_write_the_next_one_finishes_it_and_no_busy_worker_goes(there: Place) -> None:
    """T21: up to two workers, then down to the busy one, with a SIGKILL after each single write on the way.

    Each write arrives and its answer is lost with the operator. The next one goes on from there: no write is done twice.
    """
    there.submit(2)
    kills = _with_kills(there, lambda: (there.replicas(), len(there.pods.there())) == (2, 2))
    kept = there.pods.there()[0]
    there.redis.client.flushall()
    there.pods.occupy(kept)
    kills += _with_kills(there, lambda: there.replicas() == 1 and there.pods.there() == [kept])
    assert kills >= 3, "one Deployment, the cost of a pod, and fewer replicas"
    assert there.pods.busy_killed == []
    applied = there.api.asked_for(lambda ask: _works(ask) and ask.verb == "apply")
    assert len(applied) <= 2 + kills, "more than one extra write for each start"


def _with_kills(there: Place, done: Callable[[], bool]) -> int:
    """Let operators work until it is done, killing each after its first write that changes anything. How many were killed."""
    killed = 0
    while True:
        with (
            there.operator(f"operator-{killed}", leads=False, POD_NAME="operator") as operator,
            there.api.fails(_works, hangs=True, done=True) as fault,
        ):
            wait_for("a write, or the end", lambda: fault.hits or done(), within=30)
            if not fault.hits:
                return killed
            operator.process.kill()
            killed += 1
            operator.process.wait()
            there.api.cut_watches()


def test_a_watch_that_is_refused_as_gone_begins_anew(there: Place) -> None:
    """K2: an HTTP 410 is the end of kopf, not of the operator: it sees again soon after, and what runs stays."""
    there.submit()
    gone = refusal(410, "The provided continue parameter is too old", "Expired")
    with there.operator() as operator:
        there.has(1)
        with there.api.fails(lambda ask: ask.plural == "pods" and ask.verb == "watch", gone) as fault:
            there.api.cut_watches()
            wait_for("it is refused twice", lambda: len(fault.hits) >= 2)
            assert there.replicas() == 1
        there.edit("images", {"scaling": {"minReplicas": 2}})
        there.has(2)
        assert operator.alive
        operator.process.terminate()
        assert operator.ended(within=12) == 0, "a signal after kopf was started again is ours"


def test_nothing_is_decided_before_everything_was_seen(there: Place) -> None:
    """K14: while a list is refused the operator waits, rather than take what it does not know for nothing."""
    there.submit()
    away = refusal(503, "starting", "ServiceUnavailable")
    with (
        there.api.fails(lambda ask: ask.verb == "list" and ask.plural == "pods", away, times=1) as fault,
        there.operator(POD_NAME="operator"),
    ):
        wait_for("a list is refused", lambda: fault.hits)
        assert not there.replicas()
        there.has(1)
