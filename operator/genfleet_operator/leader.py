"""Of several operators one leads: who holds the Lease. The others wait, ready to take over.

As Kubernetes' own components do it: a lease that was not renewed for 15 s, by the clock of who watches it, is free; who
cannot renew its own for 10 s has to stop. Between the two nobody leads, and workers just go on.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from genfleet_operator import metrics
from genfleet_operator.kube import Cluster, ClusterRefused, ClusterUnavailable

log = structlog.get_logger(__name__)

DURATION_S = 15
"""How long a lease holds without being renewed."""
RENEW_WITHIN_S = 10.0
"""How long renewing may fail before the leader stops. Less than the lease, or two would lead."""
ATTEMPTS = 3
"""At renewing within that time, at least: one connection that is half open must not cost the lead."""
PERIOD_S = 2.0
"""Between two looks at the lease, and between two renewals."""
SAY_AGAIN_S = 30.0
"""Between two lines in the log about a lease that may not be had."""


class Leadership:
    """Our claim to lead."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, holder: str, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._namespace, self._name = namespace, name
        self._holder = holder
        self._clock = clock
        self._lease: dict[str, Any] | None = None
        """As it was last written by us."""
        self._watched: tuple[str, float] = ("", 0.0)
        """Version of somebody else's lease, and when we saw it first (monotonic)."""
        self.refusal = ""
        """Why nobody lets us look at the lease. Empty: they do, or did not answer."""

    async def win(self) -> None:
        """Wait until we lead. Who is refused waits as well: to end would be to be started later and later."""
        told, said_at = False, -math.inf
        while True:
            try:
                if await self._try():
                    break
                self.refusal = ""
                if not told:
                    log.info("standing_by", lease=self._name)
                    told = True
            except ClusterUnavailable as error:
                log.warning("lease_not_seen", reason=str(error))
            except ClusterRefused as error:
                self.refusal = str(error)
                if time.monotonic() - said_at >= SAY_AGAIN_S:
                    said_at = time.monotonic()
                    log.warning("lease_refused", lease=self._name, reason=str(error), remedy="see the operator's roles")
            await asyncio.sleep(PERIOD_S)
        self.refusal = ""
        metrics.LEADER.set(1)
        log.info("leading", lease=self._name, holder=self._holder)

    async def keep(self) -> None:
        """Renew the lease for as long as we can. Returns when we have to stop leading."""
        renewed = time.monotonic()
        while time.monotonic() - renewed < RENEW_WITHIN_S:
            await asyncio.sleep(PERIOD_S)
            asked = time.monotonic()  # not when it was answered: others count from when the server got it
            try:
                async with asyncio.timeout(min(RENEW_WITHIN_S - (asked - renewed), RENEW_WITHIN_S / ATTEMPTS)):
                    if not await self._renewed():
                        break
                renewed = asked
            except (ClusterUnavailable, ClusterRefused, TimeoutError) as error:
                log.warning("lease_not_renewed", reason=str(error))
        metrics.LEADER.set(0)

    async def _renewed(self) -> bool:
        """Write the lease anew. False: it is not ours any more."""
        try:
            await self._write()
        except ClusterRefused as error:
            if error.status not in (404, 409):  # nobody has taken it: a right may be back before it ends
                raise
            if error.status == 404 or not await self._still_ours():
                log.warning("lease_lost", reason=str(error))
                return False
            await self._write()
        return True

    async def leave(self) -> None:
        """Let another take over at once."""
        metrics.LEADER.set(0)
        if self._lease:
            self._lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
            try:
                await self._cluster.keep_lease(self._lease)
            except (ClusterUnavailable, ClusterRefused) as error:
                log.warning("lease_not_released", reason=str(error))

    async def _try(self) -> bool:
        lease = await self._cluster.lease(self._namespace, self._name)
        if lease is not None and not self._is_free(lease):
            return False
        try:
            await self._write(lease)
        except ClusterRefused as error:
            if error.status != 409:
                raise
            return False
        return True

    def _is_free(self, lease: dict[str, Any]) -> bool:
        """Nobody's, ours, or not renewed for its duration; by our own clock, as that of the holder may be off."""
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") in (None, "", self._holder):
            return True
        version = lease["metadata"]["resourceVersion"]
        if version != self._watched[0]:
            self._watched = version, time.monotonic()
        return time.monotonic() - self._watched[1] > float(spec.get("leaseDurationSeconds") or DURATION_S)

    async def _write(self, over: dict[str, Any] | None = None) -> None:
        """Take or renew the lease; refused if somebody wrote it since."""
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lease = over or self._lease
        if lease is None:
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": {},
            }
        before = lease["spec"]
        taken = before.get("holderIdentity") != self._holder
        spec = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": DURATION_S,
            "renewTime": now,
            "acquireTime": now if taken else before.get("acquireTime", now),
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + taken,
        }
        self._lease = await self._cluster.keep_lease({**lease, "spec": spec})

    async def _still_ours(self) -> bool:
        """After a conflict: our own write may have arrived, and only its answer was lost."""
        lease = await self._cluster.lease(self._namespace, self._name)
        if lease is None or lease["spec"].get("holderIdentity") != self._holder:
            return False
        self._lease = lease
        return True
