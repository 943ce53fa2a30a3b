"""What `genfleet doctor` hears of a whole installation: Redis, queues, workers, and what was set aside. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from genfleet.contract.redis_terms import Finding, Severity
from genfleet.store.records import QueueSeen
from genfleet.store.steps import LEASE


def findings(
    redis: Iterable[Finding], queues: Iterable[QueueSeen], quarantined: int, letters: int
) -> Iterator[tuple[str, Finding]]:
    """Each with its subject."""
    yield from (("redis", finding) for finding in redis)
    for queue in queues:
        yield "queue", _served(queue)
        yield "queue", _workers(queue)
    yield "tasks", _set_aside(quarantined, letters)


def _served(queue: QueueSeen) -> Finding:
    name = queue.queue
    if queue.paused:
        return Finding(name, Severity.WARNING, "paused", "nothing of it starts", f"go on with: genfleet resume {name}")
    if queue.fleet is not None:
        trouble = queue.fleet.get("trouble")
        if trouble:
            return Finding(
                name, Severity.WARNING, str(trouble), "its fleet is not as large as it should be", "see genfleet queues"
            )
        return Finding(name, Severity.OK, f"scaled: {queue.fleet.get('explanation') or queue.fleet.get('reason')}")
    if queue.workers:
        return Finding(name, Severity.OK, "served by workers that nobody scales")
    waits = f", and {queue.waiting} tasks wait" if queue.waiting else ""
    return Finding(
        name,
        Severity.FAILURE if queue.waiting else Severity.WARNING,
        f"nobody serves it{waits}",
        "its tasks wait for ever",
        "make a GenerationQueue for it, or start a worker; an operator that does not run scales nothing",
    )


def _workers(queue: QueueSeen) -> Finding:
    name = f"{queue.queue} workers"
    stale = [worker for worker in queue.workers if worker.silent_ms > LEASE.total_seconds() * 1000]
    if stale:
        return Finding(
            name,
            Severity.WARNING,
            f"{len(stale)} of {len(queue.workers)} are silent: {', '.join(worker.id for worker in stale[:3])}",
            "what they ran is given to others",
            "see whether these processes still run, and reach Redis",
        )
    return Finding(
        name, Severity.OK, f"{len(queue.workers)} up; tasks: {queue.running} running, {queue.waiting} waiting"
    )


def _set_aside(quarantined: int, letters: int) -> Finding:
    if not quarantined + letters:
        return Finding("set aside", Severity.OK, "nothing")
    return Finding(
        "set aside",
        Severity.WARNING,
        f"in quarantine: {quarantined}; messages that no worker could read: {letters}",
        "they do not run by themselves",
        "look at each, then send it again or let it go: genfleet quarantine ls, genfleet dead-letters ls",
    )
