"""The API as Python calls: `Client`, and `AsyncClient` with the same methods. Answers are the documented bodies.

    with Client() as client:                       # address and key from the environment, or from a local installation
        task = client.submit("my_project", "generate_image", {"prompt": "a red fox"})
        print(client.wait(task["task_id"])["result"])

Both do no more than the I/O; what is said, and how often, is in `calls.py` and `talks.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, TypeAlias, TypeVar, cast

import httpx

from genfleet_client import calls
from genfleet_client.bodies import ListedTask, StatusBody
from genfleet_client.calls import Call
from genfleet_client.connection import Connection
from genfleet_client.errors import completed
from genfleet_client.retries import Answer, Lost, Retries
from genfleet_client.sse import Event
from genfleet_client.talks import (
    IDLE_S,
    Because,
    Found,
    Line,
    Open,
    Opened,
    Pause,
    Send,
    Step,
    Talk,
    Talks,
    found,
)
from genfleet_client.talks import LONGEST_LOOK_S as POLL_S

P = ParamSpec("P")
T = TypeVar("T")
OnWait: TypeAlias = Callable[[float, Because], None]
"""Told before each wait of a request for a limit or an outage: for how many seconds, and which."""
TIMEOUT_S = 60.0
"""For one request (TS-161)."""
STREAM_TIMEOUT = httpx.Timeout(TIMEOUT_S, read=IDLE_S)


class _Now(Generic[P, T]):
    """A call as a method of `Client`, with the signature and the words of its function."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self._make, self.__doc__ = make, make.__doc__

    def __get__(self, client: Client | None, _owner: type | None = None) -> Callable[P, T]:
        @wraps(self._make)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            assert client is not None, "call it on a client"
            return client.run(self._make(*args, **kwargs))

        return method


