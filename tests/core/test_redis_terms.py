"""What a Redis is judged by: a table of what may be seen of one, and what comes of it. Then real ones, set up wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from genfleet.contract.redis_terms import RedisFacts, Severity, judge, refusal, worse
from genfleet.errors import ConfigurationError
from genfleet.redis_address import RedisAddress
from genfleet.store import redis_check, rights
from genfleet.store.calls import Call
from genfleet.store.client import SyncStore
from genfleet.store.rights import Program
from tests.support.sentinels import server
from tests.support.servers import free_port

INFO = {
    "redis_version": "6.2.14",
    "cluster_enabled": "0",
    "maxmemory_policy": "noeviction",
    "evicted_keys": "0",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "used_memory": "100",
    "maxmemory": "1000",
    "connected_clients": "10",
    "maxclients": "100",
    "role": "master",
    "connected_slaves": "0",
}
CONFIG = {"appendfsync": "everysec", "save": "", "timeout": "0", "min-replicas-to-write": "0"}
GOOD = RedisFacts(INFO, CONFIG, clock_ahead_s=0.1, near=True)
OK, UNKNOWN, WARNING, FAILURE = Severity


def found(facts: RedisFacts) -> Mapping[str, Severity]:
    """Severities by check."""
    return {finding.check: finding.severity for finding in judge(facts)}


def test_a_good_one_has_nothing_that_is_wrong() -> None:
    """As compose, the chart and `genfleet up` set theirs up."""
    assert {*found(GOOD).values()} == {OK}
    assert not refusal(judge(GOOD))


CASES = [
    # what is seen otherwise, the check, what it comes to, whether programs refuse to start
    ({"redis_version": "6.0.16"}, {}, "version", FAILURE, True),
    ({"redis_version": "7.2.4", "valkey_version": "9.1.0"}, {}, "version", OK, False),
    ({"redis_mode": "sentinel"}, {}, "mode", FAILURE, True),
    ({"cluster_enabled": "1"}, {}, "mode", FAILURE, True),
    ({"maxmemory_policy": "allkeys-lru"}, {}, "eviction", FAILURE, True),
    ({"maxmemory_policy": "volatile-ttl"}, {}, "eviction", FAILURE, True),
    ({"evicted_keys": "3"}, {}, "eviction", WARNING, False),
    ({"aof_enabled": "0"}, {}, "persistence", WARNING, False),
    ({"aof_enabled": "0"}, {"save": "3600 1"}, "persistence", WARNING, False),
    ({"aof_last_write_status": "err"}, {}, "persistence", FAILURE, False),
    ({"rdb_last_bgsave_status": "err"}, {"save": "3600 1"}, "persistence", FAILURE, False),
    ({}, {"appendfsync": "no"}, "persistence", WARNING, False),
    ({"used_memory": "800"}, {}, "memory", WARNING, False),
    ({"used_memory": "950"}, {}, "memory", FAILURE, False),
    ({"maxmemory": "0", "total_system_memory": "110"}, {}, "memory", WARNING, False),
    ({"connected_clients": "80"}, {}, "clients", WARNING, False),
    ({}, {"timeout": "5"}, "timeout", WARNING, False),
    ({}, {"timeout": "300"}, "timeout", OK, False),
    ({"role": "slave"}, {}, "replication", FAILURE, False),
    ({"connected_slaves": "1"}, {}, "replication", WARNING, False),
    ({"connected_slaves": "1"}, {"min-replicas-to-write": "1"}, "replication", OK, False),
]


@pytest.mark.parametrize(("info", "config", "check", "severity", "refuses"), CASES)
def test_what_is_wrong_is_found(
    info: dict[str, str], config: dict[str, str], check: str, severity: Severity, refuses: bool
) -> None:
    """XC-009 and its neighbours: each with what it leads to and what to do; only what loses tasks keeps a program from starting."""
    facts = RedisFacts(INFO | info, CONFIG | config, clock_ahead_s=0.0)
    (finding,) = (finding for finding in judge(facts) if finding.check == check)

    assert finding.severity is severity
    assert bool(refusal(judge(facts))) is refuses
    assert (severity is OK) or (finding.why and finding.remedy)


@pytest.mark.parametrize(
    ("facts", "check", "severity"),
    [
        (RedisFacts(INFO, CONFIG, clock_ahead_s=-3700), "clock", WARNING),
        (RedisFacts(INFO, CONFIG, near=False), "tls", WARNING),
        (RedisFacts(INFO, CONFIG, near=False, encrypted=True), "tls", OK),
        (RedisFacts(INFO, CONFIG, near=False, encrypted=True, verified=False), "tls", WARNING),
        (RedisFacts(INFO, CONFIG, denied=("zadd",)), "rights", FAILURE),
    ],
)
def test_what_lies_outside_of_redis_is_judged_as_well(facts: RedisFacts, check: str, severity: Severity) -> None:
    """The clock, the way to it, and what our user may do."""
    assert found(facts)[check] is severity


def test_what_cannot_be_seen_is_never_read_as_good() -> None:
    """A managed Redis without CONFIG, and one that shows nothing at all."""
    without_config = found(RedisFacts(INFO, {}))
    assert {check for check, severity in without_config.items() if severity is UNKNOWN} == {"timeout", "clock"}

    nothing = judge(RedisFacts({}, {}, near=False))
    assert {one.check for one in nothing if one.severity is OK} == {"rights"}
    assert not refusal(nothing), "what cannot be seen refuses nothing"
    assert [one.check for one in worse(nothing)] == ["tls"]


def test_an_evicting_redis_is_refused_at_the_start_with_the_remedy(tmp_path: Path) -> None:
    """XC-009: the message names the policy and what to set."""
    port = free_port()
    with (
        server(tmp_path, port, "--maxmemory-policy", "allkeys-lru"),
        pytest.raises(ConfigurationError, match=r"maxmemory-policy is allkeys-lru.*set maxmemory-policy noeviction"),
    ):
        redis_check.look_at_start(RedisAddress.of(f"redis://127.0.0.1:{port}"), Program.API, 0.0)


def test_a_redis_that_is_away_refuses_nothing(tmp_path: Path) -> None:
    """It is waited for, and looked at when it comes."""
    teller = redis_check.look_at_start(RedisAddress.of(f"redis://127.0.0.1:{free_port()}"), Program.API, 0.0)

    assert teller.is_due


def test_rights_that_are_missing_are_named(tmp_path: Path) -> None:
    """S10: a user that may do all but four things is told these four, and nothing is left behind by the attempt."""
    port = free_port()
    with server(tmp_path, port, "--appendonly", "yes"):
        url = f"redis://127.0.0.1:{port}"
        admin = SyncStore(url)
        line = rights.user_line(Program.WORKER, "w", "secret").split()
        kept = [
            word for word in line if word not in ("user", "+zadd", "+brpop", "~unacked", "+info", "+client|setinfo")
        ]
        admin.run(Call("ACL", ("SETUSER", *kept), bool))
        worker = SyncStore(f"redis://w:secret@127.0.0.1:{port}")

        findings = {finding.check: finding for finding in redis_check.look(worker, Program.WORKER, None)}

        assert findings["rights"].found == "denied: zadd, unacked, brpop"
        assert findings["eviction"].severity is UNKNOWN
        assert admin.run(Call("DBSIZE", (), int)) == 0
        worker.close()
        admin.close()
