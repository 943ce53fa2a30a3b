"""Every Redis key, in one place. Python and the Lua scripts are both given their names from the table below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PREFIX = "genfleet:"

PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        # -- the life of a task -------------------------------------------------------------------------------------
        "task": "task:{}",  # hash: the record of one task, by id
        "events": "events:{}",  # stream: what happened to one task, by id, capped; and the channel that says so
        "waiting": "waiting:{}",  # zset, by queue: ids a worker may claim; score: see `store/lua/prelude.lua`
        "scheduled": "scheduled:{}",  # zset, by queue: ids that wait for their time, or their next attempt; score: when, ms
        "deadlines": "deadlines",  # zset: ids that end if they have not started by then; score: when, ms
        "leases": "leases:{}",  # zset, by queue: ids that a worker holds; score: when the lease runs out, ms
        "index": "index:{}:{}:{}",  # zset, by state or *, type or *, project: ids; score: created, ms
        "expiry": "expiry",  # zset: ids of finished tasks; score: when the record may go, ms
        "quarantine": "quarantine",  # zset: ids of poison tasks; score: when, ms
        "project_quarantine": "quarantine:{}",  # zset, by project: the same of one project
        "dead_letter": "letter:{}",  # hash, by number: a message or record that could not be judged, with its reason
        "dead_letters": "letters:{}",  # zset, by state: the numbers of those that wait, or were sent again; score: when, ms
        # -- webhooks: see `store/lua/outbox.lua` -------------------------------------------------------------------
        "webhook": "webhook:{}",  # hash, by task id: the delivery of its webhook
        "webhook_attempts": "webhook_attempts:{}",  # list, by task id: what came of each attempt, the oldest first
        "webhooks": "webhooks:{}",  # zset, by state or *: ids of tasks with a webhook; score: when they ended, ms
        "project_webhooks": "project_webhooks:{}:{}",  # zset, by state or *, project: the same of one project
        "outbox": "outbox:{}",  # zset, by host: ids to deliver; score: when due, or when the sender's lease runs out, ms
        "outbox_hosts": "outbox_hosts:{}",  # zset, by lane: hosts with something to deliver; score: when the first is due
        "proven_hosts": "proven_hosts",  # zset: hosts that answered in time when last asked; score: when, ms
        "outbox_wake": "outbox_wake",  # channel: something is due now
        "webhook_secret": "webhook_secret:{}",  # hash, by API key id: what its webhooks are signed with
        # -- what is counted ----------------------------------------------------------------------------------------
        "counters": "counters",  # hash: the lasting numbers of the metrics endpoint
        "measures": "measures",  # hash: what `contract/measures.py` names and Redis counts: see `store/measures.py`
        "outcomes": "outcomes:{}",  # hash, by minute since the epoch: completed and failed, kept for an hour
        "service": "service:{}",  # hash, by queue: mean run time of its recent tasks, and how they differ
        "durations": "durations:{}",  # hash, by task type: how long recent runs took
        "usage": "usage:{}:{}",  # hash, by project and day since the epoch: what it used, by task type
        # -- the fleet ----------------------------------------------------------------------------------------------
        "workers": "workers:{}",  # zset, by queue: worker ids; score: last heard of, ms
        "worker": "worker:{}",  # hash, by worker id: what it says of itself
        "draining": "draining",  # set: ids of workers that were told to take nothing new
        "paused": "paused",  # hash: queue -> since when and why nothing of it starts, by the API
        "fleet": "fleet:{}",  # string, by queue, short-lived: the last decision of whoever sizes its fleet
        "upkeep": "upkeep",  # string, short-lived: who does the chores of this second
        "last_reap": "last_reap",  # string: when leases were last looked at, ms
        "alerts": "alerts",  # hash: alert -> severity, of those that were raised and are not over
        "alerts_turn": "alerts_turn",  # string, short-lived: who looks for alerts in this period
        "probe": "probe",  # never there: `lua/probe.lua` tries the rights of a program with it, `let_through` removes it
        # -- access and wake-ups ------------------------------------------------------------------------------------
        "api_keys": "api_keys",  # hash: key id -> name, digest, scopes, limits: see `genfleet_service.keys`
        "key_uses": "key_uses",  # hash: key id -> when it was last used, ms, to a few seconds
        "rate": "rate:{}:{}",  # string, by what is limited and key id: when its bucket is full again, ms
        "audit": "audit",  # stream: who changed what, by the API, capped: see `store/audit.py`
        "once": "once:{}:{}",  # hash, by key id and Idempotency-Key: the answer to the first request
        "wake": "wake",  # channel: a queue's name, whenever work was added to it
    }
)

LIST_SEPARATOR = "\x06\x16"
"""kombu's: the list of queue q and priority step p is q + separator + p, and plain q for step 0 (RF-002)."""
PRIORITY_STEPS = (0, 1, 2, 3, 6, 9)
"""Whose lists workers read, in this order. 1 to 3 are ours (TS-013). 0, 3, 6 and 9 are kombu's own: a Celery producer with
default options pushes into these, and into 0 what has no priority."""
UNACKED, UNACKED_INDEX = "unacked", "unacked_index"
"""kombu's: messages that were delivered and not yet acknowledged."""


def key(kind: str, *parts: str | int) -> str:
    """The name of a key, e.g. `key("task", task_id)`."""
    return PREFIX + PATTERNS[kind].format(*parts)


def broker_list(broker_queue: str, step: int) -> str:
    """The Redis list that kombu reads for one priority step of a queue."""
    return f"{broker_queue}{LIST_SEPARATOR}{step}" if step else broker_queue
