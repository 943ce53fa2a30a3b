"""Workers that only pretend to compute: to Redis they are as real ones, by the same steps and the same messages.

One for each pod that looks ready. As a real worker does, each beats every two seconds, takes messages one by one from
the broker's lists, holds its task for a while, obeys a drain, and leaves when its pod is told to end, after its task.
A pod that is told to end while its worker holds a task is counted here, from this program's own watch.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from redis.asyncio import Redis

from bench import cluster
from bench.cluster import Stage, try_again
from genfleet.contract.keys import PRIORITY_STEPS, broker_list
from genfleet.store import capacity, steps
from genfleet.store.records import Lease
from genfleet_operator import names
from genfleet_operator.kube import PODS

BEAT_S = 2.0
TASK_S = (1.0, 6.0)
"""Shortest and longest task."""
POP_S = 1.0
"""How long one request for a message waits, as with Celery's transport."""


class Worker:
    """One worker."""

    def __init__(self, crew: Crew, pod: str, seed: str) -> None:
        self.holds = False
        """Whether it has taken a message that it is not done with."""
        self._crew = crew
        self._id = names.worker_id(pod, crew.stage.namespace)
        self._chance = random.Random(f"{seed}/{pod}")  # noqa: S311  no secret
        self._lease: Lease | None = None
        self._draining = False
        self._leaving = False
        self._soon = asyncio.Event()

    def leave(self) -> None:
        """Its pod was told to end: what runs may finish."""
        self._leaving = True
        self._soon.set()

    async def run(self) -> None:
        """Beat and work until it has left."""
        await self._beat()  # a real worker hears what was said to it before it takes its first message
        beating = asyncio.create_task(self._beats())
        try:
            await self._work()
        finally:
            await cluster.ended(beating)
        await self._crew.stage.store.run(capacity.depart(self._id, self._crew.queue))

    async def _beats(self) -> None:
        while True:
            await self._beat()
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._soon.wait()
            except TimeoutError:
                continue
            self._soon.clear()

    async def _beat(self) -> None:
        leases = [(self._lease.task_id, self._lease.token)] if self._lease else []
        answer = await self._crew.stage.store.run(steps.renew(self._id, self._crew.queue, self._about(), leases))
        if answer.drain != self._draining:
            self._draining = answer.drain
            self._soon.set()

    def _about(self) -> bytes:
        phase = "ready"
        if not self._may_take():
            phase = "draining" if self.holds else "drained"
        machine = {"cpu_percent": 0.0, "memory_percent": 0.0, "gpu_utilization": [], "memory_bytes": {}}
        return orjson.dumps(
            {"phase": phase, "running": int(self.holds), "concurrency": 1, "host": self._id, "pid": 1, **machine}
        )

    async def _work(self) -> None:
        while not self._leaving:
            if self._draining:
                await asyncio.sleep(0.05)
                continue
            popped = await self._crew.redis.brpop(self._crew.lists, timeout=POP_S)
            if popped is None:
                continue
            if not self._may_take():  # what comes too late goes back, as with Celery's transport
                await self._crew.redis.rpush(*popped)
                continue
            self.holds = True  # without a pause since the look at the drain: it cannot say meanwhile that it is empty
            await self._serve(orjson.loads(popped[1])["headers"])
            self.holds = False

    def _may_take(self) -> bool:
        return not (self._draining or self._leaving)

    async def _serve(self, headers: dict[str, Any]) -> None:
        store, task_id = self._crew.stage.store, headers["id"]
        claim = await store.run(steps.claim(task_id, str(headers["token"]), self._id, f"{self._id}.{task_id}"))
        if claim.lease is None:
            self._crew.dropped += 1
            return
        self._lease = claim.lease
        await asyncio.sleep(self._chance.uniform(*TASK_S))
        self._lease = None
        if await store.run(steps.complete(task_id, claim.lease.token, b"{}")):
            self._crew.completed[task_id] += 1
        else:
            self._crew.refused += 1


class Crew:
    """The workers of one queue: one for each ready pod with these labels."""

    def __init__(self, stage: Stage, redis: Redis, queue: str, labels: dict[str, str], seed: str) -> None:
        self.stage, self.redis, self.queue = stage, redis, queue
        self.lists = [broker_list(queue, step) for step in PRIORITY_STEPS]
        self.completed: Counter[str] = Counter()
        """How often each task was completed."""
        self.dropped = 0
        """Messages whose task was not to be had."""
        self.refused = 0
        """Results that came too late: the task had been given to another."""
        self.stopped = 0
        """Workers whose pods were told to end."""
        self.stopped_busy = 0
        """Those of them that held a task."""
        self.most = 0
        """Workers at a time, at most."""
        self._labels, self._seed = labels, seed
        self._workers: dict[str, Worker] = {}
        self._seen: set[str] = set()
        """Pods that had a worker once: each has one only."""
        self._group: asyncio.TaskGroup

    @property
    def size(self) -> int:
        """Workers at present."""
        return len(self._workers)

    async def follow(self) -> None:
        """Start and stop workers as their pods come and go, for ever."""
        client, namespace = self.stage.client, self.stage.namespace
        async with asyncio.TaskGroup() as self._group:
            async for event, pod in client.watch(PODS, namespace=namespace, labels=self._labels, on_error=try_again):
                self._take(event, pod)

    def _take(self, event: str, pod: Any) -> None:
        name = pod["metadata"]["name"]
        if event == "DELETED" or pod["metadata"].get("deletionTimestamp"):
            worker = self._workers.pop(name, None)
            if worker is not None:
                self.stopped += 1
                self.stopped_busy += worker.holds
                worker.leave()
        elif name not in self._seen and _is_ready(pod):
            self._seen.add(name)
            worker = self._workers[name] = Worker(self, name, self._seed)
            self._group.create_task(worker.run())
            self.most = max(self.most, self.size)


def _is_ready(pod: Any) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@asynccontextmanager
async def crew(stage: Stage, queue: str, labels: dict[str, str], seed: str) -> AsyncIterator[Crew]:
    """The workers of a queue, while the block runs."""
    redis = Redis.from_url(stage.redis.url, socket_timeout=POP_S + 10, max_connections=1000)
    workers = Crew(stage, redis, queue, labels, seed)
    following = asyncio.create_task(workers.follow())
    try:
        yield workers
        if following.done():
            await following  # it runs for ever, unless it failed
    finally:
        await cluster.ended(following)
        await redis.aclose()
