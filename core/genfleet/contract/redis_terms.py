"""What a Redis has to be for our promises to hold, judged from what was seen of it: facts in, findings out. Pure.

What could not be seen is `unknown`, and never read as good. `genfleet.store.redis_check` sees the facts; programs refuse to
start, log, raise alerts, and `genfleet doctor` shows the findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

OLDEST = (6, 2)
MEMORY_WARNING, MEMORY_FAILURE = 0.8, 0.95
"""Part of the memory that may be used before somebody has to do something, and before nothing goes any more."""
CLIENTS_WARNING = 0.8
CLOCK_WARNING_S = 5.0
SHORTEST_TIMEOUT_S = 60
"""A Redis that cuts idle connections sooner cuts some that are in use: blocked reads last a second, health checks fifteen."""


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to."""

    check: str
    severity: Severity
    found: str
    why: str = ""
    """What it leads to."""
    remedy: str = ""
    refuses: bool = False
    """Whether no program may start on such a Redis: what it accepts would be lost."""

    def __str__(self) -> str:
        return f"{self.found}: {self.why}. To do: {self.remedy}" if self.why else self.found


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What was seen of a Redis. A name that is not in a map was not told."""

    info: Mapping[str, str]
    config: Mapping[str, str]
    denied: tuple[str, ...] = ()
    """Commands and keys that the program needs, and its user may not use."""
    clock_ahead_s: float | None = None
    """How far the clock of Redis is before that of whoever looked."""
    encrypted: bool = False
    verified: bool = True
    near: bool = True
    """Whether nothing leaves the machine on the way."""

    def number(self, name: str) -> int | None:
        """One number of INFO. None: it was not told."""
        text = self.info.get(name, "")
        return int(text) if re.fullmatch(r"-?\d+", text) else None


Check = Callable[[RedisFacts], Finding]


def judge(facts: RedisFacts) -> tuple[Finding, ...]:
    """Every check, in the order in which people should read them."""
    return tuple(check(facts) for check in CHECKS)


def refusal(findings: tuple[Finding, ...]) -> str:
    """Why no program may start on such a Redis; empty: they may."""
    return "\n".join(str(finding) for finding in findings if finding.refuses)


def worse(findings: tuple[Finding, ...]) -> Iterator[Finding]:
    """Those that somebody should hear of without asking: what could not be seen is not among them."""
    return (one for one in findings if one.severity in (Severity.WARNING, Severity.FAILURE))


def _ok(check: str, found: str) -> Finding:
    return Finding(check, Severity.OK, found)


def _unknown(check: str, what: str) -> Finding:
    return Finding(
        check,
        Severity.UNKNOWN,
        f"{what} cannot be seen",
        "this user may not look, or the provider does not tell",
        "ask whoever runs this Redis; see docs/redis.md",
    )


def _version(facts: RedisFacts) -> Finding:
    text = facts.info.get("redis_version", "")
    found = re.match(r"(\d+)\.(\d+)", text)
    if not found:
        return _unknown("version", "the version")
    if (int(found[1]), int(found[2])) < OLDEST:
        return Finding(
            "version",
            Severity.FAILURE,
            f"Redis {text}",
            "it lacks commands that every step uses",
            "use Redis 6.2 or later, or Valkey",
            refuses=True,
        )
    valkey = facts.info.get("valkey_version")
    return _ok("version", f"Valkey {valkey}" if valkey else f"Redis {text}")


def _mode(facts: RedisFacts) -> Finding:
    if facts.info.get("redis_mode") == "sentinel":
        return Finding(
            "mode",
            Severity.FAILURE,
            "this is a Sentinel",
            "it keeps no tasks",
            "write the address as sentinel://… and set GENFLEET_REDIS_MASTER",
            refuses=True,
        )
    if facts.info.get("cluster_enabled") == "1":
        return Finding(
            "mode",
            Severity.FAILURE,
            "Redis Cluster",
            "a step is one script over a task, its queue and its project, which a cluster keeps on different servers",
            "use one primary, with replicas and Sentinels if it must not be missed",
            refuses=True,
        )
    return (
        _ok("mode", "one primary") if "cluster_enabled" in facts.info else _unknown("mode", "whether it is a cluster")
    )


def _eviction(facts: RedisFacts) -> Finding:
    """XC-009, facts M13."""
    policy = facts.info.get("maxmemory_policy") or facts.config.get("maxmemory-policy")
    if not policy:
        return _unknown("eviction", "maxmemory-policy")
    if policy != "noeviction":
        return Finding(
            "eviction",
            Severity.FAILURE,
            f"maxmemory-policy is {policy}",
            "when memory is full Redis would throw away tasks that were accepted, without a word",
            "set maxmemory-policy noeviction: then it refuses new ones, and loses none",
            refuses=True,
        )
    evicted = facts.number("evicted_keys") or 0
    if evicted:
        return Finding(
            "eviction",
            Severity.WARNING,
            f"{evicted} keys were evicted since it started, under an earlier policy",
            "tasks may be among them",
            "look for tasks that are missing; the count starts anew with CONFIG RESETSTAT",
        )
    return _ok("eviction", "noeviction")


def _persistence(facts: RedisFacts) -> Finding:
    aof, save = facts.number("aof_enabled"), facts.config.get("save")
    if facts.info.get("aof_last_write_status") == "err":
        return Finding(
            "persistence",
            Severity.FAILURE,
            "the last write of the append-only file failed",
            "Redis refuses every change until it can write again",
            "look at its disk and its log",
        )
    if facts.info.get("rdb_last_bgsave_status") == "err" and save != "":
        return Finding(
            "persistence",
            Severity.FAILURE,
            "the last snapshot failed",
            "Redis refuses every change after that (stop-writes-on-bgsave-error)",
            "look at its disk and memory; with an append-only file snapshots can be left out: save ''",
        )
    if aof is None:
        return _unknown("persistence", "whether there is an append-only file")
    if not aof:
        kept = "no append-only file and no snapshots" if save == "" else "no append-only file"
        lost = "everything" if save == "" else "what came since the last snapshot"
        return Finding(
            "persistence",
            Severity.WARNING,
            kept,
            f"a Redis that is restarted has lost {lost}",
            "set appendonly yes; where the provider keeps data in another way, leave it",
        )
    sync = facts.config.get("appendfsync")
    if sync == "no":
        return Finding(
            "persistence",
            Severity.WARNING,
            "append-only file, written when the system likes to (appendfsync no)",
            "a machine that loses power loses about half a minute of tasks",
            "set appendfsync everysec, or always",
        )
    return _ok("persistence", f"append-only file, appendfsync {sync or 'cannot be seen'}")


def _memory(facts: RedisFacts) -> Finding:
    used, most = facts.number("used_memory"), facts.number("maxmemory")
    system = facts.number("total_system_memory")
    if used is None or most is None:
        return _unknown("memory", "how much memory is used")
    limit, name = (most, "maxmemory") if most else (system or 0, "the machine's memory; there is no maxmemory")
    if not limit:
        return _ok("memory", f"{_size(used)} used, no limit")
    part = used / limit
    found = f"{_size(used)} of {_size(limit)} used ({part:.0%} of {name})"
    if part < MEMORY_WARNING:
        return _ok("memory", found)
    return Finding(
        "memory",
        Severity.FAILURE if part >= MEMORY_FAILURE else Severity.WARNING,
        found,
        "when it is full, new tasks are refused with 503",
        "raise maxmemory, or let fewer tasks wait (GENFLEET_QUEUE_LENGTH); docs/redis.md says how much a task takes",
    )


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _clients(facts: RedisFacts) -> Finding:
    connected, most = facts.number("connected_clients"), facts.number("maxclients")
    if connected is None or most is None:
        return _unknown("clients", "how many clients there may be")
    found = f"{connected} of {most} clients"
    if connected < CLIENTS_WARNING * most:
        return _ok("clients", found)
    return Finding(
        "clients",
        Severity.WARNING,
        found,
        "programs that start, or lost their connection, are turned away",
        "raise maxclients, and the number of files that Redis may open; a worker takes about 4 + its concurrency",
    )


def _timeout(facts: RedisFacts) -> Finding:
    text = facts.config.get("timeout")
    if text is None:
        return _unknown("timeout", "after how long idle connections are cut")
    if 0 < int(text) < SHORTEST_TIMEOUT_S:
        return Finding(
            "timeout",
            Severity.WARNING,
            f"idle connections are cut after {text} s",
            "programs connect again and again",
            "set timeout 0; tcp-keepalive finds those that are gone",
        )
    return _ok("timeout", "idle connections stay" if text == "0" else f"idle connections are cut after {text} s")


def _replication(facts: RedisFacts) -> Finding:
    role, replicas = facts.info.get("role"), facts.number("connected_slaves")
    if role == "slave":
        return Finding(
            "replication",
            Severity.FAILURE,
            "this is a replica",
            "nothing can be written to it",
            "give the address of the primary, or that of the Sentinels",
        )
    if role != "master" or replicas is None:
        return _unknown("replication", "whether it has replicas")
    needed = facts.config.get("min-replicas-to-write")
    if needed is None and "min_slaves_good_slaves" in facts.info:
        needed = "1"  # told only where it is set
    if replicas and needed == "0":
        return Finding(
            "replication",
            Severity.WARNING,
            f"primary of {replicas} replicas, and takes writes that none of them has",
            "after a failover, what the old primary still accepted is lost",
            "set min-replicas-to-write 1 and min-replicas-max-lag 3",
        )
    if needed is None and replicas:
        return _unknown("replication", "min-replicas-to-write of a primary with replicas")
    return _ok("replication", f"primary of {replicas} replicas" if replicas else "primary, without replicas")


def _clock(facts: RedisFacts) -> Finding:
    ahead = facts.clock_ahead_s
    if ahead is None:
        return _unknown("clock", "the time")
    if abs(ahead) < CLOCK_WARNING_S:
        return _ok("clock", "agrees with ours")
    return Finding(
        "clock",
        Severity.WARNING,
        f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours",
        "leases and deadlines go by its clock alone, but run_at and deadline of clients come by theirs",
        "let both machines keep time by NTP",
    )


def _encryption(facts: RedisFacts) -> Finding:
    if facts.encrypted and not facts.verified:
        return Finding(
            "tls",
            Severity.WARNING,
            "TLS without verification",
            "anybody on the way may pretend to be Redis",
            "set GENFLEET_REDIS_CA to the authority of its certificate, and leave GENFLEET_REDIS_VERIFY on",
        )
    if facts.encrypted or facts.near:
        return _ok("tls", "TLS, verified" if facts.encrypted else "not encrypted, and does not leave this machine")
    return Finding(
        "tls",
        Severity.WARNING,
        "not encrypted",
        "whoever is on the way reads tasks, results and the password",
        "use rediss://, or a network that nobody else is on",
    )


def _rights(facts: RedisFacts) -> Finding:
    if not facts.denied:
        return _ok("rights", "nothing that is needed is denied")
    return Finding(
        "rights",
        Severity.FAILURE,
        f"denied: {', '.join(facts.denied)}",
        "steps that need it fail",
        "grant it to this user: docs/redis.md has a line for each program",
        refuses=True,
    )


CHECKS: tuple[Check, ...] = (
    _version,
    _mode,
    _eviction,
    _persistence,
    _memory,
    _rights,
    _replication,
    _encryption,
    _clients,
    _timeout,
    _clock,
)
