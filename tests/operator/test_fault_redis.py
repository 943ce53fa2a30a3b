"""Redis away, back, or full of nonsense: what is not seen is not zero (K19, T24)."""

from __future__ import annotations

import signal
import time
from functools import partial

import pytest

from genfleet.contract.keys import key
from genfleet.store import dead_letters
from genfleet.store.client import SyncStore
from tests.support.operators import Operator, Place, queue
from tests.support.tasks import poisoned
from tests.support.waiting import wait_for

NONSENSE = (b"not JSON", b"null", b"{}", b'{"running": null, "phase": 7}', b'{"running": -1, "phase": "ready"}')
"""What a worker might say of itself."""


@pytest.fixture
def operator(_shared: tuple[Place, Operator]) -> Operator:
    """The one that runs."""
    return _shared[1]


def test_workers_stay_while_redis_is_away_and_are_not_taken_for_idle_after_it(there: Place, operator: Operator) -> None:
    """K19: held and told while it is away, recovered by itself; workers whose beats are late afterwards count as busy."""
    there.submit(2)
    there.has(2)
    wait_for("both beat", lambda: there.condition("Ready")[1] == "WorkersReady")
    waiting = operator.number("genfleet_queue_waiting")
    assert waiting == 2
    there.pods.silent = True
    there.redis.stop()
    wait_for("it is told", lambda: there.degraded() == "RedisUnreachable", within=15)
    assert there.condition("ScalingActive")[:2] == ("False", "DemandUnknown")
    age = wait_for("the age grows", lambda: operator.number("genfleet_observation_age_seconds"))
    wait_for("and grows", lambda: operator.number("genfleet_observation_age_seconds") > age)
    assert operator.number("genfleet_queue_waiting") == waiting, "what is not seen is not zero"
    there.redis.start()
    there.redis.client.flushall()  # also what was acknowledged last may be lost: now nothing seems to be left to do
    wait_for("it is well again", lambda: there.condition("Degraded")[0] == "False", within=15)
    since = time.monotonic()
    wait_for("some looks later", lambda: time.monotonic() - since > 2)
    assert there.replicas() == 2, "silent workers were taken for idle ones"
    assert operator.number("genfleet_observation_age_seconds") < age
    there.pods.silent = False
    there.has(0)


def test_the_age_of_what_is_known_grows_while_redis_says_nothing(there: Place, operator: Operator) -> None:
    """Alerts read it: a Redis that hangs is noticed before the look that waits for it has given up."""
    age = partial(operator.number, "genfleet_observation_age_seconds")
    failed = operator.number("genfleet_redis_errors_total")
    hung = there.redis.process
    assert hung is not None
    hung.send_signal(signal.SIGSTOP)
    try:
        wait_for("the age grows", lambda: age() > 1.5 and operator.number("genfleet_redis_errors_total") == failed)
    finally:
        hung.send_signal(signal.SIGCONT)
    wait_for("it is young again", lambda: age() < 1.5)


def test_what_waits_for_people_is_told(there: Place, operator: Operator) -> None:
    """T3, T15: tasks in quarantine and dead letters as gauges, so that an alert can be made of them."""
    store = SyncStore(there.redis.url)
    poisoned(store, kind="test_prompt")
    store.run(dead_letters.set_aside("It is not JSON"))
    store.close()
    for name in ("genfleet_tasks_in_quarantine", "genfleet_dead_letters_waiting"):
        wait_for(f"{name} is told", lambda: operator.number(name) == 1, within=15)  # noqa: B023


def test_a_record_of_the_wrong_kind_blinds_nobody_else(there: Place) -> None:
    """T24: nonsense under one queue's keys holds that queue's workers, and the others follow their work."""
    there.submit()
    there.has(1)
    other = queue("videos", queue="gpu_heavy", scaling={"minReplicas": 1})
    there.redis.client.set(key("scheduled", "gpu_medium"), "nonsense")
    there.redis.client.set(key("quarantine"), "nonsense")
    there.objects.create("generationqueues", other)
    wait_for("the other queue has its worker", lambda: there.replicas("videos") == 1)
    assert there.replicas() == 1
    there.redis.client.delete(key("scheduled", "gpu_medium"), key("quarantine"))
    there.submit()
    wait_for("the queue is followed again", lambda: there.replicas() == 2)


def _has(there: Place, number: int) -> bool:
    return there.replicas("videos") == number


def test_a_beat_that_nobody_can_read_blinds_nobody_else(there: Place) -> None:
    """T24: a worker of another version that says strange things of itself is one worker, not the end of the fleet."""
    there.submit()
    there.has(1)
    worker = there.pods.there()[0] + "@default"
    there.pods.silent = True
    there.objects.create("generationqueues", queue("videos", queue="gpu_heavy", scaling={"maxReplicas": 9}))
    for number, nonsense in enumerate(NONSENSE, start=1):
        there.redis.client.hset(key("worker", worker), "about", nonsense)
        there.redis.client.zadd(key("workers", "gpu_medium"), {worker: 1})
        there.edit("videos", {"scaling": {"minReplicas": number}})
        wait_for("the other queue follows", partial(_has, there, number))
        assert there.replicas() == 1


def test_more_tasks_than_anybody_has_get_the_maximum(there: Place) -> None:
    """T24: a depth beyond all measure is still no more than maxReplicas."""
    with there.redis.client.pipeline() as pipe:
        for number in range(100_000):
            pipe.zadd(key("waiting", "gpu_medium"), {f"nothing-{number}": 2e15 + number})
        pipe.execute()
    there.has(3)
    wait_for("it says so", lambda: there.condition("ScalingLimited")[:2] == ("True", "AtMaximum"))
