"""Capacity on Kubernetes: observe → decide → apply → report, for every queue, as often as something happens.

One loop looks at all queues: once a second, and at once at those for which work came or whose pods changed. A look is
one round trip to Redis, deciding is pure, and what is to be written goes on its own, queue by queue: one slow answer of
the API server holds up one queue.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import orjson
import structlog
from redis.exceptions import RedisError

from genfleet.contract.reasons import Reason
from genfleet.contract.status import PoolStatus, QueueStatus
from genfleet.errors import StoreUnavailable
from genfleet.scaling.decide import Decision, decide
from genfleet.scaling.moves import moves
from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from genfleet.store.records import QueueSeen
from genfleet.store.survey import survey
from genfleet_operator import metrics, names, report
from genfleet_operator.applier import Applier
from genfleet_operator.blueprint import Installation, Revision
from genfleet_operator.fleet import REOPEN_S, Fleet
from genfleet_operator.kube import DEPLOYMENTS, PODS, QUEUES, REPLICA_SETS, Cluster, ClusterRefused, ClusterUnavailable
from genfleet_operator.orders import orders
from genfleet_operator.report import Fault, Trouble
from genfleet_operator.reporter import Reporter
from genfleet_operator.revisions import in_force, to_introduce
from genfleet_operator.sight import Sight, sight
from genfleet_operator.world import Deployment, Key, World

log = structlog.get_logger(__name__)

ROUND_S = 1.0
"""Every queue is looked at this often, whatever happens."""
AT_MOST_EVERY_S = 0.03
"""Looks at single queues; many submissions at once are one look."""
RETRY_S = 1.0
"""Before the next try to listen to Redis."""
SAY_AGAIN_S = 30.0
"""Between two lines in the log about the same outage of Redis."""
RELIST_S = 120.0
"""All objects are listed again this often: a watch that has died without a word costs no more than that (facts K1)."""
LIST_AFTER_WATCH_S = 1.0
"""After a watch has begun. All kinds begin at about the same time, and one list is enough for them."""
QUEUES_A_LOOK = 50
"""A round goes over many queues in parts, so that who was given work meanwhile does not wait for all of them."""


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
    ) -> None:
        self.fleets: dict[Key, Fleet] = {}
        self.last_tick = time.monotonic()
        """When the last look ended, blind or not (monotonic)."""
        self.listed = asyncio.Event()
        """Whether everything was seen once: so the definition of our resource is there, and can be watched."""
        self._cluster, self._store, self._world = cluster, store, world
        self._installation, self._reporter, self._clock = installation, reporter, clock
        self._news, self._began = asyncio.Event(), asyncio.Event()
        self._woken: dict[str, float] = {}
        """Queues of the broker that were given work, and when we heard of it (monotonic)."""
        self._round: list[Key] = []
        """Queues that are still to be looked at in this round."""
        self._part_due, self._part_every = 0.0, ROUND_S
        """When the next part of the round is due (monotonic), and how often one is."""
        self._last_seen = time.monotonic()
        """When Redis last answered a look (monotonic)."""
        self._blind_said_at = -math.inf
        """When the log said last that Redis does not answer (monotonic)."""
        self._listening_since: float | None = None
        """Since when Redis has answered without a break, by its clock. None: it does not."""
        self._applier = Applier(cluster, store, world, self.news)

    def news(self) -> None:
        """Something changed in the cluster."""
        self._news.set()

    def watch_began(self) -> None:
        """A watch began, or began anew, with a list. Of what was deleted before that it never tells, so we list as well."""
        self._began.set()

    async def run(self) -> None:
        """Follow the work for as long as we lead."""
        await self._list_all()
        self._last_seen = time.monotonic()
        metrics.OBSERVATION_AGE.set_function(lambda: time.monotonic() - self._last_seen)  # also while a look hangs
        self.listed.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._relist())
            group.create_task(self._reporter.run())
            group.create_task(self._loop())
            group.create_task(self._applier.run())

    async def _loop(self) -> None:
        while True:
            part = self._next_part()
            await self._look(self._touched() | part)
            await self._next_look()

    def _next_part(self) -> set[Key]:
        """The queues whose turn it is in this round, if it is time."""
        now = time.monotonic()
        if now < self._part_due:
            return set()
        if not self._round:
            self._round = list(self.fleets)
            parts = max(1, math.ceil(len(self._round) / QUEUES_A_LOOK))
            self._part_every = ROUND_S / parts
        self._part_due = now + self._part_every
        part, self._round = self._round[:QUEUES_A_LOOK], self._round[QUEUES_A_LOOK:]
        return set(part)

    async def _next_look(self) -> None:
        """Wait for news, for the end of a cooldown, or for the next part of the round."""
        looked = time.monotonic()
        due = min(self._part_due, min((fleet.look_again for fleet in self.fleets.values()), default=math.inf))
        try:
            async with asyncio.timeout(max(0.0, due - looked)):
                await self._news.wait()
                await asyncio.sleep(max(0.0, looked + AT_MOST_EVERY_S - time.monotonic()))
        except TimeoutError:
            return

    def _touched(self) -> set[Key]:
        """The queues that something happened to since the last look, or whose cooldown ends now."""
        now = time.monotonic()
        served = {fleet.resource.spec.queue: key for key, fleet in self.fleets.items() if fleet.resource}
        woken = {served[name] for name in self._woken if name in served}
        self._woken = {name: at for name, at in self._woken.items() if name in served}
        return woken | self._world.changed | {key for key, fleet in self.fleets.items() if now >= fleet.look_again}

    # -- what is known of the cluster ----------------------------------------------------------------------------------

    async def _list_all(self) -> None:
        """Before the first decision: who does not know what runs could take it for nothing."""
        while True:
            self.last_tick = time.monotonic()  # waiting for the API server is no reason to be ended
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
            ("replica set", REPLICA_SETS, names.OURS, world.take_replica_set),
            ("pod", PODS, names.OURS, world.take_pod),
        ):
            known = world.known(kind)
            found, listed = await self._cluster.list(resource, labels)
            for obj in found:
                take(None, obj)
            world.forget_absent(kind, found, listed, known)

    async def _relist(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RELIST_S):
                    await self._began.wait()
                await asyncio.sleep(LIST_AFTER_WATCH_S)
            self._began.clear()
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
                log.debug("not_listening", reason=str(error))  # looks go on, and tell if Redis is away
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
            fleet.look_again = math.inf
            try:
                self._follow(fleet, queue_seen, now, woken.get(fleet.key))
            except Exception:
                log.exception("queue_failed", queue="/".join(fleet.key))  # the others go on
        for fleet in looked_at:
            if fleet.key in rivals or not fleet.resource:
                self._refuse(fleet, rivals.get(fleet.key, fleet.refusal))
        self.last_tick = time.monotonic()
        metrics.LOOK.observe(self.last_tick - began)

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
        metrics.REDIS_ROUND_TRIPS.inc()
        try:
            look = await survey(self._store, queues)
        except StoreUnavailable as error:
            self._say_blind(error)
            metrics.REDIS_ERRORS.inc()
            self._listening_since = None
            return self._clock().timestamp(), [None] * len(queues)
        now = look.now or self._clock().timestamp()
        if look.whole:
            metrics.QUARANTINED.set(look.whole.quarantined)
            metrics.DEAD_LETTERS.set(look.whole.dead_letters)
        self._blind_said_at = -math.inf
        self._last_seen = time.monotonic()
        if self._listening_since is None:
            self._listening_since = now
        return now, look.queues

    def _say_blind(self, error: StoreUnavailable) -> None:
        """Once in a while: every look meets the same."""
        if time.monotonic() - self._blind_said_at >= SAY_AGAIN_S:
            self._blind_said_at = time.monotonic()
            log.warning("blind", reason=str(error))

    def _follow(self, fleet: Fleet, queue_seen: QueueSeen | None, now: float, woken: float | None) -> None:
        """Decide for one queue, and have done what follows."""
        assert fleet.resource
        assert fleet.policy
        pods = self._world.pods.get(fleet.key, {})
        deployments = self._world.deployments.get(fleet.key, {})
        fleet.told &= {pod.worker for pod in pods.values()}
        before, revisions = fleet.revisions, tuple(in_force(plan, deployments) for plan in fleet.blueprints)
        fleet.revisions = revisions
        seen = sight(
            queue_seen,
            now=now,
            revisions=revisions,
            deployments=deployments,
            replica_sets=self._world.replica_sets.get(fleet.key, {}).values(),
            pods=pods,
            told=fleet.told,
            listening_since=self._listening_since or now,
        )
        stopped = fleet.busy_stops.look(seen, queue_seen, fleet.lowered, time.monotonic())
        for by in stopped:
            fleet.metrics.busy_stopped[by].inc()
        decision = decide(fleet.policy, seen.observation, fleet.memory)
        fleet.memory = decision.memory
        fleet.look_again = _end_of_cooldown(fleet, decision, now)
        pools = fleet.pools(seen)
        planned = moves(decision, seen.observation, pools, fleet.policy.max_replicas)
        introduce = [
            name for name in to_introduce(fleet.blueprints, revisions) if fleet.may_try(name, time.monotonic())
        ]
        wanted = orders(seen, planned, revisions, deployments, introduce)
        wanted = replace(wanted, costs=fleet.to_set(wanted.costs, time.monotonic()))
        drifted = self._drifted(fleet)
        if (wanted or drifted) and not fleet.applying and time.monotonic() >= fleet.not_before:
            for pool in pools:
                if set(pool.stuck) & set(planned.drain):
                    fleet.closed_until[pool.name] = now + REOPEN_S
            self._applier.start(fleet, wanted, drifted, woken)
        elif not (wanted or drifted or fleet.applying):  # what was refused is not wanted any more
            fleet.failures, fleet.write_trouble = 0, Trouble()
        self._report(fleet, seen, decision, blind=queue_seen is None)
        self._tell_of_new(fleet, before, seen)

    def _tell_of_new(self, fleet: Fleet, before: Sequence[Revision], seen: Sight) -> None:
        """An Event for each pool that goes over to another revision."""
        earlier = {revision.pool: revision for revision in before}
        for revision in fleet.revisions:
            old = earlier.get(revision.pool, revision)
            if old.deployment != revision.deployment:
                self._reporter.tell(fleet, report.takeover(old, revision, seen))

    def _drifted(self, fleet: Fleet) -> list[str]:
        """Present Deployments that we have not applied yet, or that somebody changed since."""
        there = self._world.deployments.get(fleet.key, {})
        return [
            plan.deployment
            for plan in fleet.blueprints
            if plan.deployment in there and fleet.applied.get(plan.deployment) != there[plan.deployment].generation
        ]

    # -- report --------------------------------------------------------------------------------------------------------

    def _report(self, fleet: Fleet, seen: Sight, decision: Decision, *, blind: bool) -> None:
        """Tell people. Where nothing changed, which is most often, the last report is true still."""
        deployments = self._world.deployments.get(fleet.key, {})
        told_of = _gist(fleet, seen, decision, deployments, blind=blind)
        if told_of == fleet.told_of:
            self._reporter.repeat(fleet.key)
            return
        fleet.told_of = told_of
        assert fleet.resource
        pools = report.pools_of(fleet.revisions, seen, deployments)
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
            metrics.DECISIONS.labels(*fleet.metrics.labels, decision.reason.value).inc()
        self._reporter.take(fleet, status, decision, outcome.trouble, orjson.dumps(report.shown(outcome)))

    @staticmethod
    def _trouble(fleet: Fleet, seen: Sight, pools: Sequence[PoolStatus], *, blind: bool) -> Trouble:
        """The gravest fault: what keeps us from acting comes before what workers run into."""
        if fleet.refusal.fault is not Fault.NONE:
            return fleet.refusal
        if fleet.write_trouble.fault is not Fault.NONE:
            return fleet.write_trouble
        for refused in fleet.refused.values():
            return refused.trouble
        if blind:
            return Trouble(
                Fault.REDIS_UNREACHABLE,
                "Redis does not answer, or not in a way that can be read: what runs, stays, and only minimums are kept up.",
            )
        found = report.trouble_of(pools)
        if found.fault is Fault.NONE and any(worker.pod and not worker.pod.ours for worker in seen.workers.values()):
            return Trouble(
                Fault.SCALED_BY_ANOTHER,
                f"another controller writes {names.DELETION_COST} on our pods (Karpenter can): idle workers may stay",
            )
        return found

    def _refuse(self, fleet: Fleet, trouble: Trouble) -> None:
        before, fleet.told_of, fleet.look_again = fleet.status, None, math.inf
        fleet.status = report.refused(fleet.document.generation, trouble, before, self._clock())
        fleet.metrics.degraded.set(1)
        self._reporter.take(fleet, fleet.status, None, trouble, None)

    @staticmethod
    def _measure(fleet: Fleet, seen: Sight, decision: Decision, status: QueueStatus) -> None:
        facts, gauges = seen.observation, fleet.metrics
        if facts.demand is not None:  # unseen is not zero: the numbers stay as they were seen last
            gauges.waiting.set((facts.waiting or 0) + facts.due)
            gauges.running.set(facts.running)
            gauges.oldest_wait.set(facts.oldest_wait or 0)
        gauges.desired.set(decision.replicas)
        for phase, number in report.workers_by_phase(seen).items():
            gauges.workers[phase].set(number)
        gauges.unschedulable.set(sum(pool.unschedulable for pool in status.pools))
        gauges.degraded.set(any(one.type == "Degraded" and one.status == "True" for one in status.conditions))

    # -- cleaning up after pods ----------------------------------------------------------------------------------------

    async def _tidy(self) -> None:
        """Forget the drain marks of pods that are no more."""
        gone, self._world.gone = self._world.gone, []
        try:
            if gone:
                metrics.REDIS_ROUND_TRIPS.inc()
                await self._store.run_all([capacity.resume(pod.worker) for pod in gone])
        except StoreUnavailable:
            self._world.gone += gone


def _end_of_cooldown(fleet: Fleet, decision: Decision, now: float) -> float:
    """When (monotonic) fewer workers may do, if all stays as it is. Never: nothing is held by the cooldown."""
    assert fleet.policy
    if decision.reason is not Reason.COOLING_DOWN or not decision.memory:
        return math.inf
    ends = decision.memory[0].until + fleet.policy.cooldown - now
    return time.monotonic() + max(ends, AT_MOST_EVERY_S)


def _gist(
    fleet: Fleet, seen: Sight, decision: Decision, deployments: Mapping[str, Deployment], *, blind: bool
) -> tuple[object, ...]:
    """All that a report is made from, to be compared: a report costs ten times what this does."""
    facts = seen.observation
    return (
        fleet.document.generation,
        (facts.waiting, facts.running, facts.due, facts.oldest_wait and int(facts.oldest_wait)),
        facts.workers,
        (decision.replicas, decision.reason),
        (fleet.refusal, fleet.write_trouble, *(one.trouble for one in fleet.refused.values()), blind),
        fleet.revisions,
        tuple(worker.pod.trouble for worker in seen.workers.values() if worker.pod),
        tuple(worker.pod.ours for worker in seen.workers.values() if worker.pod),
        tuple((deployment.name, deployment.failure) for deployment in deployments.values()),
    )
