"""Writes what was ordered, one queue at a time, in an order that loses nothing wherever it stops.

First the workers are told, in Redis; then costs; then numbers. What fails is ordered again by the next look, which sees
how far this one came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from genfleet.errors import GenfleetError, StoreUnavailable
from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from genfleet_operator import metrics, names
from genfleet_operator.blueprint import Blueprint, Manifest
from genfleet_operator.fleet import Fleet, Refused
from genfleet_operator.kube import Cluster, ClusterRefused, ClusterUnavailable
from genfleet_operator.orders import Orders
from genfleet_operator.report import Fault, Trouble
from genfleet_operator.templates import TemplateRefused, explained
from genfleet_operator.world import World, deployment

log = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 12.0
"""Between tries to write what is refused: whoever mends it sees that within a quarter of a minute."""
LONGEST_OUTAGE_PAUSE_S = 8.0
"""Between tries while nobody answers: when somebody does again, work has waited long enough."""


NOT_FOUND = 404
ANOTHER_GONE_AFTER_S = 120.0
"""Without a write of another autoscaler, while ours is refused because of it."""


class Applier:
    """Writes to Redis and to the API server."""

    def __init__(self, cluster: Cluster, store: AsyncStore, world: World, on_end: Callable[[], None]) -> None:
        self._cluster, self._store, self._world = cluster, store, world
        self._on_end = on_end
        self._writes: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Keep writing while we lead; what is on its way when we no longer do is dropped."""
        try:
            await asyncio.Event().wait()
        finally:
            for write in self._writes:
                write.cancel()

    def start(self, fleet: Fleet, wanted: Orders, drifted: Sequence[str], woken: float | None) -> None:
        """Carry out in the background; until it is done, nothing else is ordered for this queue."""
        fleet.applying = True
        write = asyncio.create_task(self.carry_out(fleet, wanted, drifted, woken))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)

    async def carry_out(self, fleet: Fleet, wanted: Orders, drifted: Sequence[str], woken: float | None) -> None:
        """Carry out the orders of one queue. What fails is ordered again by the next look."""
        try:
            await self._write(fleet, wanted, drifted, woken)
        except (ClusterUnavailable, ClusterRefused, StoreUnavailable) as error:
            self._failed(fleet, error)
        except Exception:
            log.exception("apply_failed", queue="/".join(fleet.key))
            self._put_off(fleet, "see the log")
        else:
            if not self._contested(fleet):
                fleet.failures, fleet.write_trouble = 0, Trouble()
        finally:
            fleet.applying = False
            self._world.changed.add(fleet.key)
            self._on_end()

    async def _write(self, fleet: Fleet, wanted: Orders, drifted: Sequence[str], woken: float | None) -> None:
        """All writes of one queue. Raises what was refused first, when all were tried; or that nothing answers."""
        refusals: list[ClusterRefused] = []
        namespace = fleet.key[0]
        await self._tell_workers(fleet, wanted)
        # Costs are not taken note of from the answers: our watch shows them when the ReplicaSet's may, too.
        costs = (self._set_cost(fleet, pod, cost) for pod, cost in wanted.costs.items())
        await asyncio.gather(*(self._attempt(refusals, call) for call in costs))
        await self._introduce(fleet, wanted)
        rising = await self._apply_deployments(fleet, wanted, drifted, refusals)
        if rising and woken is not None:
            metrics.REACTION.observe(time.monotonic() - woken)
        for name, replicas in wanted.lower.items():
            fleet.lowered[name] = time.monotonic()
            await self._attempt(refusals, self._scale(namespace, name, replicas))
        for name in wanted.remove:
            await self._attempt(refusals, self._cluster.remove(namespace, name))
        if refusals:
            raise refusals[0]

    async def _set_cost(self, fleet: Fleet, pod: str, cost: int) -> None:
        await self._cluster.set_cost(fleet.key[0], pod, cost)
        fleet.costs[pod] = cost, time.monotonic()

    async def _scale(self, namespace: str, name: str, replicas: int) -> None:
        self._world.take_deployment(None, await self._cluster.scale(namespace, name, replicas))

    def _failed(self, fleet: Fleet, error: GenfleetError) -> None:
        """Told, unless the next look tells it better, or it is nobody's fault: a namespace on its way out (facts K18)."""
        refused = isinstance(error, ClusterRefused)
        if not isinstance(error, StoreUnavailable) and not (isinstance(error, ClusterRefused) and error.gone):
            fleet.write_trouble = _trouble(error)
        self._put_off(fleet, str(error), LONGEST_PAUSE_S if refused else LONGEST_OUTAGE_PAUSE_S)

    @staticmethod
    def _contested(fleet: Fleet) -> bool:
        return fleet.write_trouble.fault is Fault.SCALED_BY_ANOTHER

    @staticmethod
    def _put_off(fleet: Fleet, reason: str, longest: float = LONGEST_PAUSE_S) -> None:
        fleet.failures += 1
        fleet.not_before = time.monotonic() + min(2.0 ** min(fleet.failures - 1, 10), longest)
        log.warning("not_applied", queue="/".join(fleet.key), reason=reason)

    async def _tell_workers(self, fleet: Fleet, wanted: Orders) -> None:
        """Drain and recall by Redis, in one round trip."""
        calls = [capacity.resume(worker) for worker in wanted.recall] + [
            capacity.drain(worker) for worker in wanted.drain
        ]
        if calls:
            metrics.REDIS_ROUND_TRIPS.inc()
            await self._store.run_all(calls)
            fleet.told = (fleet.told | set(wanted.drain)) - set(wanted.recall)
            fleet.metrics.drains.inc(len(wanted.drain))

    async def _introduce(self, fleet: Fleet, wanted: Orders) -> None:
        """Make the Deployments of new revisions. One that is refused is tried less and less often, and holds up nothing."""
        for plan in fleet.blueprints:
            name = plan.deployment
            if name not in wanted.introduce:
                continue
            try:
                await self._apply_plan(fleet, plan, 0)
            except ClusterRefused as error:
                tries = fleet.refused[name].tries + 1 if name in fleet.refused else 1
                again_at = time.monotonic() + min(2.0 ** min(tries - 1, 10), LONGEST_PAUSE_S)
                trouble = Trouble() if error.gone else _trouble(error)
                fleet.refused[name] = Refused(trouble, tries, again_at)
                log.warning("revision_refused", queue="/".join(fleet.key), deployment=name, reason=str(error))
            else:
                fleet.refused.pop(name, None)

    async def _apply_deployments(
        self, fleet: Fleet, wanted: Orders, drifted: Sequence[str], refusals: list[ClusterRefused]
    ) -> bool:
        """Create or change the Deployments in force. Whether any got more replicas."""
        there = self._world.deployments.get(fleet.key, {})
        plans = {plan.deployment: plan for plan in fleet.blueprints}
        rising = False
        for name in dict.fromkeys((*wanted.apply, *drifted)):
            before = there[name].replicas if name in there else 0
            replicas = wanted.apply.get(name, before)
            if replicas < before:
                fleet.lowered[name] = time.monotonic()
            try:
                if name in plans:
                    await self._apply_plan(fleet, plans[name], replicas)
                else:  # an earlier revision, in force until a new one is taken: we know its number only
                    await self._scale(fleet.key[0], name, replicas)
            except ClusterRefused as error:
                refusals.append(error)
                continue
            rising = rising or (name in there and there[name].replicas > before)
        return rising

    async def _apply_plan(self, fleet: Fleet, plan: Blueprint, replicas: int) -> None:
        """Create or change the Deployment of a blueprint. Raises ClusterRefused, in words for who wrote its template."""
        try:
            made = await self._apply_one(fleet, plan.with_replicas(replicas))
        except ClusterRefused as error:
            raise explained(error, plan.layers) from error
        if made is None:
            return
        self._world.take_deployment(None, made)
        known = deployment(made)
        assert known
        fleet.applied[plan.deployment] = known.generation

    async def _apply_one(self, fleet: Fleet, manifest: Manifest) -> Manifest | None:
        """Apply; a person's change is taken back, another controller's number of replicas is left alone. None: left."""
        name = manifest["metadata"]["name"]
        try:
            made = await self._cluster.apply(manifest)
        except ClusterRefused as error:
            if error.status != 409:
                raise
            another = _another_scaler(error.causes)
            if another and not self._has_left(fleet, name):
                message = f"{name}: {another} sets spec.replicas: remove that autoscaler"
                fleet.write_trouble = Trouble(Fault.SCALED_BY_ANOTHER, message)
                self._put_off(fleet, message)
                return None
            log.info("drift_repaired", deployment=name, fields=list(error.causes))
            made = await self._cluster.apply(manifest, force=True)
        if self._contested(fleet):
            fleet.write_trouble = Trouble()
        fleet.contested.pop(name, None)
        return made

    def _has_left(self, fleet: Fleet, name: str) -> bool:
        """Whether another scaler has left a Deployment alone for so long that it is taken for gone.

        Its name stays on the field when it has been removed: only who writes there again is still at work.
        """
        there = self._world.deployments.get(fleet.key, {}).get(name)
        generation = there.generation if there else 0
        known, since = fleet.contested.setdefault(name, (generation, time.monotonic()))
        if known != generation:
            fleet.contested[name] = generation, time.monotonic()
            return False
        return time.monotonic() - since >= ANOTHER_GONE_AFTER_S

    @staticmethod
    async def _attempt(refusals: list[ClusterRefused], call: Awaitable[object]) -> None:
        """One write. One that is refused keeps the others from nothing; what is gone needs no change."""
        try:
            await call
        except ClusterRefused as error:
            if error.status != NOT_FOUND:
                refusals.append(error)


def _trouble(error: GenfleetError) -> Trouble:
    fault = Fault.INVALID_TEMPLATE if isinstance(error, TemplateRefused) else Fault.APPLY_FAILED
    return Trouble(fault, str(error))


def _another_scaler(causes: Sequence[str]) -> str:
    """Who else scales a Deployment, if it is a controller. A person with kubectl is not one: that is drift.

    The API server says: conflict with "kube-controller-manager" with subresource "scale" …: .spec.replicas
    """
    for cause in causes:
        manager = cause.split('"')[1] if '"' in cause else ""
        if ".spec.replicas" in cause and manager and not manager.startswith(("kubectl", names.MANAGER)):
            return manager
    return ""
