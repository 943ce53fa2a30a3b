"""Capacity as local processes: observe → decide → apply → report, for every queue, as often as something happens.

The decision is the one that the Kubernetes operator makes. What differs is only where workers come from.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson
import structlog
from redis.exceptions import RedisError

from genfleet.contract.queue import GenerationQueue
from genfleet.contract.task_types import QUEUES
from genfleet.errors import StoreUnavailable
from genfleet.scaling.decide import Decision, Memory, decide
from genfleet.scaling.drain import keep, victims
from genfleet.scaling.observation import Observation
from genfleet.scaling.policy import Policy
from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from genfleet.store.records import QueueSeen
from genfleet.store.survey import survey
from genfleet_local.worker_process import WorkerProcess

log = structlog.get_logger(__name__)

TICK_S = 1.0
"""A look at least this often; a submission is followed at once."""
AT_MOST_EVERY_S = 0.05
"""Many submissions at once are one look."""
RETRY_S = 1.0
"""Pause before the next try to reach Redis."""
LONGEST_PAUSE_S = 60.0
"""Longest pause between starts of workers that die before they are ready."""


class Launcher(Protocol):
    """Starts worker processes."""

    def launch(self, queue: GenerationQueue, number: int) -> WorkerProcess:
        """Start a worker of this queue; `number` makes its name unique."""


@dataclass(slots=True)
class QueueFleet:
    """The workers of one queue."""

    resource: GenerationQueue
    policy: Policy
    memory: Memory = ()
    workers: list[WorkerProcess] = field(default_factory=list)
    failures: int = 0
    """Workers in a row that died before they were ready."""
    not_before: float = 0.0
    """No worker is started before this time (monotonic)."""
    reported: bytes = b""
    report_again: float = 0.0
    """When the same report is due again (monotonic)."""
    logged: tuple[int, str] = (0, "")
    """Size and reason that were logged last."""

    @property
    def name(self) -> str:
        """The broker's name of the queue."""
        return self.resource.spec.queue

    def observation(self, seen: QueueSeen | None, now: float) -> Observation:
        """What is known of this queue. None: Redis could not be asked."""
        service = seen.service_ms / 1000 if seen and seen.service_ms is not None else None
        oldest = seen.oldest_wait_ms / 1000 if seen and seen.oldest_wait_ms is not None else None
        return Observation(
            now=now,
            waiting=seen.waiting if seen else None,
            running=seen.running if seen else 0,
            due=seen.due if seen else 0,
            oldest_wait=oldest,
            service_seconds=service,
            paused=bool(seen and seen.paused),
            workers=tuple(worker.view() for worker in self.workers),
        )

    def meet(self, seen: QueueSeen) -> None:
        """Match the beats with our processes."""
        beats = {beat.id: beat for beat in seen.workers}
        for worker in self.workers:
            if worker.id in beats:
                worker.heard(beats[worker.id])


