"""Makes clients of an address: with TLS, by Sentinels, over a socket. All have the same patience.

With Sentinels a connection asks them where the primary is each time that it is made, so after a promotion it is enough
that connections are made anew; `is_demoted` says when.
"""

from __future__ import annotations

import re
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import ExponentialBackoff
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, RedisError

from genfleet.redis_address import RedisAddress

ANSWER_WITHIN = 3.0
"""Seconds that Redis has for an answer. A link that is half open is noticed then, not after a minute."""
CONNECT_WITHIN = 2.0
"""Seconds for a connection to be made."""
SENTINEL_WITHIN = 1.0
"""Seconds for a Sentinel to answer. One that is gone must not take the time of those behind it."""

_REFUSED = re.compile(r"(^|: -)(LOADING|OOM|READONLY|MISCONF|MASTERDOWN|NOREPLICAS|BUSY) ")
"""How Redis says that it cannot do anything just now. Before version 7 a script's refusal is quoted inside another; some of
them the client takes for errors of a class of their own, and their first word away."""
_DEMOTED = re.compile(r"(^|: -)(READONLY|NOREPLICAS) ")
"""A replica does not write; nor does, if it is told so, a primary whose replicas have left it for another one."""


def refuses_for_now(error: RedisError) -> bool:
    """Whether Redis is loading, out of memory, read-only or the like, rather than the command wrong."""
    return isinstance(error, MasterDownError | OutOfMemoryError | ReadOnlyError) or bool(_REFUSED.search(str(error)))


def is_demoted(error: BaseException) -> bool:
    """Whether it came from a server that is no longer the primary: the address may lead to another one by now."""
    return isinstance(error, ReadOnlyError) or (isinstance(error, RedisError) and bool(_DEMOTED.search(str(error))))


def sync_client(address: RedisAddress) -> redis.Redis:
    """For programs that wait."""
    # Safe: every step may be repeated, see `steps`. Not after a timeout: whoever asks has waited long enough.
    retry = redis.retry.Retry(_backoff(), 2, supported_errors=(redis.ConnectionError,))
    options = _options(address) | {"retry": retry}
    if not address.master:
        return redis.Redis(**_place(address), **options)
    sentinels = redis.sentinel.Sentinel(address.hosts, sentinel_kwargs=sentinel_options(address))
    client: redis.Redis = sentinels.master_for(address.master, **options)
    return client


def async_client(address: RedisAddress) -> redis.asyncio.Redis:
    """For programs with an event loop."""
    retry = redis.asyncio.retry.Retry(_backoff(), 2, supported_errors=(redis.ConnectionError,))
    options = _options(address) | {"retry": retry}
    if address.master:
        sentinels = redis.asyncio.sentinel.Sentinel(list(address.hosts), sentinel_kwargs=sentinel_options(address))
        client: redis.asyncio.Redis = sentinels.master_for(address.master, **options)
    else:
        client = redis.asyncio.Redis(**_place(address), **options)
    pool = client.connection_pool
    base = pool.connection_class
    pool.connection_class = type(base.__name__, (_TellsOfResets, base), {})
    return client


class _TellsOfResets:
    """uvloop says by a RuntimeError that a connection was reset while nobody used it, or was just being made.

    As an error of the connection it is tried again, and told as such in the end.
    """

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        try:
            await super().send_packed_command(*args, **options)  # type: ignore[misc]  # it stands before a connection
        except RuntimeError as error:
            raise redis.ConnectionError(str(error)) from error


def _backoff() -> ExponentialBackoff:
    return ExponentialBackoff(cap=0.5, base=0.05)


def _place(address: RedisAddress) -> dict[str, Any]:
    if address.socket:
        return {"unix_socket_path": address.socket}
    ((host, port),) = address.hosts
    return {"host": host, "port": port}


def _options(address: RedisAddress) -> dict[str, Any]:
    return {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "socket_timeout": ANSWER_WITHIN,
        "socket_connect_timeout": CONNECT_WITHIN,
        "health_check_interval": 15,
        "protocol": 2,
        **({} if address.socket else {"socket_keepalive": True}),
        **tls_options(address),
    }


def sentinel_options(address: RedisAddress) -> dict[str, Any]:
    """How Sentinels are asked: under names of their own, and encrypted if what they watch is."""
    return {
        "username": address.sentinel_username,
        "password": address.sentinel_password,
        "socket_timeout": SENTINEL_WITHIN,
        "socket_connect_timeout": SENTINEL_WITHIN,
        **tls_options(address),
    }


def tls_options(address: RedisAddress) -> dict[str, Any]:
    """As redis-py calls it: nothing where it is not encrypted."""
    return {"ssl": True, **certificates(address)} if address.tls else {}


def certificates(address: RedisAddress) -> dict[str, Any]:
    """Whom to believe, and who we are, as redis-py and kombu call it."""
    tls = address.tls
    if tls is None:
        return {}
    files = {"ssl_ca_certs": tls.ca, "ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    return {
        "ssl_cert_reqs": "required" if tls.verify else "none",
        "ssl_check_hostname": tls.check_host,
        **{name: str(file) for name, file in files.items() if file},
    }
