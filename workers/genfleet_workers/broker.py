"""What kombu has to be told of the address of Redis: its own words for a socket, for TLS and for Sentinels.

Left alone, kombu takes any certificate for that of Redis, and waits for a silent link for a minute.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import quote

from genfleet.redis_address import RedisAddress
from genfleet.store.connections import ANSWER_WITHIN, CONNECT_WITHIN, certificates, sentinel_options


def url(address: RedisAddress) -> str:
    """The address as kombu writes it. It holds the password."""
    user = _user(address)
    if address.socket:
        return f"redis+socket://{user}{address.socket}?virtual_host={address.database}"
    scheme = "sentinel" if address.master else "rediss" if address.tls else "redis"
    hosts = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in address.hosts)
    return ";".join(f"{scheme}://{user}{host}/{address.database}" for host in hosts)


def _user(address: RedisAddress) -> str:
    if not (address.username or address.password):
        return ""
    return f"{quote(address.username or '', safe='')}:{quote(address.password or '', safe='')}@"


def tls(address: RedisAddress) -> dict[str, Any] | None:
    """Celery's `broker_use_ssl`. None: the connection is not encrypted."""
    if address.tls is None:
        return None
    required = ssl.CERT_REQUIRED if address.tls.verify else ssl.CERT_NONE
    return certificates(address) | {"ssl_cert_reqs": required}


def transport_options(address: RedisAddress) -> dict[str, Any]:
    """Patience, and where Sentinels are concerned, whom to ask for what."""
    options: dict[str, Any] = {
        # A half-open link is noticed in seconds, not after 49 (facts M12).
        "socket_timeout": 2 * ANSWER_WITHIN,
        "socket_connect_timeout": CONNECT_WITHIN,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
    if address.master:
        options |= {"master_name": address.master, "sentinel_kwargs": sentinel_options(address)}
    return options
