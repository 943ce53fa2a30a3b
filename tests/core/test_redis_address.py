"""Where Redis is, as people write it: addresses of redis-py and of kombu, with TLS and Sentinels; and what is told of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from genfleet.redis_address import RedisAddress, Tls
from genfleet.store.connections import async_client, sync_client
from genfleet_workers import broker

_FILES = (Path("/etc/ca.pem"), Path("/etc/us.pem"), Path("/etc/us.key"))
GIVEN = Tls(*_FILES)

ADDRESSES = [
    ("redis://localhost", RedisAddress((("localhost", 6379),))),
    ("redis://h:7000/3", RedisAddress((("h", 7000),), database=3)),
    ("redis://h:7000?db=3", RedisAddress((("h", 7000),), database=3)),
    ("redis://:p%40ss@h/0", RedisAddress((("h", 6379),), password="p@ss")),
    ("redis://me:p@[::1]:7000/0", RedisAddress((("::1", 7000),), username="me", password="p")),
    ("unix:///run/redis.sock", RedisAddress(socket="/run/redis.sock")),
    ("unix:///run/redis.sock?db=2", RedisAddress(socket="/run/redis.sock", database=2)),
    ("redis+socket:///run/redis.sock?virtual_host=2", RedisAddress(socket="/run/redis.sock", database=2)),
    ("rediss://h", RedisAddress((("h", 6379),), tls=GIVEN)),
    ("rediss://h?ssl_cert_reqs=CERT_NONE", RedisAddress((("h", 6379),), tls=Tls(*_FILES, verify=False, check_host=False))),
    ("rediss://h?ssl_cert_reqs=required&ssl_ca_certs=/a.pem", RedisAddress((("h", 6379),), tls=Tls(Path("/a.pem"), *_FILES[1:]))),
    ("sentinel://a;b:1;c/1?master_name=m", RedisAddress((("a", 26379), ("b", 1), ("c", 26379)),
        database=1, tls=GIVEN, master="m")),
    ("sentinel://u:p@a:1/0;sentinel://u:p@b:2/1?master_name=m", RedisAddress((("a", 1), ("b", 2)), database=1,
        username="u", password="p", tls=GIVEN, master="m")),
]  # fmt: skip


@pytest.mark.parametrize(("url", "address"), ADDRESSES, ids=[url for url, _ in ADDRESSES])
def test_an_address_is_read(url: str, address: RedisAddress) -> None:
    """As redis-py and kombu write it."""
    assert RedisAddress.of(url, tls=GIVEN) == address


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h", "must start with redis://"),
        ("h:6379", "must start with redis://"),
        ("redis://:hunter2@h:port/0", "a host or port that cannot be read"),
        ("redis://:hunter2@h/zero", "the database is a number"),
        ("redis://:hunter2@h/0?max_connections=5", "cannot use max_connections"),
        ("rediss://:hunter2@h/0?ssl_cert_reqs=maybe", "required or none"),
        ("sentinel://:hunter2@h/0", "GENFLEET_REDIS_MASTER"),
        ("sentinel://", "names no host"),
    ],
)
def test_a_wrong_address_is_refused_without_showing_it(url: str, said: str) -> None:
    """The message says what would be right, and holds no password (S12)."""
    with pytest.raises(ValueError, match=said) as refused:
        RedisAddress.of(url)

    assert "hunter2" not in str(refused.value)


def test_a_password_is_never_shown() -> None:
    """Neither for people nor for debuggers (S12)."""
    address = RedisAddress.of("sentinel://u:hunter2@h/0?master_name=m", sentinel_password="hunter3")

    assert "hunter" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    ("url", "is_near"),
    [("redis://127.0.0.1", True), ("redis://localhost", True), ("unix:///s", True), ("redis://[::1]", True), ("redis://h", False)],
)  # fmt: skip
def test_it_is_known_whether_anything_leaves_the_machine(url: str, is_near: bool) -> None:
    """Who does not encrypt is warned only where somebody could listen."""
    assert RedisAddress.of(url).is_near is is_near


@pytest.mark.parametrize("make", [sync_client, async_client])
def test_certificates_are_verified_unless_that_is_switched_off(make: object) -> None:
    """The default is to believe nobody without a good certificate of the right name (S10)."""
    kwargs = [make(RedisAddress.of(url)).connection_pool.connection_kwargs for url in ("rediss://h", "redis://h")]  # type: ignore[operator]

    assert (kwargs[0]["ssl_cert_reqs"], kwargs[0]["ssl_check_hostname"]) == ("required", True)
    assert "ssl_cert_reqs" not in kwargs[1]


@pytest.mark.parametrize(
    ("url", "kombus"),
    [
        ("redis://me:p%40ss@h:1/2", "redis://me:p%40ss@h:1/2"),
        ("unix:///run/redis.sock?db=2", "redis+socket:///run/redis.sock?virtual_host=2"),
        ("rediss://h", "rediss://h:6379/0"),
        ("sentinel://:p@a;b/1?master_name=m", "sentinel://:p@a:26379/1;sentinel://:p@b:26379/1"),
    ],
)
def test_kombu_is_told_in_its_own_words(url: str, kombus: str) -> None:
    """The worker's broker is the same Redis as its store."""
    assert broker.url(RedisAddress.of(url)) == kombus
