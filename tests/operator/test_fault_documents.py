"""Queues that nobody should have let through: none of them stops the operator, or another queue (T22, K17)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genfleet.store.client import AsyncStore
from genfleet_operator.blueprint import Installation
from genfleet_operator.controller import Controller
from genfleet_operator.kube import Cluster
from genfleet_operator.reporter import Reporter
from genfleet_operator.world import World
from tests.support.api_objects import Json
from tests.support.operators import Place, place, queue
from tests.support.servers import Redis
from tests.support.waiting import wait_for

HUGE = "x" * 20_000
_odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from([-1, 0, 2**63, 1e308, "", " ", "\x00", "🦊", "../..", HUGE, [], {}, [[]], {"": None}]),
    st.recursive(
        st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ),
)


def _sometimes_odd(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 5).flatmap(lambda number: _odd if number == 0 else good)


_scaling = st.fixed_dictionaries(
    {},
    optional={
        "minReplicas": _sometimes_odd(st.integers(0, 3)),
        "maxReplicas": _sometimes_odd(st.integers(0, 5)),
        "target": _sometimes_odd(st.sampled_from([{"tasksPerWorker": 1}, {"waitSeconds": 5}, {"tasksPerWorker": 0}])),
        "cooldownSeconds": _sometimes_odd(st.integers(0, 60)),
        "schedule": _sometimes_odd(
            st.lists(st.dictionaries(st.sampled_from(["cron", "duration", "minReplicas"]), _odd))
        ),
    },
)
_pool = st.fixed_dictionaries(
    {"name": _sometimes_odd(st.sampled_from(["a", "b", "default"]))},
    optional={
        "class": _sometimes_odd(st.sampled_from(["cpu", "gpu"])),
        "gpus": _sometimes_odd(st.integers(0, 2)),
        "nodeSelector": _sometimes_odd(st.dictionaries(st.text(), st.text())),
        "tolerations": _sometimes_odd(st.lists(_odd, max_size=2)),
        "resources": _odd,
        "template": st.one_of(
            _odd,
            st.fixed_dictionaries(
                {
                    "spec": st.dictionaries(
                        st.sampled_from(
                            ["containers", "volumes", "hostNetwork", "terminationGracePeriodSeconds", "nodeSelector"]
                        ),
                        _odd,
                    )
                }
            ),
        ),
        "unknown": _odd,
    },
)
_spec = st.fixed_dictionaries(
    {"queue": _sometimes_odd(st.just("odd"))},
    optional={
        "concurrency": _sometimes_odd(st.integers(1, 4)),
        "scaling": _sometimes_odd(_scaling),
        "pools": _sometimes_odd(st.lists(_sometimes_odd(_pool), max_size=3)),
        "paused": _sometimes_odd(st.booleans()),
        "unknown": _odd,
    },
)


_lists = st.sampled_from(["containers", "initContainers", "volumes", "imagePullSecrets", "tolerations"])
_only_a_template = st.dictionaries(
    _lists, st.lists(_odd | st.dictionaries(st.just("name"), _odd), min_size=1), min_size=1
).map(lambda spec: {"queue": "odd", "pools": [{"name": "a", "template": {"spec": spec}}]})


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for all examples."""
    with asyncio.Runner() as runner:
        yield runner


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def there(redis_server: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A cluster, and a kubeconfig for this process."""
    with place(redis_server, tmp_path) as made:
        monkeypatch.setenv("KUBECONFIG", str(made.api.kubeconfig))
        yield made


def test_no_document_stops_the_loop_or_another_queue(there: Place, loop: asyncio.Runner) -> None:
    """T22: 300 documents, most of them invalid, beside a good one: each gets a status, and the good one is looked at."""
    numbers = itertools.count(1)

    async def make() -> tuple[Controller, World, Cluster, AsyncStore]:
        world, cluster, store = World(), Cluster(), AsyncStore(there.redis.url)
        reporter = Reporter(cluster, store, _now)
        installation = Installation("worker:test", any_queue=True)
        made = Controller(
            cluster=cluster, store=store, world=world, installation=installation, reporter=reporter, clock=_now
        )
        return made, world, cluster, store

    controller, world, cluster, store = loop.run(make())
    good = there.objects.create("generationqueues", queue())
    world.take_queue(None, good)

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(spec=_sometimes_odd(_spec) | _only_a_template)
    def look(spec: Any) -> None:
        number = next(numbers)
        odd: Json = {
            "apiVersion": "genfleet.dev/v1alpha1",
            "kind": "GenerationQueue",
            "metadata": {
                "name": "odd",
                "namespace": "default",
                "uid": f"odd-{number}",
                "generation": number,
                "resourceVersion": str(10**6 + number),
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": spec,
        }
        world.take_queue("MODIFIED", odd)
        controller.fleets.pop(("default", "images"), None)
        loop.run(controller._look(None))
        bad, fine = controller.fleets["default", "odd"], controller.fleets["default", "images"]
        assert bad.status is not None, "no status"
        degraded = next(one for one in bad.status.conditions if one.type == "Degraded")
        assert (degraded.reason == "InvalidSpec") == (bad.resource is None), degraded
        assert len(degraded.message) <= 1000
        assert fine.status is not None
        assert fine.resource is not None
        bad.status.model_dump_json(by_alias=True)

    look()

    async def close() -> None:
        await store.close()
        await cluster.close()

    loop.run(close())


NASTY: tuple[Any, ...] = (
    None,
    5,
    "spec",
    [],
    {},
    {"queue": None},
    {"queue": HUGE},
    {"queue": "a", "pools": [None]},
    {"queue": "b", "pools": [{"name": "a", "template": {"spec": {"containers": "none"}}}]},
    {"queue": "c", "pools": [{"name": "a", "template": {"spec": {"containers": [5]}}}]},
    {"queue": "d", "pools": [{"name": "a", "template": {"spec": {"terminationGracePeriodSeconds": "long"}}}]},
    {"queue": "e", "scaling": {"minReplicas": 2**60, "maxReplicas": 2**60}},
    {"queue": "f", "scaling": {"target": {"waitSeconds": -1}}},
)


def test_nasty_documents_are_told_what_is_wrong_and_others_go_on(there: Place) -> None:
    """T22, K17: through the real watch and the real program: each is Degraded within seconds, and a good queue works."""
    with there.operator() as operator:
        for number, spec in enumerate(NASTY):
            there.objects.create("generationqueues", {**queue(f"nasty-{number}"), "spec": spec})
        there.objects.create("generationqueues", queue())
        there.submit()
        wait_for("the good one has its worker", lambda: there.replicas() == 1, within=15)
        names = [f"nasty-{number}" for number in range(len(NASTY))]
        wait_for("all others are told", lambda: {*map(there.degraded, names)} == {"InvalidSpec"}, within=15)
        assert operator.alive