class _Later(Generic[P, T]):
    """A call as a method of `AsyncClient`."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self._make, self.__doc__ = make, make.__doc__

    def __get__(self, client: AsyncClient | None, _owner: type | None = None) -> Callable[P, Coroutine[Any, Any, T]]:
        @wraps(self._make)
        def method(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
            assert client is not None, "call it on a client"
            return client.run(self._make(*args, **kwargs))

        return method


class Client:
    """A connection to the service. Use it as a context manager. Threads may share one.

    Without `url` and `api_key` both come from the environment (`GENFLEET_URL`, `GENFLEET_API_KEY`, and the documents'
    names), else from a local installation. `on_wait` is told of each wait for a limit or an outage. Raises ValueError for an address that cannot be one.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT_S,
        retries: Retries | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        connection = Connection.find(url, api_key)
        self._talks, self._on_wait = Talks(connection.url, retries or Retries()), on_wait
        self._http = httpx.Client(base_url=connection.url, headers=_headers(connection), timeout=timeout)

    submit = _Now(calls.submit)
    submit_body = _Now(calls.submit_body)
    submit_batch = _Now(calls.submit_batch)
    status = _Now(calls.status)
    task = _Now(calls.task)
    cancel = _Now(calls.cancel)
    retry = _Now(calls.retry)
    logs = _Now(calls.logs)
    deliveries = _Now(calls.deliveries)
    resend = _Now(calls.resend)
    project_tasks = _Now(calls.project_tasks)
    cancel_tasks = _Now(calls.cancel_tasks)
    retry_tasks = _Now(calls.retry_tasks)
    quarantine = _Now(calls.quarantine)
    retry_quarantined = _Now(calls.retry_quarantined)
    release = _Now(calls.release)
    dead_letters = _Now(calls.dead_letters)
    dead_letter = _Now(calls.dead_letter)
    resend_letter = _Now(calls.resend_letter)
    resend_letters = _Now(calls.resend_letters)
    remove_letter = _Now(calls.remove_letter)
    remove_letters = _Now(calls.remove_letters)
    usage = _Now(calls.usage)
    health = _Now(calls.health)
    metrics = _Now(calls.metrics)
    queue_health = _Now(calls.queue_health)
    queues = _Now(calls.queues)
    pause = _Now(calls.pause)
    resume = _Now(calls.resume)
    workers = _Now(calls.workers)
    doctor = _Now(calls.doctor)
    api_keys = _Now(calls.api_keys)
    create_key = _Now(calls.create_key)
    rotate_key = _Now(calls.rotate_key)
    revoke_key = _Now(calls.revoke_key)
    audit = _Now(calls.audit)

    def tasks(self, project_id: str, **filters: Any) -> Iterator[ListedTask]:
        """All tasks of a project, newest first, with the filters of `project_tasks`: pages are asked for as needed."""
        return self._each(self._talks.pages(project_id, **filters))

    def events(self, task_id: str, last_event_id: str | int | None = None) -> Iterator[Event]:
        """What happens to a task, until it has ended. A connection that is cut is made again where it was."""
        return self._each(self._talks.events(task_id, last_event_id))

    def follow(self, task_id: str, timeout: float | None = None, poll_interval: float = POLL_S) -> Iterator[StatusBody]:
        """The status of a task whenever it changes, until it has ended: by its events, else by looking. Raises TaskTimeout."""
        return self._each(self._talks.follow(task_id, timeout, poll_interval))

    def wait(self, task_id: str, timeout: float | None = None, poll_interval: float = POLL_S) -> StatusBody:
        """The status of a task that is completed. Raises TaskFailed, TaskCancelled, TaskTimeout."""
        return completed(self._last(self._talks.follow(task_id, timeout, poll_interval)))

    def run(self, call: Call[T]) -> T:
        """Send one of `genfleet_client.calls`."""
        return cast(T, self._last(found(self._talks.ask(call))))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _each(self, talk: Talk[Any]) -> Iterator[Any]:
        """What a talk finds on its way."""
        told: Any = None
        with ExitStack() as streams, suppress(StopIteration):
            while True:
                step = talk.send(told)
                if isinstance(step, Found):
                    yield step.value
                told = self._do(step, streams)

    def _last(self, talk: Talk[Any]) -> Any:
        *_, last = self._each(talk)
        return last

    def _do(self, step: Step, streams: ExitStack) -> Any:
        """Do a step, and tell what came of it."""
        try:
            match step:
                case Send(call):
                    return _answer(self._http.send(_request(self._http, call, self._http.timeout)))
                case Open(call):
                    streams.close()  # of the one before
                    response = self._http.send(_request(self._http, call, STREAM_TIMEOUT), stream=True)
                    streams.callback(response.close)
                    if _is_stream(response):
                        return Opened(response.iter_lines())
                    response.read()
                    return _answer(response)
                case Line(stream):
                    return next(stream.lines, None)
                case Pause(seconds, because):
                    if because is not None and self._on_wait is not None:
                        self._on_wait(seconds, because)
                    time.sleep(seconds)
        except httpx.TransportError as error:
            return Lost(error)
        return None