class Fleet:
    """Every queue's workers."""

    def __init__(self, resources: Iterable[GenerationQueue], store: AsyncStore, launcher: Launcher) -> None:
        self.queues = [QueueFleet(resource, Policy.of(resource)) for resource in resources]
        self._store = store
        self._launcher = launcher
        self._numbers = itertools.count(1)
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Follow the work for as long as the program runs."""
        listening = asyncio.create_task(self._listen())
        try:
            await self._forget_earlier_reports()
            while True:
                await self.tick()
                await self._next_look()
        finally:
            listening.cancel()

    async def _forget_earlier_reports(self) -> None:
        """What an earlier controller said of any queue is not true any more."""
        try:
            await self._store.run(capacity.forget(QUEUES))
        except StoreUnavailable as error:
            log.warning("old_reports_stay", reason=str(error))

    async def _next_look(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._look.wait()
        except TimeoutError:
            return
        else:
            await asyncio.sleep(AT_MOST_EVERY_S)
        finally:
            self._look.clear()

    async def _listen(self) -> None:
        """Look at once whenever work was added. Nothing is lost if a wake-up is: the next look is near."""
        while True:
            try:
                async with self._store.wakes() as wakes:
                    while True:
                        if await wakes.get_message(timeout=RETRY_S):
                            self._look.set()
            except (RedisError, OSError) as error:
                log.warning("not_listening", reason=str(error))
                await asyncio.sleep(RETRY_S)

    # -- the four verbs ------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Observe, decide, apply and report, once."""
        now, seen = await self._observe()
        for fleet, queue_seen in zip(self.queues, seen, strict=True):
            self._bury(fleet)
            if queue_seen:
                fleet.meet(queue_seen)
                self._end_hung(fleet)
            else:
                for worker in fleet.workers:
                    worker.wait_on()
            observation = fleet.observation(queue_seen, now)
            decision = decide(fleet.policy, observation, fleet.memory)
            fleet.memory = decision.memory
            try:
                await self._apply(fleet, observation, decision)
                await self._report(fleet, decision)
            except StoreUnavailable as error:
                log.warning("not_applied", queue=fleet.name, reason=str(error))

    async def _observe(self) -> tuple[float, Sequence[QueueSeen | None]]:
        try:
            look = await survey(self._store, [fleet.name for fleet in self.queues])
        except StoreUnavailable as error:
            log.warning("blind", reason=str(error))
            return _local_time(), [None] * len(self.queues)
        return look.now or _local_time(), look.queues

    async def _apply(self, fleet: QueueFleet, seen: Observation, decision: Decision) -> None:
        by_id = {worker.id: worker for worker in fleet.workers}
        for worker_id in keep(decision, seen):
            await self._store.run(capacity.resume(worker_id))
            by_id[worker_id].draining = False
        for worker_id in victims(decision, seen):
            await self._store.run(capacity.drain(worker_id))
            by_id[worker_id].draining = True
        for worker in fleet.workers:
            # One that has not said anything yet holds nothing, and SIGTERM lets it finish what it may have taken since.
            if worker.empty or (worker.draining and worker.seen is None):
                worker.stop()
        staying = sum(not (worker.draining or worker.stopped) for worker in fleet.workers)
        self._start(fleet, decision.replicas - staying)

    async def _report(self, fleet: QueueFleet, decision: Decision) -> None:
        """Keep the decision where people can see it, and log it when it changes."""
        views = [worker.view() for worker in fleet.workers]
        phases = [view.phase.value for view in views]
        status = {
            "wanted": decision.replicas,
            **{phase: phases.count(phase) for phase in ("starting", "ready", "draining")},
            "busy": sum(view.running > 0 for view in views),
            "minimum": fleet.policy.min_replicas,
            "maximum": fleet.policy.max_replicas,
            "reason": decision.reason.value,
            "trouble": "WorkersFailing" if fleet.failures else None,
            "explanation": self._explained(fleet, decision),
        }
        encoded = orjson.dumps(status)
        if (decision.replicas, decision.reason.value) != fleet.logged:
            log.info("decided", queue=fleet.name, **status)
            fleet.logged = decision.replicas, decision.reason.value
        if encoded != fleet.reported or time.monotonic() >= fleet.report_again:
            await self._store.run(capacity.report(fleet.name, encoded))
            fleet.reported = encoded
            fleet.report_again = time.monotonic() + capacity.FLEET_KEPT.total_seconds() / 3

    @staticmethod
    def _explained(fleet: QueueFleet, decision: Decision) -> str:
        if not fleet.failures:
            return decision.explanation
        return f"{decision.explanation} The last {fleet.failures} worker(s) died at their start; see their logs."

    # -- processes -----------------------------------------------------------------------------------------------------

    def _start(self, fleet: QueueFleet, missing: int) -> None:
        if fleet.failures:  # while they die at their start, one at a time will do
            missing = 0 if any(worker.seen is None for worker in fleet.workers) else min(missing, 1)
        if time.monotonic() >= fleet.not_before:
            for _ in range(missing):
                fleet.workers.append(self._launcher.launch(fleet.resource, next(self._numbers)))

    @staticmethod
    def _end_hung(fleet: QueueFleet) -> None:
        """One that neither starts, beats nor ends holds a place that another could use."""
        for worker in fleet.workers:
            if worker.hung:
                log.warning("worker_hung", queue=fleet.name, worker=worker.id)
                worker.kill()

    def _bury(self, fleet: QueueFleet) -> None:
        """Forget processes that ended. One that died before it was ready makes us wait, ever longer."""
        for worker in [worker for worker in fleet.workers if worker.process.poll() is not None]:
            fleet.workers.remove(worker)
            worker.kill()  # what its processes still run goes on without it, and soon elsewhere as well
            if not worker.stopped:
                log.warning("worker_died", queue=fleet.name, worker=worker.id, status=worker.process.returncode)
            if worker.seen is None and not worker.stopped:
                fleet.failures += 1
                fleet.not_before = time.monotonic() + _pause(fleet.failures)
        if any(worker.seen for worker in fleet.workers):
            fleet.failures = 0

    async def stop(self, within_s: float) -> None:
        """Stop every worker; what is still at work after so long is killed, and its tasks start again later."""
        workers = [worker for fleet in self.queues for worker in fleet.workers]
        for worker in workers:
            worker.stop()
        await asyncio.gather(*(_end(worker, within_s) for worker in workers))


async def _end(worker: WorkerProcess, within_s: float) -> None:
    try:
        await asyncio.to_thread(worker.process.wait, within_s)
    except subprocess.TimeoutExpired:
        log.warning("worker_killed", worker=worker.id, reason=f"did not leave within {within_s:g} s")
        worker.kill()
        await asyncio.to_thread(worker.process.wait)
    worker.kill()  # programs that its processes had started, such as ffmpeg


def _pause(failures: int) -> float:
    """Before the next start after so many failed ones: 2 s, and twice as long each time."""
    return min(2.0 ** min(failures, 10), LONGEST_PAUSE_S)


def _local_time() -> float:
    """Only while Redis cannot be asked, or read: then nothing is decided by it."""
    return time.clock_gettime(time.CLOCK_REALTIME)
