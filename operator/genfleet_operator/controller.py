"""Capacity on Kubernetes: observe → decide → apply → report, for every queue, as often as something happens.

One loop looks at all queues: once a second, and at once at those for which work came or whose pods changed. A look is
one round trip to Redis, deciding is pure, and what is to be written goes on its own, queue by queue: one slow answer of
the API server holds up one queue.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import orjson
import structlog
from redis.exceptions import RedisError

from genfleet.contract.status import PoolStatus, QueueStatus
from genfleet.errors import StoreUnavailable
from genfleet.scaling.decide import Decision, decide
from genfleet.scaling.moves import moves
from genfleet.store import steps
from genfleet.store.client import AsyncStore
from genfleet.store.records import QueueSeen
from genfleet_operator import metrics, names, report
from genfleet_operator.applier import Applier
from genfleet_operator.blueprint import Installation
from genfleet_operator.fleet import REOPEN_S, Fleet
from genfleet_operator.kube import DEPLOYMENTS, PODS, QUEUES, Cluster, ClusterRefused, ClusterUnavailable
from genfleet_operator.orders import orders, unsafe_costs
from genfleet_operator.report import Fault, Trouble
from genfleet_operator.reporter import Reporter
from genfleet_operator.sight import Sight, sight
from genfleet_operator.world import Key, Pod, World

log = structlog.get_logger(__name__)

TICK_S = 1.0
"""A look at all queues this often."""
AT_MOST_EVERY_S = 0.03
"""Looks at single queues; many submissions at once are one look."""
RETRY_S = 1.0
"""Before the next try to listen to Redis."""
RELIST_S = 120.0
"""All objects are listed again this often: a watch that has died without a word costs no more than that (facts K1)."""
COST_SETTLES_S = 0.5
"""From a deletion cost that our watch has shown until replicas are lowered: the ReplicaSet's own watch may be later."""
BLAME_S = 10.0
"""A busy worker that is stopped this soon after we lowered its Deployment is our fault."""
QUEUES_A_STEP = 50
"""Queues that one script looks at: Redis does nothing else meanwhile. All scripts travel in one round trip."""


