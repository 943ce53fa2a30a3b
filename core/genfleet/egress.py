"""Outbound HTTP to addresses that strangers chose: webhooks, pictures to fetch.

A host name is resolved once, every address it has must be public, and the connection goes to one of the addresses
that were checked. So a name that answers differently the second time (DNS rebinding) gains nothing, while `Host`
and the TLS name stay those of the URL. No proxy from the environment is used and no redirect is followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any

import httpcore
import httpx

from genfleet.errors import InputError, PermanentError, TransientError

Resolve = Callable[[str, int], Sequence[str]]
"""All addresses of a host, in the order in which to try them. Raises `OSError` when there are none."""

_TUNNELS = tuple(ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
"""IPv6 that carries an IPv4 address inside (NAT64, 6to4, Teredo): where it ends cannot be seen from here."""

_SPECIAL = tuple(
    ipaddress.ip_network(net)
    for net in (
        "168.63.129.16/32",  # what answers there is the host of a machine at Azure: its metadata
        "192.88.99.0/24",  # relays of 6to4
        "fec0::/10",  # site-local: no longer given out, and still private where it is
        "3fff::/20",  # for documents
    )
)
"""What Python's table calls global, and is not for strangers."""

_TEMPORARY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class EgressRefused(InputError):
    """The URL leads where this installation does not go. The message says why, and not what was found there."""


def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a host by the resolver of this machine."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: str) -> bool:
    """Whether an IP address is reachable on the public internet, and is one machine there."""
    parsed = ipaddress.ip_address(address)
    inner = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    target = inner or parsed
    if any(target in net for net in (*_TUNNELS, *_SPECIAL)):
        return False
    return target.is_global and not (target.is_multicast or target.is_reserved)


class SafeTransport(httpx.HTTPTransport):
    """A transport for `httpx.Client` that connects only to public addresses.

    `allow_private` lifts that, for installations whose callbacks stay inside the cluster. `deadline` (of
    `time.monotonic`) ends every connection, however slowly the other side sends.
    """

    def __init__(
        self, *, allow_private: bool = False, resolve: Resolve = resolve, deadline: float | None = None
    ) -> None:
        context = httpx.create_ssl_context()
        super().__init__(verify=context)
        # httpx takes no network backend; its transport is this pool and the translation of the pool's exceptions.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            network_backend=_CheckedBackend(allow_private, resolve, deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose URL is acceptable."""
        _check_url(request.url)
        return super().handle_request(request)


