"""A small cluster with one controller of its workers, ours or plain kopf's, and what campaigns count of either.

The API server is the one of the operator's tests: real HTTP, faults on demand. Workers take tasks from a real Redis by
themselves, and hold each until the campaign says that it is finished.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from genfleet.store import steps
from genfleet.store.connections import sync_client
from genfleet_operator import names
from tests.chaos.campaign import Run
from tests.chaos.starter import Started, Starter, starting
from tests.support.api_objects import Json, Refused
from tests.support.api_pods import QUEUE, Pods
from tests.support.operators import NAME, Place, place, queue
from tests.support.servers import free_port
from tests.support.tasks import submitted
from tests.support.waiting import wait_for

FOR_S = 2.0
"""So long a task has to be there before a controller that makes room for fewer is wrong."""
PAUSES_S = (0, 10, 20, 40, 80, 160, 300)
"""Before a container is started that has ended, and ended again: the kubelet's."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scale:
    """A change of the number of workers that the controllers of the cluster have seen."""

    at: float
    """Monotonic."""
    before: int
    number: int
    needed: int
    """Tasks that had been there for a while, running or waiting."""
    maximum: int

    @property
    def wrong(self) -> bool:
        """More than may be, or fewer than before though the work needs those."""
        return self.number > self.maximum or (
            self.number < self.before and self.number < min(self.needed, self.maximum)
        )


@dataclass
class Working(Pods):
    """Workers that take tasks by themselves, one each. What they hold is finished when a campaign says so."""

    scales: list[Scale] = field(default_factory=list)
    maximum: int = 3
    _known: dict[str, int] = field(default_factory=dict)
    _tasks: deque[tuple[float, int]] = field(default_factory=deque)
    """How many tasks there were, lately."""
    _waiting: deque[str] = field(default_factory=deque)

    @property
    def outstanding(self) -> int:
        """Tasks that wait or run."""
        return len(self._waiting) + sum(map(len, self.busy.values()))

    @property
    def wrong(self) -> list[Scale]:
        """Changes that should not have been."""
        return [scale for scale in self.scales if scale.wrong]

    def submit(self, number: int = 1) -> None:
        """Tasks for the queue."""
        for _ in range(number):
            self._waiting.append(submitted(self.store))

    def begin(self) -> None:
        """A new trial: nothing happened yet."""
        for one in (self.scales, self._known, self._tasks, self._waiting, self.busy, self.busy_killed, self._drained):
            one.clear()

    def _scale(self, deployment: Json) -> None:
        name, number = deployment["metadata"]["name"], deployment["spec"].get("replicas", 1)
        if name.startswith(f"{NAME}-"):
            self._note(name, number)
        super()._scale(deployment)

    def _note(self, name: str, number: int) -> None:
        now = time.monotonic()
        self._tasks.append((now, self.outstanding))
        while now - self._tasks[0][0] > FOR_S:
            self._tasks.popleft()
        before = self._known.get(name, 0)
        if number != before:
            self._known[name] = number
            self.scales.append(Scale(now, before, number, min(tasks for _, tasks in self._tasks), self.maximum))

    def _beat(self, pod: str) -> None:
        if self._waiting and pod.startswith(f"{NAME}-") and pod not in self._drained and not self.busy.get(pod):
            self._take(pod)
        super()._beat(pod)

    def _take(self, pod: str) -> None:
        task_id = self._waiting[0]
        lease = self.store.run(steps.claim(task_id, "1", names.worker_id(pod, "default"), f"{task_id}.1")).lease
        if lease is not None:
            self.busy[pod] = [(task_id, lease.token)]
            self._waiting.popleft()


@dataclass
class PlainWorking(Working):
    """The same as Celery's workers do it: a list, and a hash of what was taken from it."""

    def __post_init__(self) -> None:
        self._broker = sync_client(self.store.address)

    def submit(self, number: int = 1) -> None:
        """Tasks for the queue."""
        for _ in range(number):
            task_id = f"task-{next(self._numbers)}"
            self._waiting.append(task_id)
            self._broker.rpush(QUEUE, task_id)

    def finish(self, pod: str) -> None:
        """Its worker completes what it holds."""
        for task_id, _ in self.busy.pop(pod, []):
            self._broker.hdel("unacked", task_id)

    def _stopped_at_work(self, pod: str) -> None:
        """Back in line at once: kinder than Celery, which waits for an hour."""
        for task_id, _ in self.busy.pop(pod, []):
            self._broker.hdel("unacked", task_id)
            self._broker.lpush(QUEUE, task_id)
            self._waiting.appendleft(task_id)

    def _beat(self, pod: str) -> None:
        if self._waiting and pod.startswith(f"{NAME}-") and not self.busy.get(pod):
            self._take(pod)

    def _take(self, pod: str) -> None:
        taken = self._broker.lpop(QUEUE)
        if isinstance(taken, bytes):  # not with a number of them, it would be a list
            task_id = taken.decode()
            self._broker.hset("unacked", task_id, pod)
            self.busy[pod] = [(task_id, 0)]
            self._waiting.remove(task_id)


