"""T16: Redis is full, and may not evict.

Submissions are refused then, with the time to try again; what was accepted goes on, although each step of it writes. So the
steps that end work are let through where those that begin it are not.
"""

from __future__ import annotations

import time
from contextlib import suppress

import httpx
import redis as redis_client
from kombu.exceptions import OperationalError

from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.ledger import ended, verdict
from tests.chaos.stock import Stock
from tests.support.servers import Redis
from tests.support.waiting import comes_true, wait_for

FULL = "16mb"
ROOM = "256mb"
TEXT = "x" * 1_900
"""What makes a task large, so that memory is used up by few: a prompt, near its limit."""
UNLIMITED = {
    "GENFLEET_SUBMISSIONS_PER_MINUTE": "0",
    "GENFLEET_PROJECT_TASKS": "0",
    "GENFLEET_QUEUE_LENGTH": "0",
}


def _fill(server: Redis) -> None:
    """Leave no room: what is used by others, as on a Redis that is shared."""
    with redis_client.Redis(port=server.port, db=7) as client, suppress(redis_client.exceptions.OutOfMemoryError):
        while True:
            client.rpush("others", "x" * 1_000)


def _submit(api: httpx.Client) -> httpx.Response:
    body = {"project_id": "p", "task_type": "generate_image", "task_data": {"prompt": TEXT, "seconds": 0.05}}
    return api.post("/api/v1/tasks/submit", json=body)


def _take(api: httpx.Client, ids: list[str]) -> bool:
    """Whether one more is accepted. It is one of those that have to end."""
    answer = _submit(api)
    if answer.is_success:
        ids.append(answer.json()["task_id"])
    return answer.is_success


def ours(run: Run) -> Finding:
    """Accept tasks, fill Redis up, see that more are refused properly, and that those that were accepted end all the same."""
    redis = run.redis("--maxmemory", FULL, "--maxmemory-policy", "noeviction")
    site = run.site(redis)
    store = run.store(redis)
    api = run.stack.enter_context(site.api(**UNLIMITED))
    worker = run.stack.enter_context(site.worker(concurrency=2))
    answers = [_submit(api) for _ in range(run.trials)]
    ids = [answer.json()["task_id"] for answer in answers if answer.is_success]
    _fill(redis)
    redis.client.client_kill_filter(_type="normal")  # who connects again must not need room for that
    _fill(redis)
    attempts = []
    for _ in range(10):  # some may be let in all the same: what ends makes room
        _fill(redis)
        attempts.append(_submit(api))
    ids += [answer.json()["task_id"] for answer in attempts if answer.is_success]
    refusals = [answer for answer in attempts if not answer.is_success]
    proper = sum(answer.status_code == 503 and "retry-after" in answer.headers for answer in refusals)
    began = time.monotonic()
    drained = comes_true(lambda: all(ended(store, task_id) for task_id in ids), within=60)
    took = time.monotonic() - began
    alive = worker.poll() is None
    redis.client.config_set("maxmemory", ROOM)
    before = len(ids)
    wait_for("it takes tasks again", lambda: _take(api, ids), within=10)
    ids += [_submit(api).json()["task_id"] for _ in range(5)]
    found = verdict(redis, store, ids)
    failures = found.failures + (not drained) + (not alive)
    failures += len(refusals) - proper + (not refusals)
    said = f"{proper} of {len(refusals)} submissions refused with 503 and Retry-After; {before} accepted before "
    said += (
        f"ended in {took:.1f} s while it was full, {len(found.lost)} lost; the worker {'stayed' if alive else 'ended'}"
    )
    return Finding(len(ids), failures, said)


def peer(run: Run) -> Finding:
    """The same with `delay()`."""
    redis = run.redis("--maxmemory", FULL, "--maxmemory-policy", "noeviction")
    stock = Stock(redis, run.folder)
    app = stock.app()
    worker = run.stack.enter_context(stock.worker(concurrency=2))
    ids = [stock.submit(0.05, app=app) for _ in range(run.trials)]
    _fill(redis)
    refused = 0
    for _ in range(10):
        try:
            stock.submit(0.05, app=app)
        except (OperationalError, redis_client.RedisError):
            refused += 1
    comes_true(lambda: worker.poll() is not None, within=30)
    done = sum(bool(stock.notes("end", task_id)) for task_id in ids)
    ended_by_itself = worker.poll() is not None
    said = f"{refused} of 10 calls of delay() raised; {done} of {len(ids)} ended while it was full; "
    said += "the worker ended itself" if ended_by_itself else "the worker stayed"
    return Finding(len(ids), len(ids) - done + ended_by_itself, said)


CAMPAIGNS = [
    Campaign(
        id="T16",
        promise="A Redis whose memory is full refuses new tasks with 503 and Retry-After, and those that it has accepted still end.",
        theme="redis",
        ours=ours,
        trials=200,
        short=20,
        peer=peer,
        fell_short=(
            "The API answered 500 where the client had taken the first word of Redis' refusal away. It answers 503.",
            "The worker ended itself. It stays, and connects again.",
            "Leases could not be renewed while they could be reaped. Steps that end work are let through, those that begin it are not.",
            (
                "kombu noted each message that it took, looked at its queues and took its locks in ways that a full Redis refuses, and lost "
                "message and connection. It goes on without."
            ),
        ),
    )
]
