"""T11 events: what people follow is cut in every place, again and again: their own connections, Redis, the API.

Events are numbered without a gap, and a client goes on behind the last one that it has had. So whoever follows a task to
its end has had each event once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from bench.submit import LIMITS
from genfleet.store.client import SyncStore
from genfleet_client import Client, Retries
from genfleet_client.sse import Event
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.proxy import proxy
from tests.support.servers import KEY, free_port
from tests.support.tasks import record, submitted

LISTENERS = 12
"""For each task."""
TASKS = 2
EVERY_S = 2.0
"""Between two faults."""
PATIENT = Retries(attempts=50, patience=300.0)
SEEN_WITHIN_S = 60.0


def ours(run: Run) -> Finding:
    """Follow tasks that a real worker runs, while one thing after the other is cut or restarted."""
    redis = run.redis()
    site = run.site(redis)
    store = run.store(redis)
    behind = run.stack.enter_context(proxy(redis.port))
    port = free_port()
    before = run.stack.enter_context(proxy(port))
    client = run.stack.enter_context(Client(f"http://127.0.0.1:{before.port}", KEY, retries=PATIENT))
    run.stack.enter_context(site.worker(concurrency=TASKS))
    life = run.stack.enter_context(ExitStack())

    def start_api() -> None:
        life.enter_context(site.api(PORT=str(port), REDIS_URL=behind.url, **LIMITS))

    def restart_api() -> None:
        life.close()  # by SIGKILL
        start_api()

    def restart_redis() -> None:
        redis.stop()
        redis.start()

    faults: list[Callable[[], object]] = [before.reset_all, behind.reset_all, restart_api, restart_redis]
    start_api()
    seconds = run.trials * (EVERY_S + 1.0)
    ids = [submitted(store, seconds=seconds) for _ in range(TASKS)]
    with ThreadPoolExecutor(LISTENERS * TASKS) as pool:
        followed = [(task_id, pool.submit(_follow, client, task_id)) for task_id in ids for _ in range(LISTENERS)]
        for number in run.each_trial():
            time.sleep(EVERY_S)
            faults[number % len(faults)]()
        return _finding(run, store, followed)


def _follow(client: Client, task_id: str) -> list[Event]:
    return list(client.events(task_id))


def _finding(run: Run, store: SyncStore, followed: list[tuple[str, Future[list[Event]]]]) -> Finding:
    lost = twice = seen = gaps = 0
    for task_id, listener in followed:
        numbers = [int(event.id or 0) for event in listener.result(SEEN_WITHIN_S + run.trials * EVERY_S)]
        expected = range(record(store, task_id).events + 1)  # that it was submitted is event 0
        seen += len(numbers)
        lost += len(set(expected) - set(numbers))
        twice += len(numbers) - len(set(numbers))
        gaps += numbers != sorted(numbers)
    said = f"{seen:,} events to {len(followed)} listeners over {run.trials} faults: {lost} lost, {twice} twice"
    return Finding(run.trials * len(followed), lost + twice + gaps, said)


CAMPAIGNS = [
    Campaign(
        id="T11 events",
        promise="Whoever follows a task has each of its events once, whatever is cut or restarted on the way.",
        theme="links",
        ours=ours,
        trials=16,
        short=2,
        no_peer="Celery's events are told to those who listen at that moment, and not kept: there is nothing to go on with",
    )
]
