"""Where messages come in: between what Redis hands out and what kombu makes of it.

kombu asks its Redis client for the reply to BRPOP. Ours looks at the message first (`messages.judge`). What is whole goes
on, made anew; what is not is set aside with its reason, and kombu hears what it hears when nothing came in a second. So
no broken message gets as far as code that it could end.

The seams, all of them public but two, which `tests/workers/test_reception.py` watches: `Celery(amqp=…)`,
`AMQP.Connection`, `kombu.Connection.get_transport_cls`, `Channel.from_transport_options`, `redis.Redis.parse_response`,
`Channel.QoS`, `Channel._get_client`, where kombu itself chooses a client with a `parse_response` of its own, and that `Channel` reads its
messages by the command BRPOP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any, ClassVar, cast

import kombu
import redis
import structlog
from celery.app.amqp import AMQP
from kombu.transport import virtual
from redis.exceptions import OutOfMemoryError

from genfleet.contract.keys import LIST_SEPARATOR
from genfleet.contract.task_types import TASK_TYPES
from genfleet_workers import messages
from genfleet_workers.claims import Claims
from genfleet_workers.messages import Unfit

log = structlog.get_logger(__name__)

Receive = Callable[[bytes, bytes], bytes | None]
"""Given a list and what came from it, what kombu is to have of it; None: nothing."""


@dataclass(frozen=True, slots=True)
class Reception:
    """Lets whole messages in, and sets the others aside."""

    claims: Claims
    now: Callable[[], datetime]

    def __call__(self, broker_list: bytes, message: bytes) -> bytes | None:
        """What kombu may have of a message, if anything."""
        source = broker_list.decode()
        queue, _, step = source.partition(LIST_SEPARATOR)
        try:
            whole = messages.judge(message, queue, int(step or 0), TASK_TYPES, self.now())
        except Unfit as unfit:
            self.claims.set_aside(unfit.reason, message, source, task_id=unfit.task_id, task_type=unfit.task_type)
            return None
        except Exception as error:
            log.exception("message_not_judged")  # a fault of ours is no reason to end either
            self.claims.set_aside(f"It could not be judged: {type(error).__name__}", message, source)
            return None
        if whole.ignored:
            log.warning("canvas_ignored", task_id=whole.task_id, task_type=whole.task_type, names=whole.ignored)
        return whole.message


class Client(redis.Redis):
    """The client that kombu asks for messages."""

    def __init__(self, *, receive: Receive, **options: Any) -> None:
        super().__init__(**options)
        self._receive = receive

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """A reply of Redis. To BRPOP: the list and a whole message, or nothing."""
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != "BRPOP" or not reply:
            return reply
        broker_list, message = reply
        let_in = self._receive(broker_list, message)
        return None if let_in is None else (broker_list, let_in)

    def pipeline(self, transaction: Any = False, shard_hint: Any = None) -> Any:
        """Several commands at once. Not between MULTI and EXEC unless that is asked for: a full Redis refuses all that is.

        kombu looks at queues and acknowledges so, which a full Redis would otherwise let through.
        """
        return super().pipeline(transaction, shard_hint)


class _Forgiving:
    """kombu's notes of what it delivered, of a Redis that is full.

    kombu has taken the message from its list by then, and would lose it and the connection. Ours goes on without the note:
    if the worker is lost, the store makes a new message.
    """

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note it down, if there is room."""
        try:
            super().append(message, delivery_tag)  # type: ignore[misc]  # of the class that it is mixed into
        except OutOfMemoryError:
            virtual.QoS.append(cast(virtual.QoS, self), message, delivery_tag)

    def restore_visible(self, *arguments: Any, **options: Any) -> Any:
        """Its sweep for what nobody acknowledged takes a lock, for which there is no room. It can wait: ours does without."""
        try:
            return super().restore_visible(*arguments, **options)  # type: ignore[misc]
        except OutOfMemoryError:
            return None


class _Guarded:
    """What a channel of kombu's, for Redis or for Sentinel, is given on top."""

    from_transport_options: ClassVar[tuple[str, ...]]
    receive: Receive | None = None
    """The transport option of this name."""

    def _get_client(self) -> Callable[..., Any]:
        if self.receive is None:
            chosen: Callable[..., Any] = super()._get_client()  # type: ignore[misc]  # of the class that it is mixed into
            return chosen
        return partial(Client, receive=self.receive)


@cache
def guarded(transport: Any) -> type:
    """The same transport, with a reception."""
    options = {
        "from_transport_options": (*transport.Channel.from_transport_options, "receive"),
        "QoS": type("QoS", (_Forgiving, transport.Channel.QoS), {}),
    }
    channel = type("Channel", (_Guarded, transport.Channel), options)
    return type("Transport", (transport,), {"Channel": channel})


class Connection(kombu.Connection):
    """A connection whose channels have a reception, whatever its URL says: TCP, TLS, a Unix socket or Sentinel."""

    def get_transport_cls(self) -> type:
        """The class that opens channels."""
        return guarded(super().get_transport_cls())  # type: ignore[no-untyped-call]  # as above


class GuardedAMQP(AMQP):  # type: ignore[misc]  # Celery ships no types
    """The part of the app that makes connections."""

    Connection = Connection