class Controller:
    """Every queue's workers."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: AsyncStore,
        world: World,
        installation: Installation,
        reporter: Reporter,
        clock: Callable[[], datetime],
        namespaces: Sequence[str] = (),
    ) -> None:
        self.fleets: dict[Key, Fleet] = {}
        self.last_tick = time.monotonic()
        """When all queues were last looked at, blind or not (monotonic)."""
        self._cluster, self._store, self._world = cluster, store, world
        self._installation, self._reporter, self._clock = installation, reporter, clock
        self._namespaces = tuple(namespaces)
        self._news = asyncio.Event()
        self._woken: dict[str, float] = {}
        """Queues of the broker that were given work, and when we heard of it (monotonic)."""
        self._last_seen = time.monotonic()
        self._listening_since: float | None = None
        """Since when Redis has answered without a break, by its clock. None: it does not."""
        self._applier = Applier(cluster, store, world, self.news)
        self._cost_seen: dict[tuple[str, str, str], float] = {}
        """Pods with our deletion cost, and when our watch first showed it (monotonic)."""

    def news(self) -> None:
        """Something changed in the cluster."""
        self._news.set()

    async def run(self) -> None:
        """Follow the work for as long as we lead."""
        await self._list_all()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._relist())
            group.create_task(self._reporter.run())
            group.create_task(self._loop())

    async def _loop(self) -> None:
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                due = time.monotonic() + TICK_S
                await self._look(None)
            else:
                await self._look(self._touched())
            await self._next_look(due)

    async def _next_look(self, due: float) -> None:
        looked = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, due - looked)):
                await self._news.wait()
                await asyncio.sleep(max(0.0, looked + AT_MOST_EVERY_S - time.monotonic()))
        except TimeoutError:
            return

    def _touched(self) -> set[Key]:
        """The queues that something happened to since the last look."""
        served = {fleet.resource.spec.queue: key for key, fleet in self.fleets.items() if fleet.resource}
        woken = {served[name] for name in self._woken if name in served}
        return woken | self._world.changed

    # -- what is known of the cluster ----------------------------------------------------------------------------------

    async def _list_all(self) -> None:
        """Before the first decision: who does not know what runs could take it for nothing."""
        while True:
            try:
                return await self._list_once()
            except ClusterUnavailable as error:
                log.warning("cluster_not_seen", reason=str(error))
            except ClusterRefused as error:
                log.warning(
                    "cluster_refuses",
                    reason=str(error),
                    remedy="see the operator's roles, and that the CRD is installed",
                )
            await asyncio.sleep(5 * RETRY_S)

    async def _list_once(self) -> None:
        world = self._world
        for kind, resource, labels, take in (
            ("queue", QUEUES, None, world.take_queue),
            ("deployment", DEPLOYMENTS, names.OURS, world.take_deployment),
            ("pod", PODS, names.OURS, world.take_pod),
        ):
            known = world.known(kind)
            found = await self._cluster.list(resource, labels)
            for obj in found:
                take(None, obj)
            world.forget_absent(kind, found, self._namespaces, known)

    async def _relist(self) -> None:
        while True:
            await asyncio.sleep(RELIST_S)
            try:
                await self._list_once()
            except (ClusterUnavailable, ClusterRefused) as error:
                log.warning("not_listed", reason=str(error))
            self._news.set()

    async def _listen(self) -> None:
        """Hear of submissions. Nothing is lost if a wake-up is: the next look is near."""
        while True:
            try:
                async with self._store.wakes() as wakes:
                    while True:
                        message = await wakes.get_message(timeout=RETRY_S)
                        if message:
                            self._woken.setdefault(message["data"].decode(), time.monotonic())
                            self._news.set()
            except (RedisError, OSError) as error:
                log.warning("not_listening", reason=str(error))
                await asyncio.sleep(RETRY_S)

    # -- the four verbs ------------------------------------------------------------------------------------------------

    async def _look(self, only: set[Key] | None) -> None:
        """Observe, decide, apply and report, once. `only`: these queues; None: all."""
        self._news.clear()
        began = time.monotonic()
        self._refresh()
        await self._tidy()
        looked_at = [fleet for key, fleet in self.fleets.items() if only is None or key in only]
        woken = {fleet.key: self._woken.pop(fleet.resource.spec.queue, None) for fleet in looked_at if fleet.resource}
        self._world.changed -= {fleet.key for fleet in looked_at}
        rivals = self._rivals()
        able = [fleet for fleet in looked_at if fleet.resource and fleet.key not in rivals]
        now, seen = await self._observe(able)
        for fleet, queue_seen in zip(able, seen, strict=True):
            try:
                self._follow(fleet, queue_seen, now, woken.get(fleet.key))
            except Exception:
                log.exception("queue_failed", queue="/".join(fleet.key))  # the others go on
        for fleet in looked_at:
            if fleet.key in rivals or not fleet.resource:
                self._refuse(fleet, rivals.get(fleet.key, fleet.refusal))
        if only is None:
            self.last_tick = time.monotonic()
            metrics.LOOK.observe(self.last_tick - began)
            self._woken.clear()  # those left are of queues that nobody declared

    def _refresh(self) -> None:
        """Follow the resources: new ones, changed ones, and those that are gone."""
        documents = self._world.queues
        for key in self.fleets.keys() - documents.keys():
            del self.fleets[key]
            self._reporter.forget(key)
            metrics.forget(*key)
        for key, document in documents.items():
            fleet = self.fleets.get(key)
            if fleet is None or fleet.document.uid != document.uid:
                fleet = self.fleets[key] = Fleet(document)
            elif fleet.document.generation == document.generation:
                continue
            fleet.read(document, self._installation)

    def _rivals(self) -> dict[Key, Trouble]:
        """Resources for a queue that an older resource serves: two fleets on one queue would work against each other."""
        served: dict[str, Fleet] = {}
        rivals: dict[Key, Trouble] = {}
        for fleet in sorted(self.fleets.values(), key=lambda one: (one.document.created, one.key)):
            if fleet.resource is None:
                continue
            first = served.setdefault(fleet.resource.spec.queue, fleet)
            if first is not fleet:
                rivals[fleet.key] = Trouble(
                    Fault.QUEUE_TAKEN,
                    f"spec.queue: {fleet.resource.spec.queue!r} is served by {'/'.join(first.key)}, which is older: "
                    "remove one of the two",
                )
        return rivals

    async def _observe(self, fleets: Sequence[Fleet]) -> tuple[float, Sequence[QueueSeen | None]]:
        queues = [fleet.resource.spec.queue for fleet in fleets if fleet.resource]
        parts = [queues[at : at + QUEUES_A_STEP] for at in range(0, len(queues), QUEUES_A_STEP)]
        metrics.REDIS_ROUND_TRIPS.inc()
        try:
            surveys = await self._store.run_all([steps.observe(part) for part in parts or [[]]])
        except StoreUnavailable as error:
            log.warning("blind", reason=str(error))
            metrics.REDIS_ERRORS.inc()
            metrics.OBSERVATION_AGE.set(time.monotonic() - self._last_seen)
            self._listening_since = None
            return self._clock().timestamp(), [None] * len(queues)
        now: float = surveys[0].now_ms / 1000
        self._last_seen = time.monotonic()
        metrics.OBSERVATION_AGE.set(0)
        if self._listening_since is None:
            self._listening_since = now
        return now, [queue for survey in surveys for queue in survey.queues]

    def _follow(self, fleet: Fleet, queue_seen: QueueSeen | None, now: float, woken: float | None) -> None:
        """Decide for one queue, and have done what follows."""
        assert fleet.resource
        assert fleet.policy
        pods = self._world.pods.get(fleet.key, {})
        deployments = self._world.deployments.get(fleet.key, {})
        fleet.told &= {pod.worker for pod in pods.values()}
        seen = sight(
            queue_seen,
            now=now,
            blueprints=fleet.blueprints,
            deployments=deployments,
            pods=pods,
            told=fleet.told,
            listening_since=self._listening_since or now,
        )
        self._count_busy_stops(fleet, seen)
        decision = decide(fleet.policy, seen.observation, fleet.memory)
        fleet.memory = decision.memory
        pools = fleet.pools(seen)
        planned = moves(decision, seen.observation, pools, fleet.policy.max_replicas)
        wanted = orders(seen, planned, fleet.blueprints, deployments, self._settled(pods.values()))
        drifted = self._drifted(fleet)
        if (wanted or drifted) and not fleet.applying and time.monotonic() >= fleet.not_before:
            for pool in pools:
                if set(pool.stuck) & set(planned.drain):
                    fleet.closed_until[pool.name] = now + REOPEN_S
            self._applier.start(fleet, wanted, drifted, woken)
        elif not (wanted or drifted or fleet.applying):  # what was refused is not wanted any more
            fleet.failures, fleet.write_trouble = 0, Trouble()
        self._report(fleet, seen, decision, blind=queue_seen is None)

    def _drifted(self, fleet: Fleet) -> list[str]:
        """Present Deployments that we have not applied yet, or that somebody changed since."""
        there = self._world.deployments.get(fleet.key, {})
        return [
            plan.deployment
            for plan in fleet.blueprints
            if plan.deployment in there and fleet.applied.get(plan.deployment) != there[plan.deployment].generation
        ]

    def _settled(self, pods: Iterable[Pod]) -> set[str]:
        """Pods whose low cost our watch has shown for a while."""
        now = time.monotonic()
        costly = {(*pod.queue, pod.name): pod.name for pod in pods if pod.cost == names.EMPTY_COST}
        self._cost_seen |= dict.fromkeys(costly.keys() - self._cost_seen.keys(), now)
        return {name for key, name in costly.items() if now - self._cost_seen[key] >= COST_SETTLES_S}

    # -- report --------------------------------------------------------------------------------------------------------

    def _report(self, fleet: Fleet, seen: Sight, decision: Decision, *, blind: bool) -> None:
        assert fleet.resource
        pools = report.pools_of(fleet.blueprints, seen, self._world.deployments.get(fleet.key, {}))
        outcome = report.Outcome(
            queue=fleet.resource,
            generation=fleet.document.generation,
            seen=seen,
            decision=decision,
            pools=pools,
            trouble=self._trouble(fleet, seen, pools, blind=blind),
        )
        before = fleet.status
        status = report.status(outcome, before, self._clock())
        fleet.status = status
        self._measure(fleet, seen, decision, status)
        if status.last_decision != (before.last_decision if before else None):
            told = {"replicas": decision.replicas, "reason": decision.reason.value, "explanation": decision.explanation}
            log.info("decided", queue="/".join(fleet.key), **told)
            metrics.DECISIONS.labels(*fleet.key, decision.reason.value).inc()
        self._reporter.take(fleet, status, decision, outcome.trouble, orjson.dumps(report.shown(outcome)))

    @staticmethod
    def _trouble(fleet: Fleet, seen: Sight, pools: Sequence[PoolStatus], *, blind: bool) -> Trouble:
        """The gravest fault: what keeps us from acting comes before what workers run into."""
        if fleet.refusal.fault is not Fault.NONE:
            return fleet.refusal
        if fleet.write_trouble.fault is not Fault.NONE:
            return fleet.write_trouble
        if blind:
            return Trouble(Fault.REDIS_UNREACHABLE, "Redis does not answer: what runs, stays, and nothing is added.")
        found = report.trouble_of(pools)
        if found.fault is Fault.NONE and unsafe_costs([worker.pod for worker in seen.workers.values() if worker.pod]):
            return Trouble(
                Fault.SCALED_BY_ANOTHER,
                f"another controller writes {names.DELETION_COST} on our pods (Karpenter can): idle workers may stay",
            )
        return found

    def _refuse(self, fleet: Fleet, trouble: Trouble) -> None:
        before = fleet.status
        fleet.status = report.refused(fleet.document.generation, trouble, before, self._clock())
        metrics.DEGRADED.labels(*fleet.key).set(1)
        self._reporter.take(fleet, fleet.status, None, trouble, None)

    @staticmethod
    def _count_busy_stops(fleet: Fleet, seen: Sight) -> None:
        """A worker that was told to end while it held a task: by us it may never be, by others it may."""
        ending = {worker.pod.name: worker for worker in seen.workers.values() if worker.pod and worker.pod.terminating}
        for name in ending.keys() - fleet.ending:
            if ending[name].view.running:
                lowered = fleet.lowered.get(ending[name].deployment, -math.inf)
                by = "scaling" if time.monotonic() - lowered < BLAME_S else "other"
                log.warning("busy_worker_stopped", queue="/".join(fleet.key), worker=name, by=by)
                metrics.BUSY_STOPPED.labels(*fleet.key, by).inc()
        fleet.ending = set(ending)

    @staticmethod
    def _measure(fleet: Fleet, seen: Sight, decision: Decision, status: QueueStatus) -> None:
        facts, key = seen.observation, fleet.key
        if facts.demand is not None:  # unseen is not zero: the numbers stay as they were seen last
            metrics.WAITING.labels(*key).set((facts.waiting or 0) + facts.due)
            metrics.RUNNING.labels(*key).set(facts.running)
            metrics.OLDEST_WAIT.labels(*key).set(facts.oldest_wait or 0)
        metrics.DESIRED.labels(*key).set(decision.replicas)
        for state, number in report.workers_by_state(seen).items():
            metrics.WORKERS.labels(*key, state).set(number)
        metrics.UNSCHEDULABLE.labels(*key).set(sum(pool.unschedulable for pool in status.pools))
        degraded = any(one.type == "Degraded" and one.status == "True" for one in status.conditions)
        metrics.DEGRADED.labels(*key).set(degraded)

    # -- cleaning up after pods ----------------------------------------------------------------------------------------

    async def _tidy(self) -> None:
        """Forget the drain marks of pods that are no more."""
        gone, self._world.gone = self._world.gone, []
        for pod in gone:
            self._cost_seen.pop((*pod.queue, pod.name), None)
        try:
            if gone:
                metrics.REDIS_ROUND_TRIPS.inc()
                await self._store.run_all([steps.resume(pod.worker) for pod in gone])
        except StoreUnavailable:
            self._world.gone += gone
