"""Carries out steps on a real Redis: the same calls for sync programs (workers) and async ones (API, controllers).

Every error of the connection becomes `StoreUnavailable`: whoever asked knows that nothing is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import hiredis
import redis.asyncio
from redis.exceptions import NoScriptError, RedisError, ResponseError

from genfleet.contract.keys import key
from genfleet.errors import StoreUnavailable
from genfleet.redis_address import RedisAddress
from genfleet.store.calls import Call
from genfleet.store.connections import async_client, is_demoted, refuses_for_now, sync_client

T = TypeVar("T")


def _command(call: Call[Any]) -> tuple[Any, ...]:
    if isinstance(call.what, str):
        return (call.what, *call.args)
    return ("EVALSHA", call.what.sha, 0, *call.args)


def _command_with_text(call: Call[Any]) -> tuple[Any, ...]:
    """For a Redis that does not know the script yet; it knows it from then on."""
    if isinstance(call.what, str):
        return (call.what, *call.args)
    return ("EVAL", call.what.text, 0, *call.args)


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"Redis did not answer: {error}")


def _is_ours(error: RedisError) -> bool:
    """Whether the command was wrong, rather than Redis away, loading, out of memory or read-only."""
    return isinstance(error, ResponseError) and not refuses_for_now(error)


def _address(where: RedisAddress | str) -> RedisAddress:
    return where if isinstance(where, RedisAddress) else RedisAddress.of(where)


class SyncStore:
    """For the workers. Safe to share between threads; each process makes its own."""

    def __init__(self, where: RedisAddress | str) -> None:
        self.address = _address(where)
        self._redis = sync_client(self.address)

    def run(self, call: Call[T]) -> T:
        """Carry out one step. Raises StoreUnavailable."""
        try:
            try:
                reply = self._redis.execute_command(*_command(call))
            except NoScriptError:
                reply = self._redis.execute_command(*_command_with_text(call))
        except RedisError as error:
            if _is_ours(error):
                raise
            if is_demoted(error):  # where the address leads is looked up again with the next connection
                self._redis.connection_pool.disconnect(inuse_connections=False)
            raise _unavailable(error) from error
        return call.read(reply)

    def run_each(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Several steps in one round trip; where one went wrong, its error is its answer. Raises StoreUnavailable."""
        replies = self._replies(list(map(_command, calls)))
        unknown = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        again = self._replies([_command_with_text(calls[index]) for index in unknown]) if unknown else []
        for index, reply in zip(unknown, again, strict=True):
            replies[index] = reply
        return [_read(call, reply) for call, reply in zip(calls, replies, strict=True)]

    def _replies(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            replies: list[Any] = pipeline.execute(raise_on_error=False)
        except RedisError as error:
            raise _unavailable(error) from error
        return replies

    def close(self) -> None:
        """Close every connection."""
        self._redis.close()


class AsyncStore:
    """For the API and the fleet controllers.

    Steps that are asked for in the same turn of the event loop travel together: one write and one read for all of
    them, which is most of the cost of a step. Each still is one round trip.
    """

    def __init__(self, where: RedisAddress | str) -> None:
        self.address = _address(where)
        self._redis = async_client(self.address)
        self.round_trips = self.failed_trips = 0
        """How often Redis was asked, and how often it did not answer."""
        self._asked: list[tuple[Call[Any], asyncio.Future[Any]]] = []
        self._travelling: set[asyncio.Task[None]] = set()

    async def run(self, call: Call[T]) -> T:
        """Carry out one step. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._depart)
        self._asked.append((call, answer))
        reply = await answer
        return call.read(reply)

    async def run_all(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Carry out several steps in one round trip. None may depend on another: their order is not certain."""
        return await asyncio.gather(*(self.run(call) for call in calls))

    async def run_each(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """The same; where one went wrong, its error is its answer. Raises StoreUnavailable."""
        answers = await asyncio.gather(*(self.run(call) for call in calls), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, StoreUnavailable | asyncio.CancelledError):
                raise answer
        return answers

    def _depart(self) -> None:
        asked, self._asked = self._asked, []
        trip = asyncio.ensure_future(self._travel(asked))
        self._travelling.add(trip)
        trip.add_done_callback(self._travelling.discard)

    async def _travel(self, asked: list[tuple[Call[Any], asyncio.Future[Any]]]) -> None:
        try:
            replies = await self._replies([_command(call) for call, _ in asked])
            unknown = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:
                again = await self._replies([_command_with_text(asked[index][0]) for index in unknown])
                for index, reply in zip(unknown, again, strict=True):
                    replies[index] = reply
        except asyncio.CancelledError:
            _answer(asked, [StoreUnavailable("the program is stopping")] * len(asked))
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, whoever asked is told
            self.failed_trips += 1
            replies = [error] * len(asked)
        _answer(asked, replies)

    async def _replies(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        # As the client's own pipeline does it, but packed by hiredis: packing in Python was half the cost of a step.
        packed = b"".join(map(hiredis.pack_command, commands))
        self.round_trips += 1
        connection = await self._redis.connection_pool.get_connection()
        try:
            replies: list[Any] = await connection.retry.call_with_retry(
                lambda: _exchange(connection, packed, len(commands)),
                lambda _: connection.disconnect(),
            )
        except BaseException:
            await connection.disconnect(nowait=True)  # a reply may still be on its way
            raise
        else:
            if any(isinstance(reply, Exception) and is_demoted(reply) for reply in replies):
                await connection.disconnect()  # where the address leads is looked up again with the next connection
                await self._redis.connection_pool.disconnect(inuse_connections=False)
            return replies
        finally:
            await self._redis.connection_pool.release(connection)

    @asynccontextmanager
    async def wakes(self, channel: str = "wake") -> AsyncIterator[redis.asyncio.client.PubSub]:
        """A subscription to the names of queues that were given work, or to another of our channels."""
        subscription = self._redis.pubsub(ignore_subscribe_messages=True)
        try:
            await subscription.subscribe(key(channel))
            yield subscription
        finally:
            await subscription.aclose()

    @asynccontextmanager
    async def line(self) -> AsyncIterator[redis.asyncio.Connection]:
        """A connection of the caller's own, for as long as it is needed. Raises StoreUnavailable, also from within."""
        connection = None
        try:
            connection = await self._redis.connection_pool.get_connection()
            yield connection
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        finally:
            if connection is not None:
                await connection.disconnect(nowait=True)  # what was subscribed to ends with it
                await self._redis.connection_pool.release(connection)

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()


async def _exchange(connection: redis.asyncio.Connection, packed: bytes, replies: int) -> list[Any]:
    await connection.send_packed_command(packed)
    return [await _reply(connection) for _ in range(replies)]


async def _reply(connection: redis.asyncio.Connection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:  # the answer to one command; the others have theirs
        return error


def _read(call: Call[Any], reply: Any) -> Any:
    if isinstance(reply, RedisError) and not _is_ours(reply):
        return _unavailable(reply)
    return reply if isinstance(reply, Exception) else call.read(reply)


def _answer(asked: list[tuple[Call[Any], asyncio.Future[Any]]], replies: Sequence[Any]) -> None:
    for (_, answer), reply in zip(asked, replies, strict=True):
        if answer.done():
            continue  # whoever asked has gone
        if not isinstance(reply, Exception):
            answer.set_result(reply)
        elif isinstance(reply, RedisError) and not _is_ours(reply):
            answer.set_exception(_unavailable(reply))
        else:
            answer.set_exception(reply)