class AsyncSafeTransport(httpx.AsyncHTTPTransport):
    """The same for asynchronous callers, which set the deadline, with `asyncio.timeout`.

    Up to `connections` requests are under way at a time, each on a connection of its own, and as many names are looked
    up: hosts that hang hold up nobody else, as long as the caller keeps them from taking all of these.
    """

    def __init__(self, *, allow_private: bool = False, resolve: Resolve = resolve, connections: int = 100) -> None:
        context = httpx.create_ssl_context()
        super().__init__(verify=context)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=0,
            network_backend=_AsyncCheckedBackend(allow_private, resolve, connections),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose URL is acceptable."""
        _check_url(request.url)
        return await super().handle_async_request(request)


def fetch(
    url: str, *, limit_bytes: int, timeout: float, allow_private: bool = False, resolve: Resolve = resolve
) -> bytes:
    """The body of a public URL: at most `limit_bytes`, complete within `timeout` seconds, answered with status 200.

    Looking up the name is not counted: the resolver of the system has limits of its own, and cannot be interrupted.
    Raises `EgressRefused` or another `PermanentError` where another attempt would give the same, `TransientError`
    where it might not.
    """
    transport = SafeTransport(allow_private=allow_private, resolve=resolve, deadline=time.monotonic() + timeout)
    headers = {"Accept-Encoding": "identity"}  # a compressed answer could be a thousand times its size
    try:
        with (
            httpx.Client(transport=transport, trust_env=False, timeout=timeout, headers=headers) as client,
            client.stream("GET", url) as response,
        ):
            _check_status(response)
            return _read(response, limit_bytes)
    except httpx.InvalidURL as error:
        raise InputError(f"Not a URL: {error}") from error
    except httpx.TimeoutException as error:
        raise TransientError(f"No complete answer within {timeout:g} seconds") from error
    except httpx.HTTPError as error:
        raise TransientError(f"Could not be fetched: {str(error) or type(error).__name__}") from error


def _read(response: httpx.Response, limit_bytes: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > limit_bytes:
            raise InputError(f"Larger than the {limit_bytes:,} bytes that are accepted")
    return bytes(body)


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    answered = httpx.HTTPStatusError(str(status), request=response.request, response=response)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TEMPORARY:
        raise TransientError(f"The server answered {status}") from answered
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise PermanentError(
            f"The server answered {status}; redirects are not followed: give the final URL"
        ) from answered
    raise PermanentError(f"The server answered {status}") from answered


def _check_url(url: httpx.URL) -> None:
    if url.scheme not in ("http", "https"):
        raise EgressRefused(f"Only http and https URLs are opened, not {url.scheme or 'one without a scheme'}")
    if not url.host:
        raise EgressRefused("The URL names no host")
    if url.userinfo:
        raise EgressRefused("A URL with a user name or password in it is not opened")


def _addresses(host: str, port: int, resolve: Resolve, *, allow_private: bool) -> Sequence[str]:
    """The addresses of a host, provided that all of them may be used: one that may not makes the name suspect."""
    try:
        addresses = resolve(host, port)
    except UnicodeError as error:
        raise EgressRefused(f"{host[:100]} is not a host name") from error
    except OSError as error:
        raise httpcore.ConnectError(f"{host} could not be resolved: {error}") from error
    if not addresses:
        raise httpcore.ConnectError(f"{host} has no address")
    if not allow_private and not all(is_public(address) for address in addresses):
        raise EgressRefused(f"{host} is not a public address; private networks are not reached from here")
    return addresses


class _CheckedBackend(httpcore.NetworkBackend):
    """Opens connections for a pool, to checked addresses only."""

    def __init__(self, allow_private: bool, resolve: Resolve, deadline: float | None) -> None:
        self._allow_private, self._resolve, self._deadline = allow_private, resolve, deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers."""
        failure: Exception = httpcore.ConnectError(host)
        for address in _addresses(host, port, self._resolve, allow_private=self._allow_private):
            try:
                left = _left(self._deadline, timeout, httpcore.ConnectTimeout)
                stream = self._backend.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._deadline)
        raise failure


class _AsyncCheckedBackend(httpcore.AsyncNetworkBackend):
    """The same for an asynchronous pool."""

    def __init__(self, allow_private: bool, resolve: Resolve, resolvers: int) -> None:
        self._allow_private, self._resolve = allow_private, resolve
        self._backend = httpcore.AnyIOBackend()
        # Not the event loop's few threads: a name whose servers are silent takes one for half a minute.
        self._threads = ThreadPoolExecutor(resolvers, "resolve")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers."""
        failure: Exception = httpcore.ConnectError(host)
        look_up = partial(_addresses, host, port, self._resolve, allow_private=self._allow_private)
        for address in await asyncio.get_running_loop().run_in_executor(self._threads, look_up):
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every step ends at the deadline: a timeout for each read alone lets a slow sender go on."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float | None) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Receive something."""
        return self._stream.read(max_bytes, _left(self._deadline, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send everything."""
        self._stream.write(buffer, _left(self._deadline, timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Continue encrypted."""
        left = _left(self._deadline, timeout, httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def close(self) -> None:
        """End the connection."""
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows of itself."""
        return self._stream.get_extra_info(info)


def _left(deadline: float | None, timeout: float | None, late: type[Exception]) -> float | None:
    """The seconds that a step may take. Raises `late` when there are none left."""
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left if timeout is None else min(left, timeout)
