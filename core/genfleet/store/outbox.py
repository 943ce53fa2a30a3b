"""The steps of webhooks: what waits to be delivered is leased, sent and reported; people look at it and send it again.

The API's couriers and routes call these. A webhook enters the outbox in the step that ends its task, so none here does
that. Every step may be repeated: a report by the token of its lease, the others because they change nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import orjson

from genfleet.contract.limits import Rate, Refused
from genfleet.store.calls import Argument, Call, milliseconds, pairs, refused
from genfleet.store.records import TaskRecord
from genfleet.store.scripts import script
from genfleet.traces import trace_id

LEASE = timedelta(seconds=5)
"""How long a delivery stays a courier's that does not renew it. If that one is gone, another goes on this much later."""


class DeliveryState(StrEnum):
    """How far the delivery of a webhook is. The task's own state never depends on it (TS-132)."""

    PENDING = "pending"
    """An attempt is due, under way, or waits for its time."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up, until somebody has it sent again."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the webhooks of an API key are signed with."""

    current: str
    created_ms: int
    previous: str | None = None
    """The one before, which signs as well until `previous_until_ms`, so that receivers have time to change."""
    previous_until_ms: int = 0

    def signing(self, now_ms: int) -> tuple[str, ...]:
        """Those that sign at this moment."""
        if self.previous and now_ms < self.previous_until_ms:
            return (self.current, self.previous)
        return (self.current,)

    @classmethod
    def read(cls, reply: Any) -> Secrets | None:
        """From the hash in Redis; None if there is none."""
        fields = {name.decode(): value.decode() for name, value in pairs(reply).items()}
        if "secret" not in fields:
            return None
        return cls(fields["secret"], int(fields["created"]), fields.get("previous"), int(fields.get("until", 0)))


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery that the caller holds, and what it needs for the attempt."""

    task_id: str
    token: int
    url: str
    host: str
    made: int
    """Attempts that this round has had already."""
    key_id: str
    taken_ms: int
    """The time of Redis when it was leased."""
    body: bytes
    """As it is sent each time. Empty before the first attempt; then it is made from `task`, and kept by `prepare`."""
    secrets: Secrets | None
    task: TaskRecord | None
    proven: bool
    """Whether its host answered in time when it was last asked."""
    project: str
    task_type: str
    trace: str
    """The span that submitted the task, as a `traceparent`. Empty: it is not traced."""

    @property
    def names(self) -> dict[str, str]:
        """Whose webhook it is: on every log line about it (TS-185)."""
        names = {"task_id": self.task_id, "project_id": self.project, "task_type": self.task_type}
        return names | {"trace_id": trace_id(self.trace)} if self.trace else names


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a courier that asks for work."""

    parcels: tuple[Parcel, ...]
    next_in: timedelta | None
    """When the next delivery will be due, as far as that is known."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The webhook of one task, for people to see."""

    task_id: str
    project: str
    task_type: str
    task_state: str
    state: DeliveryState
    url: str
    ended_ms: int
    """When the task ended."""
    made: int
    """Attempts of the present or last round."""
    due_ms: int | None
    """When the next attempt is due; None while one is under way, and when it is over."""
    attempts: tuple[Mapping[str, Any], ...]
    """What came of each, the oldest first; see `genfleet_service.webhooks.attempt`. In lists, of the last one."""


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """One page of deliveries."""

    total: int
    deliveries: tuple[Delivery, ...]


# -- for couriers --------------------------------------------------------------------------------------------------------


def take(room: int, room_for_others: int, per_host: int, busy: Mapping[str, int]) -> Call[Taken]:
    """Leases what is due: at most `room` deliveries, and at most `per_host` of a host with those that `busy` counts.

    At most `room_for_others` are for hosts that are not known to answer in time.
    """
    args: list[Argument] = [room, room_for_others, per_host, milliseconds(LEASE)]
    for host, count in busy.items():
        args += (host, count)
    return Call(script("webhook_take"), args, _taken)


def _taken(reply: list[Any]) -> Taken:
    now, next_ms, rows = reply
    return Taken(
        parcels=tuple(_parcel(now, *row) for row in rows),
        next_in=timedelta(milliseconds=next_ms) if next_ms >= 0 else None,
    )


