"""Where Redis is and how it is spoken to: one value, made in one place of what people set, for everybody who connects.

The store makes clients of it (`genfleet.store.connections`), workers what kombu wants to know (`genfleet_workers.broker`).
It holds passwords, and never shows one: neither when it is printed nor in what it says of a wrong address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

SCHEMES = ("redis", "rediss", "unix", "redis+socket", "sentinel")
PORT, SENTINEL_PORT = 6379, 26379

_TLS_WORDS = frozenset({"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})
_WORDS = _TLS_WORDS | {"master_name", "db", "virtual_host", "password"}
"""What may follow a `?`, as redis-py and kombu call it: many addresses come from there."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How the connection is encrypted, and who is believed to be Redis."""

    ca: Path | None = None
    """Authorities to believe, as PEM. None: those of the system."""
    certificate: Path | None = None
    """Ours, for a Redis that asks for one, as PEM."""
    key: Path | None = None
    """Of our certificate, if it is not in the same file."""
    verify: bool = True
    """Whether the certificate has to be good. Without that, anybody on the way may listen and answer."""
    check_host: bool = True
    """Whether it has to be that of the host as well."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A server, a Unix socket, or whichever server a set of Sentinels calls the primary."""

    hosts: tuple[tuple[str, int], ...] = ()
    """The server, or the Sentinels. Empty: a socket."""
    socket: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    master: str = ""
    """Set: the hosts are Sentinels, and this is how they call what they watch."""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """For people: without a password."""
        if self.socket:
            return f"unix://{self.socket}"
        hosts = ";".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        if self.master:
            return f"sentinel://{hosts}/{self.database}?master_name={self.master}"
        return f"{'rediss' if self.tls else 'redis'}://{hosts}/{self.database}"

    @property
    def is_near(self) -> bool:
        """Whether nothing leaves this machine on the way."""
        return bool(self.socket) or all(_is_loopback(host) for host, _ in self.hosts)

    @classmethod
    def of(
        cls,
        url: str,
        *,
        tls: Tls | None = None,
        master: str = "",
        sentinel_username: str | None = None,
        sentinel_password: str | None = None,
    ) -> RedisAddress:
        """Read an address. `tls`: how, where the address asks for it; Sentinels and what they name are asked so if it is given.

        What the address says of the same counts before that. Raises ValueError; its words hold nothing of the address.
        """
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES:
            raise ValueError(
                "must start with redis://, rediss://, unix:// or sentinel://, such as redis://localhost:6379/0 "
                "or sentinel://host1:26379;host2:26379/0"
            )
        pieces = rest.split(";") if scheme == "sentinel" else [rest]
        # kombu writes the scheme before each Sentinel; path and query stand behind the last one.
        parts = [_split(piece.removeprefix("sentinel://")) for piece in pieces if piece]
        if not parts:
            raise ValueError("names no host")
        words = _words(parts[-1].query)
        username, password = next((user for user in map(_user, parts) if any(user)), (None, words.get("password")))
        if scheme in ("unix", "redis+socket"):
            database = _database(words.get("db") or words.get("virtual_host") or "")
            return cls(socket=unquote(parts[-1].path), database=database, username=username, password=password)
        master = words.get("master_name", master) if scheme == "sentinel" else ""
        if scheme == "sentinel" and not master:
            raise ValueError(
                "sentinel:// needs the name that the Sentinels know: set GENFLEET_REDIS_MASTER, such as mymaster"
            )
        encrypted = scheme == "rediss" or (scheme == "sentinel" and bool(tls or words.keys() & _TLS_WORDS))
        return cls(
            hosts=tuple(_host(part, SENTINEL_PORT if master else PORT) for part in parts),
            database=_database(parts[-1].path.strip("/") or words.get("db", "")),
            username=username,
            password=password,
            tls=_tls(tls or Tls(), words) if encrypted else None,
            master=master,
            sentinel_username=sentinel_username,
            sentinel_password=sentinel_password,
        )


def _split(piece: str) -> SplitResult:
    try:
        parts = urlsplit(f"redis://{piece}")
        _ = parts.port
    except ValueError:  # quotes what it does not like
        raise ValueError("has a host or port that cannot be read; a password is written percent-encoded") from None
    return parts


def _user(part: SplitResult) -> tuple[str | None, str | None]:
    username, password = part.username, part.password
    return (unquote(username) if username else None), (unquote(password) if password else None)


def _host(part: SplitResult, port: int) -> tuple[str, int]:
    return part.hostname or "localhost", part.port or port


def _database(text: str) -> int:
    if text and not text.isdecimal():
        raise ValueError("the database is a number, such as 0 in redis://localhost:6379/0")
    return int(text or 0)


def _words(query: str) -> Mapping[str, str]:
    words = dict(parse_qsl(query))
    unknown = sorted(words.keys() - _WORDS)
    if unknown:
        raise ValueError(f"cannot use {', '.join(unknown)} behind the '?': known are {', '.join(sorted(_WORDS))}")
    return words


def _tls(given: Tls, words: Mapping[str, str]) -> Tls:
    """What was set, and over it what the address says, in the words of redis-py and kombu."""
    required = words.get("ssl_cert_reqs", "required" if given.verify else "none").lower().removeprefix("cert_")
    if required not in ("required", "optional", "none"):
        raise ValueError("ssl_cert_reqs is required or none")
    check_host = words.get("ssl_check_hostname", str(given.check_host)).lower() not in ("false", "0", "no")
    verify = required != "none"
    return Tls(
        ca=_path(words.get("ssl_ca_certs")) or given.ca,
        certificate=_path(words.get("ssl_certfile")) or given.certificate,
        key=_path(words.get("ssl_keyfile")) or given.key,
        verify=verify,
        check_host=verify and check_host,
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
