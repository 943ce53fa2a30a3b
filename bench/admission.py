"""Many clients that do not care about limits, a real API that does, and consumers that do the work by the real steps.

Says what was let in and what was refused, and checks it: every task that was accepted finishes once, nothing that was
refused is there, and every refusal is as documented. Each client has a key and a project of its own; every tenth request
is sent twice at once under one Idempotency-Key. Ends by itself.

    python -m bench.admission [SUBMISSIONS]
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson

from bench.report import table
from genfleet.contract.keys import broker_list, key
from genfleet.store import steps
from genfleet.store.client import AsyncStore
from tests.support.servers import Redis, Site, free_port

CLIENTS, CONSUMERS = 20, 8
SUBMISSIONS = 10_000
LIST = broker_list("gpu_medium", 2)
WITHIN_S = 300.0


@dataclass(slots=True)
class Run:
    """What came of it."""

    submitted: int = 0
    accepted: set[str] = field(default_factory=set)
    replays: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    malformed: list[str] = field(default_factory=list)
    finished: Counter[str] = field(default_factory=Counter)
    """How often a consumer was told that it had finished a task."""
    records: int = 0
    """Tasks that the service ever accepted, by its own count."""
    completed: int = 0
    took_s: float = 0.0

    def faults(self) -> list[str]:
        """What must not be; empty if all is well."""
        once = {task_id for task_id, times in self.finished.items() if times == 1}
        checks = {
            "refusals that are not as documented": self.malformed,
            "accepted tasks that did not finish once": self.accepted ^ once,
            "tasks that nobody was told of": [self.records] if self.records != len(self.accepted) else [],
            "tasks counted as completed": [self.completed] if self.completed != len(self.accepted) else [],
        }
        return [f"{what}: {len(found)}, such as {next(iter(found))}" for what, found in checks.items() if found]


def read_answer(run: Run, answer: httpx.Response) -> None:
    """Sort an answer, and note what is wrong with a refusal."""
    run.submitted += 1
    body = answer.json()
    if answer.status_code == httpx.codes.OK:
        run.accepted.add(body["task_id"])
        run.replays += "idempotent-replayed" in answer.headers
        return
    reason = "project" if "Project" in body.get("message", "") else body.get("error", "")
    run.refused[f"{answer.status_code} {reason}"] += 1
    well_formed = (
        answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        and body.keys() == {"error", "message", "retry_after"}
        and body["error"] == "rate_limit_exceeded"
        and answer.headers.get("retry-after") == str(body["retry_after"])
        and body["retry_after"] >= 1
        and '"submissions";r=' in answer.headers.get("ratelimit", "")
    )
    if not well_formed:
        run.malformed.append(f"{answer.status_code} {answer.text}")


async def client(run: Run, url: str, name: str, secret: str, number: int) -> None:
    """Submits one after another, as fast as it is answered."""
    headers = {"X-API-Key": secret}
    body = {"project_id": name, "task_type": "generate_image", "task_data": {"prompt": "a red fox"}}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as http:

        async def submit(**more: str) -> httpx.Response:
            return await http.post("/api/v1/tasks/submit", json=body, headers=more)

        left = number
        while left > 0:
            twice = left % 10 == 0 and left > 1
            named = {"Idempotency-Key": f"order-{left}"} if twice else {}
            answers = await asyncio.gather(*(submit(**named) for _ in range(2 if twice else 1)))
            if twice and all(answer.is_success for answer in answers):
                assert answers[0].content == answers[1].content, "one request, two answers"
            for answer in answers:
                read_answer(run, answer)
            left -= len(answers)


async def consumer(run: Run, redis: Redis, store: AsyncStore, name: str) -> None:
    """Takes messages as a worker does, and does each task: claim, then complete."""
    broker = redis.client
    while True:
        message = await asyncio.to_thread(broker.brpop, [LIST], 1)
        if not message:
            continue
        headers = orjson.loads(message[1])["headers"]
        answer = await store.run(steps.claim(headers["id"], str(headers["token"]), name, headers["id"]))
        if answer.lease is not None and await store.run(steps.complete(headers["id"], answer.lease.token, b"{}")):
            run.finished[headers["id"]] += 1


@contextlib.asynccontextmanager
async def consumers(run: Run, redis: Redis) -> AsyncIterator[None]:
    """Several of them, until it is over."""
    store = AsyncStore(redis.url)
    working = [asyncio.create_task(consumer(run, redis, store, f"consumer-{n}")) for n in range(CONSUMERS)]
    try:
        yield
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await store.close()


async def load(redis: Redis, url: str, secrets: Sequence[str], submissions: int) -> Run:
    """All clients at once; then whatever was accepted is finished."""
    run, began = Run(), time.perf_counter()
    each = submissions // len(secrets)
    async with consumers(run, redis):
        await asyncio.gather(
            *(client(run, url, f"project-{number}", secret, each) for number, secret in enumerate(secrets))
        )
        run.took_s = time.perf_counter() - began
        deadline = time.perf_counter() + WITHIN_S
        while len(run.finished) < len(run.accepted) and time.perf_counter() < deadline:  # noqa: ASYNC110  both grow
            await asyncio.sleep(0.02)
    counters = redis.client.hgetall(key("counters"))
    run.records, run.completed = (int(counters.get(name, 0)) for name in (b"total_tasks", b"completed_tasks"))
    return run


def make_keys(api: httpx.Client, number: int) -> list[str]:
    """Keys with the limits of the settings."""
    return [api.post("/api/v1/keys", json={"name": f"client-{n}"}).json()["api_key"] for n in range(number)]


def main(submissions: int = SUBMISSIONS) -> None:
    """Run and print, with the limits that hold where nobody set others."""
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(Path(folder), free_port())
        redis.start()
        try:
            with Site(redis, Path(folder)).api() as api:
                run = asyncio.run(load(redis, str(api.base_url), make_keys(api, CLIENTS), submissions))
        finally:
            redis.stop()
    rows = [("submissions", run.submitted), ("clients", CLIENTS), ("seconds", f"{run.took_s:.1f}")]
    rows += [("accepted tasks", len(run.accepted)), ("of them answered twice, as one", run.replays)]
    rows += [(f"refused: {reason}", times) for reason, times in sorted(run.refused.items())]
    rows += [("finished, once each", len(run.finished)), ("faults", "; ".join(run.faults()) or "none")]
    sys.stdout.write(table(("what", "how many"), rows))
    if run.faults():
        raise SystemExit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