class AsyncClient:
    """`Client` for asyncio: the same methods, to be awaited or iterated with `async for`."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT_S,
        retries: Retries | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        connection = Connection.find(url, api_key)
        self._talks, self._on_wait = Talks(connection.url, retries or Retries()), on_wait
        self._http = httpx.AsyncClient(base_url=connection.url, headers=_headers(connection), timeout=timeout)

    submit = _Later(calls.submit)
    submit_body = _Later(calls.submit_body)
    submit_batch = _Later(calls.submit_batch)
    status = _Later(calls.status)
    task = _Later(calls.task)
    cancel = _Later(calls.cancel)
    retry = _Later(calls.retry)
    logs = _Later(calls.logs)
    deliveries = _Later(calls.deliveries)
    resend = _Later(calls.resend)
    project_tasks = _Later(calls.project_tasks)
    cancel_tasks = _Later(calls.cancel_tasks)
    retry_tasks = _Later(calls.retry_tasks)
    quarantine = _Later(calls.quarantine)
    retry_quarantined = _Later(calls.retry_quarantined)
    release = _Later(calls.release)
    dead_letters = _Later(calls.dead_letters)
    dead_letter = _Later(calls.dead_letter)
    resend_letter = _Later(calls.resend_letter)
    resend_letters = _Later(calls.resend_letters)
    remove_letter = _Later(calls.remove_letter)
    remove_letters = _Later(calls.remove_letters)
    usage = _Later(calls.usage)
    health = _Later(calls.health)
    metrics = _Later(calls.metrics)
    queue_health = _Later(calls.queue_health)
    queues = _Later(calls.queues)
    pause = _Later(calls.pause)
    resume = _Later(calls.resume)
    workers = _Later(calls.workers)
    doctor = _Later(calls.doctor)
    api_keys = _Later(calls.api_keys)
    create_key = _Later(calls.create_key)
    rotate_key = _Later(calls.rotate_key)
    revoke_key = _Later(calls.revoke_key)
    audit = _Later(calls.audit)

    def tasks(self, project_id: str, **filters: Any) -> AsyncIterator[ListedTask]:
        """As `Client.tasks`."""
        return self._each(self._talks.pages(project_id, **filters))

    def events(self, task_id: str, last_event_id: str | int | None = None) -> AsyncIterator[Event]:
        """As `Client.events`."""
        return self._each(self._talks.events(task_id, last_event_id))

    def follow(
        self, task_id: str, timeout: float | None = None, poll_interval: float = POLL_S
    ) -> AsyncIterator[StatusBody]:
        """As `Client.follow`."""
        return self._each(self._talks.follow(task_id, timeout, poll_interval))

    async def wait(
        self,
        task_id: str,
        timeout: float | None = None,  # noqa: ASYNC109  the task goes on after it: nothing is cancelled
        poll_interval: float = POLL_S,
    ) -> StatusBody:
        """As `Client.wait`."""
        return completed(await self._last(self._talks.follow(task_id, timeout, poll_interval)))

    async def run(self, call: Call[T]) -> T:
        """Send one of `genfleet_client.calls`."""
        return cast(T, await self._last(found(self._talks.ask(call))))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def _each(self, talk: Talk[Any]) -> AsyncIterator[Any]:
        """What a talk finds on its way."""
        told: Any = None
        async with AsyncExitStack() as streams:
            with suppress(StopIteration):
                while True:
                    step = talk.send(told)
                    if isinstance(step, Found):
                        yield step.value
                    told = await self._do(step, streams)

    async def _last(self, talk: Talk[Any]) -> Any:
        *_, last = [each async for each in self._each(talk)]
        return last

    async def _do(self, step: Step, streams: AsyncExitStack) -> Any:
        """Do a step, and tell what came of it."""
        try:
            match step:
                case Send(call):
                    return _answer(await self._http.send(_request(self._http, call, self._http.timeout)))
                case Open(call):
                    await streams.aclose()  # of the one before
                    response = await self._http.send(_request(self._http, call, STREAM_TIMEOUT), stream=True)
                    streams.push_async_callback(response.aclose)
                    if _is_stream(response):
                        return Opened(response.aiter_lines())
                    await response.aread()
                    return _answer(response)
                case Line(stream):
                    return await anext(stream.lines, None)
                case Pause(seconds, because):
                    if because is not None and self._on_wait is not None:
                        self._on_wait(seconds, because)
                    await asyncio.sleep(seconds)
        except httpx.TransportError as error:
            return Lost(error)
        return None


def _headers(connection: Connection) -> dict[str, str]:
    return {"X-API-Key": connection.api_key} if connection.api_key else {}


def _request(http: httpx.Client | httpx.AsyncClient, call: Call[Any], timeout: httpx.Timeout) -> httpx.Request:
    return http.build_request(
        call.method, call.path, params=call.params, json=call.json, headers=call.headers, timeout=timeout
    )


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.content)


def _is_stream(response: httpx.Response) -> bool:
    return response.is_success and response.headers.get("content-type", "").startswith("text/event-stream")