def _parcel(  # noqa: PLR0917  the row of the script, in its order
    now: int,
    name: bytes,
    token: int,
    url: bytes,
    host: bytes,
    made: int,
    key_id: bytes,
    body: bytes,
    task: Any,
    secrets: Any,
    proven: int,
    project: bytes,
    task_type: bytes,
    trace: bytes,
) -> Parcel:
    task_id = name.decode()
    return Parcel(
        task_id=task_id,
        token=token,
        url=url.decode(),
        host=host.decode(),
        made=made,
        key_id=key_id.decode(),
        taken_ms=now,
        body=body,
        secrets=Secrets.read(secrets),
        proven=bool(proven),
        project=project.decode(),
        task_type=task_type.decode(),
        trace=trace.decode(),
        task=TaskRecord.read(task_id, pairs(task)),
    )


def prepare(task_id: str, body: bytes, key_id: str, secret: str) -> Call[tuple[bytes, Secrets] | None]:
    """Keeps the body and, if the key has none, the secret. What counts, which may be another's; None: it is gone."""

    def read(reply: list[Any]) -> tuple[bytes, Secrets] | None:
        if not reply:
            return None
        kept, secrets = reply[0], Secrets.read(reply[1])
        assert secrets is not None
        return kept, secrets

    return Call(script("webhook_prepare"), (task_id, body, key_id, secret), read)


def renew(held: Iterable[tuple[str, int]]) -> Call[bool]:
    """Keeps the leases of these deliveries, each with its token."""
    args: list[Argument] = [milliseconds(LEASE)]
    for task_id, token in held:
        args += (task_id, token)
    return Call(script("webhook_renew"), args, bool)


def report(
    task_id: str,
    token: int,
    attempt: Mapping[str, Any],
    to: DeliveryState,
    delay: timedelta = timedelta(),
    *,
    in_time: bool = True,
) -> Call[bool]:
    """Notes what came of an attempt. `pending`: the next one is due after `delay`. False: it is another's by now.

    `in_time`: whether the receiver gave any answer, if only a refusal, before its time was over.
    """
    args = (task_id, token, orjson.dumps(attempt), to.value, milliseconds(delay), int(in_time))
    return Call(script("webhook_report"), args, bool)


# -- for people ----------------------------------------------------------------------------------------------------------


def resend(task_id: str, key_id: str, rate: Rate) -> Call[DeliveryState | Refused | None]:
    """Begins another round, unless one is under way: that counts as a submission of this key.

    The state until now; None: the task has no webhook.
    """

    def found(reply: list[Any]) -> DeliveryState | Refused | None:
        if not reply:
            return None
        return refused(reply) if reply[0] == b"refused" else DeliveryState(reply[1].decode())

    return Call(script("webhook_resend"), (task_id, key_id, rate.per_minute, rate.saved_s * 1000), found)


def read(task_id: str) -> Call[Delivery | None]:
    """The delivery of a task's webhook, with its attempts. None: the task has no webhook."""
    return Call(script("webhook_read"), (task_id,), lambda reply: _delivery(reply) if reply else None)


def deliveries(state: DeliveryState | None, project: str | None, offset: int, limit: int) -> Call[DeliveryPage]:
    """One page of the deliveries of a project's tasks, or of all, those that ended last first."""

    def found(reply: list[Any]) -> DeliveryPage:
        total, rows = reply
        return DeliveryPage(total, tuple(map(_delivery, rows)))

    return Call(script("webhook_list"), (state or "*", project or "", offset, limit), found)


def _delivery(row: list[Any]) -> Delivery:
    task_id, task, webhook, attempts = row
    project, kind, task_state = ((value or b"").decode() for value in task)
    state, url, ended, made, due = webhook
    return Delivery(
        task_id=task_id.decode(),
        project=project,
        task_type=kind,
        task_state=task_state,
        state=DeliveryState(state.decode()),
        url=url.decode(),
        ended_ms=int(ended),
        made=int(made),
        due_ms=int(due) if due and state == b"pending" else None,
        attempts=tuple(map(orjson.loads, attempts)),
    )


def secrets(key_id: str, offered: str) -> Call[tuple[int, Secrets]]:
    """The time, and what this key's webhooks are signed with: `offered` if there is nothing yet."""
    return Call(script("webhook_secret"), (key_id, offered, ""), _secrets)


def rotate(key_id: str, offered: str, grace: timedelta) -> Call[tuple[int, Secrets]]:
    """Signs with `offered` from now on, and for the time of `grace` with the present secret as well."""
    return Call(script("webhook_secret"), (key_id, offered, milliseconds(grace)), _secrets)


def _secrets(reply: list[Any]) -> tuple[int, Secrets]:
    found = Secrets.read(reply[1])
    assert found is not None
    return reply[0], found