# -- who controls them ---------------------------------------------------------------------------------------------------


@dataclass
class Side:
    """A controller of workers, beside its cluster: ours."""

    place: Place
    pods: Working
    folder: Path
    broker: str
    """Where the controller finds Redis."""
    starter: Starter

    def start(self) -> contextlib.AbstractContextManager[Started]:
        """A process of it."""
        return self.starter.start("genfleet-operator", self.environment(), self.log)

    def environment(self) -> dict[str, str]:
        """What it is told."""
        return self.place.environment("operator", free_port()) | {"CELERY_BROKER_URL": self.broker}

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self.folder / "controller.log"

    def declare(self, **spec: Any) -> None:
        """The queue."""
        self.place.objects.create("generationqueues", queue(**spec))

    def clear(self) -> None:
        """Nothing of a trial is left. No controller may run."""
        objects = self.place.objects
        for plural in ("generationqueues", "leases", "deployments", "events"):
            for one in objects.find(plural):
                with contextlib.suppress(Refused):  # it went with its owner
                    objects.delete(plural, "default", one["metadata"]["name"])
        wait_for("no pod is left", lambda: not self.pods.there() and not objects.find("replicasets"))
        self.place.redis.client.flushall()
        self.pods.begin()

    @property
    def replicas(self) -> int:
        """Of the queue's Deployments."""
        return self.place.replicas() or 0

    @property
    def settled(self) -> tuple[int, int, int]:
        """Of the queue: replicas, pods, and pods at work."""
        ours = [pod for pod in self.pods.there() if pod.startswith(f"{NAME}-")]
        return self.replicas, len(ours), len(self.pods.busy)


class PlainKopf(Side):
    """What people write today. The Deployment of a queue is there before it."""

    def start(self) -> contextlib.AbstractContextManager[Started]:
        """A process of it."""
        return self.starter.start("kopf", self.environment(), self.log)

    def environment(self) -> dict[str, str]:
        """What it is told."""
        return {"KUBECONFIG": str(self.place.api.kubeconfig), "REDIS_URL": self.broker}

    def declare(self, **spec: Any) -> None:
        """The queue, and who works for it."""
        labels = {"app": f"{NAME}-workers"}
        made = {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}
        meta = {"name": f"{NAME}-workers", "namespace": "default"}
        self.place.objects.create("deployments", {"metadata": meta, "spec": made})
        super().declare(**spec)


Make = Callable[[Run, int], list[Side]]


def ours(run: Run, number: int = 1) -> list[Side]:
    """So many clusters with our operator."""
    return _sides(run, number, Side, Working)


def plain_kopf(run: Run, number: int = 1) -> list[Side]:
    """The same with plain kopf."""
    return _sides(run, number, PlainKopf, PlainWorking)


def _sides(run: Run, number: int, side: type[Side], working: type[Working]) -> list[Side]:
    starter = run.stack.enter_context(starting())
    made = []
    for each in range(number):
        redis = run.redis(name=f"redis-{each}")
        folder = run.folder / f"cluster-{each}"
        folder.mkdir()
        there = run.stack.enter_context(place(redis, folder, working))
        assert isinstance(there.pods, Working)
        made.append(side(there, there.pods, folder, redis.url, starter))
    return made


@dataclass
class Supervised:
    """A controller that is started again whenever it ends, as the kubelet does it: at once, then later and later."""

    side: Side
    exits: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[Supervised]:
        """While this holds."""
        thread = threading.Thread(target=self._supervise)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _supervise(self) -> None:
        while not self._over.is_set():
            with self.side.start() as started:
                while started.alive and not self._over.wait(0.1):
                    pass
            if not self._over.is_set():
                self.exits += 1
                self._over.wait(PAUSES_S[min(self.exits, len(PAUSES_S)) - 1])


def side_by_side(lanes: Sequence[Side], trials: Sequence[T], act: Callable[[Side, T], None]) -> None:
    """All trials, each on the next cluster that is free."""
    left = deque(trials)

    def work(side: Side) -> None:
        while left:
            with contextlib.suppress(IndexError):  # another was faster
                act(side, left.popleft())

    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(work, lanes))
