"""Delivers webhooks, in every process of the API, beside its requests; no worker ever waits for a receiver (TS-143).

A courier leases what is due, makes the attempts, and reports each. It keeps its leases while it lives; when its process
dies, they run out, and a courier of another process goes on. So an attempt may be made twice, and none is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections import Counter

import redis
import structlog

from genfleet.egress import AsyncSafeTransport
from genfleet.errors import StoreUnavailable
from genfleet.store import outbox
from genfleet.store.calls import Call
from genfleet.store.client import AsyncStore
from genfleet.store.outbox import DeliveryState, Parcel, Secrets
from genfleet_service import tracing
from genfleet_service.settings import ServiceSettings
from genfleet_service.webhooks import payload, signature
from genfleet_service.webhooks.attempt import Answered, Next, NotAnswered, Outcome, error_of, judge, noted, post

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
"""How long a delivery may wait for a courier that did not hear of it."""
RENEW_EVERY_S = outbox.LEASE.total_seconds() / 4
TAKEN_AT_ONCE = 20
"""Deliveries that one look brings: their bodies travel with them."""
OTHERS = 0.5
"""Part of the room that hosts may take which are not known to answer in time, however many they are."""
FINISH_WITHIN_S = 5.0
"""How long attempts that are under way may go on when the program has to stop."""


class Courier:
    """The deliveries of one process."""

    def __init__(self, store: AsyncStore, settings: ServiceSettings) -> None:
        self._store = store
        self._settings = settings
        self._room = settings.webhook_concurrency
        self._transport = AsyncSafeTransport(
            allow_private=settings.allow_private_callbacks, connections=max(1, self._room)
        )
        self._under_way: dict[asyncio.Task[None], Parcel] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Deliver for as long as the program runs; what is under way then has a few seconds to finish."""
        if not self._room:
            return
        beside = [asyncio.create_task(work) for work in (self._keep_leases(), self._listen())]
        try:
            while True:
                await self._rest(await self._look())
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=FINISH_WITHIN_S)
            ending = [*beside, *self._under_way]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await self._transport.aclose()

    async def _look(self) -> float:
        """Take what is due. How many seconds there is nothing more to do."""
        room = min(self._room - len(self._under_way), TAKEN_AT_ONCE)
        if not room:
            return LOOK_EVERY_S
        busy = Counter(parcel.host for parcel in self._under_way.values())
        others = sum(not parcel.proven for parcel in self._under_way.values())
        room_for_others = max(0, math.ceil(self._room * OTHERS) - others)
        call = outbox.take(room, room_for_others, self._settings.webhook_host_concurrency, busy)
        try:
            taken = await self._store.run(call)
        except StoreUnavailable as error:
            log.warning("webhooks_wait", reason=str(error))
            return LOOK_EVERY_S
        except Exception:
            log.exception("webhooks_not_taken")  # the next look may do better
            return LOOK_EVERY_S
        for parcel in taken.parcels:
            task = asyncio.create_task(self._deliver(parcel))
            self._under_way[task] = parcel
            task.add_done_callback(self._over)
        if len(taken.parcels) == room:
            return 0.0
        return min(LOOK_EVERY_S, taken.next_in.total_seconds()) if taken.next_in is not None else LOOK_EVERY_S

    def _over(self, task: asyncio.Task[None]) -> None:
        parcel = self._under_way.pop(task)
        self._wake.set()
        if not task.cancelled() and task.exception():
            log.error("webhook_not_reported", **parcel.names, exc_info=task.exception())

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _listen(self) -> None:
        """Hear of what enters the outbox. Without that, `LOOK_EVERY_S` is the rule."""
        while True:
            with contextlib.suppress(redis.RedisError, OSError):
                async with self._store.wakes("outbox_wake") as wakes:
                    while True:
                        if await wakes.get_message(timeout=LOOK_EVERY_S):
                            self._wake.set()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            held = [(parcel.task_id, parcel.token) for parcel in self._under_way.values()]
            if not held:
                continue
            try:
                await self._store.run(outbox.renew(held))
            except StoreUnavailable as error:
                log.warning("webhook_leases_not_renewed", reason=str(error))
            except Exception:
                log.exception("webhook_leases_not_renewed")  # then an attempt may be made twice

    async def _deliver(self, parcel: Parcel) -> None:
        """One attempt, from the body to the report."""
        began = asyncio.get_running_loop().time()
        try:
            with tracing.delivery(parcel) as span:
                outcome = await self._attempt(parcel, span.context)
                tracing.delivered(span, outcome)
        except StoreUnavailable as error:
            log.warning("webhook_waits", **parcel.names, reason=str(error))
            return  # its lease runs out
        except Exception as error:
            log.exception("webhook_attempt_broke", **parcel.names)
            outcome = NotAnswered(f"Could not be sent: {type(error).__name__}")
        if outcome is None:
            return
        after = judge(outcome, parcel.made + 1, self._settings.webhook_delays)
        _tell(parcel, outcome, after)
        attempt = noted(outcome, parcel.taken_ms, asyncio.get_running_loop().time() - began)
        in_time = not (isinstance(outcome, NotAnswered) and outcome.late)
        await self._report(
            outbox.report(parcel.task_id, parcel.token, dict(attempt), after.state, after.delay, in_time=in_time)
        )

    async def _attempt(self, parcel: Parcel, trace: str) -> Outcome | None:
        """What came of it; None: the task has expired in the meantime. `trace`: what the receiver may join."""
        ready = await self._ready(parcel)
        if ready is None:
            return None
        body, secrets = ready
        message, moment = signature.message_id(parcel.task_id), parcel.taken_ms
        return await post(
            self._transport,
            parcel.url,
            body,
            signature.headers(message, moment // 1000, body, secrets.signing(moment))
            | ({"traceparent": trace} if trace else {}),
            self._settings.webhook_timeout,
            allow_http=self._settings.allow_http_callbacks,
        )

    async def _ready(self, parcel: Parcel) -> tuple[bytes, Secrets] | None:
        """What to send, and what to sign it with; made now where there is none yet. None: the task has expired."""
        if parcel.task is None and parcel.secrets is not None:
            return parcel.body, parcel.secrets
        body = payload.body(parcel.task) if parcel.task else parcel.body
        offered = signature.new_secret()
        return await self._store.run(outbox.prepare(parcel.task_id, body, parcel.key_id, offered))

    async def _report(self, call: Call[bool]) -> None:
        """Tell the store, for as long as it takes: the attempt was made, and only Redis is missing."""
        while True:
            try:
                await self._store.run(call)
            except StoreUnavailable as error:
                log.warning("webhook_report_waits", reason=str(error))
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                return


def _tell(parcel: Parcel, outcome: Outcome, after: Next) -> None:
    """The documented lines (TS-140)."""
    url = shown(parcel.url)
    if after.state is DeliveryState.DELIVERED:
        assert isinstance(outcome, Answered)
        log.info("Webhook sent successfully", callback_url=url, status_code=outcome.status, **parcel.names)
        return
    error, attempt = error_of(outcome), parcel.made + 1
    log.warning("Webhook request failed", callback_url=url, error=error, attempt=attempt, **parcel.names)
    if after.state is DeliveryState.FAILED:
        log.error("Failed to send webhook after all retries", callback_url=url, **parcel.names)


def shown(url: str) -> str:
    """A callback URL for the log: receivers put tokens into the query."""
    path, *more = re.split(r"[?#]", url, maxsplit=1)
    return f"{path}?[hidden]" if more else path
