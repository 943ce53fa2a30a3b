"""T15: messages that no producer should send, between good ones.

Stock Celery takes a message at its word: a field of the wrong kind ends the worker, or keeps it connecting again and again,
and the message stays in Redis for the next one. Ours looks before kombu does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from genfleet.contract.keys import PRIORITY_STEPS, broker_list
from genfleet.store import dead_letters, steps
from genfleet.store.client import SyncStore
from genfleet.store.dead_letters import RAW_KEPT, LetterState
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.ledger import wait_for_ends
from tests.chaos.stock import Stock
from tests.support.bad_messages import mutations, the_seventeen
from tests.support.servers import Redis
from tests.support.tasks import record, submitted
from tests.support.waiting import comes_true

LIST = broker_list("gpu_medium", 0)
AT_ONCE = 200
"""Bad messages that lie in the queue together. All that are set aside are looked at before more are sent."""
GOOD_EVERY = 10
"""There is a good one after so many bad ones."""
PATIENCE_S = 60.0
GONE_S = 3.0
"""How long a message may be between its queue and its end. One that is there later comes again and again."""
PEER_PATIENCE_S = 8.0
"""How long the peer is given to run a good task behind a bad message. It takes a few milliseconds alone."""


def ours(run: Run) -> Finding:
    """The 17, then mutations of a good message; two workers, and a task of ours after every ten."""
    redis = run.redis()
    site = run.site(redis)
    store = run.store(redis)
    run.stack.enter_context(site.api())  # does the chores
    names = ("worker1", "worker2")
    # A process is replaced after ten tasks otherwise: a second or two, hundreds of times, that prove nothing here.
    workers = [run.stack.enter_context(site.worker(name=name, GENFLEET_TASKS_PER_PROCESS="1000")) for name in names]
    bad = [*the_seventeen().values(), *mutations(run.seed, run.trials - 17)]
    good: list[str] = []
    became: Counter[str] = Counter()
    for some in _parts(bad, AT_ONCE):
        batch = list(_sent(redis, store, some))
        late = wait_for_ends(store, batch, within=PATIENCE_S)
        comes_true(lambda: _is_empty(redis), within=PATIENCE_S)
        good += batch
        became["good, not run"] += len(late)
        became.update(_what_became(store, some))
        run.tell(f"{became.total()} looked at, {became['set aside']} set aside")
    ended = sum(worker.poll() is not None for worker in workers)
    failures = became["lost"] + became["good, not run"] + ended + (not _is_empty(redis))
    failures += sum(record(store, task_id).state.value != "completed" for task_id in good)
    said = (
        f"{became['set aside']} set aside with their reason, {became['run']} still whole and run, "
        f"{became['dropped']} dropped as they asked, {became['lost']} lost; "
        f"{len(good) - became['good, not run']} of {len(good)} good tasks between them run; {ended} of 2 workers ended"
    )
    return Finding(len(bad), failures, said)


def _parts(bad: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (bad[first : first + size] for first in range(0, len(bad), size))


def _sent(redis: Redis, store: SyncStore, bad: Sequence[bytes]) -> Iterator[str]:
    """Puts bad messages in line, and tasks of ours between them; their ids."""
    for some in _parts(bad, GOOD_EVERY):
        redis.client.lpush(LIST, *some)
        yield submitted(store)


def _is_empty(redis: Redis) -> bool:
    """Whether every message was dealt with. What waits for a time of its own is held by a worker, not by the queue."""
    return not redis.client.exists(*(broker_list("gpu_medium", step) for step in PRIORITY_STEPS))


def _what_became(store: SyncStore, bad: Sequence[bytes]) -> Counter[str]:
    """Of each message: `set aside`, `run` (it was whole, or became another whole one), `dropped`, or `lost`."""
    kept: Counter[bytes] = Counter()
    for letter in store.run(dead_letters.page(LetterState.WAITING, None, 0, dead_letters.MOST)).letters:
        whole = store.run(dead_letters.read(letter.id))
        assert whole is not None
        assert whole.reason
        kept[whole.raw or b""] += 1
        store.run(dead_letters.remove(letter.id))
    became: Counter[str] = Counter()
    for raw in bad:
        if kept[raw[:RAW_KEPT]]:
            kept[raw[:RAW_KEPT]] -= 1
            became["set aside"] += 1
        else:
            became[_without_letter(store, _headers(raw))] += 1
    return became


def _without_letter(store: SyncStore, headers: dict[str, Any]) -> str:
    """What became of a message that was not set aside. It is not lost if it has a record, or asked not to have one."""
    if isinstance(headers.get("id"), str) and store.run(steps.task(headers["id"])):
        return "run"
    # It has expired, or says that it belongs to a record of ours, which is not there.
    asked_for_it = headers.get("expires") is not None or headers.get("token") is not None
    return "dropped" if asked_for_it else "lost"


def _headers(raw: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        message = json.loads(raw)
        if isinstance(message, dict) and isinstance(message.get("headers"), dict):
            return dict(message["headers"])
    return {}


def peer(run: Run) -> Finding:
    """The 17, each with a good task behind it; a fresh worker wherever the one before ended or stood still."""
    stock = Stock(run.redis(), run.folder)
    app = stock.app()
    cases = list(the_seventeen("stock.work").items())[: run.trials]
    became: Counter[str] = Counter()
    while cases:
        with ExitStack() as stack:
            worker = stack.enter_context(stock.worker())
            while cases:
                name, raw = cases.pop(0)
                stock.redis.client.lpush("celery", raw)
                task_id = stock.submit(app=app)
                comes_true(
                    lambda: worker.poll() is not None or stock.notes("end", task_id),  # noqa: B023
                    within=PEER_PATIENCE_S,
                )
                if worker.poll() is not None:
                    what = "ended"
                elif not stock.notes("end", task_id):
                    what = "stood still"
                else:
                    what = "gone" if comes_true(lambda: _is_gone(stock), within=GONE_S) else "round"
                became[what] += 1
                run.tell(f"{name}: {what}")
                if what != "gone":
                    break
        stock.redis.client.flushdb()  # or the next worker would meet the same message
    said = (
        f"{became['ended']} of {run.trials} ended the worker, {became['stood still']} kept it from the good task behind, "
        f"{became['round']} never went away, {became['gone']} were thrown away without a trace"
    )
    return Finding(run.trials, run.trials, said)


def _is_gone(stock: Stock) -> bool:
    return not stock.redis.client.exists("celery", "unacked")


CAMPAIGNS = [
    Campaign(
        id="T15",
        promise=(
            "A message that is not whole (the 17 that end or jam a stock worker, and mutations of a good one) ends no worker "
            "and holds up no queue: it is set aside as it came, with its reason."
        ),
        theme="messages",
        ours=ours,
        trials=2017,
        short=17 + 60,
        peer=peer,
        peer_trials=17,
        minutes=5,
        fell_short=(
            (
                "Ours took messages at their word as well: 10 of the 17 ended the worker, one kept it busy for ever. Now the Redis "
                "client that kombu asks for messages looks at each first, and what goes on is made anew of the fields that were "
                "understood (`workers/genfleet_workers/messages.py`)."
            ),
            (
                "What had failed at its claim was kept without the message itself, so nothing could be sent again. Now dead letters "
                "are kept as they came, and can be."
            ),
        ),
    )
]
