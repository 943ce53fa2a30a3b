"""T4: the connection is cut while a fetched message is on the wire.

Redis has taken the message from its list and sent it; nobody received it. What only the broker remembers is lost then. Ours is
found by `recover`: the record waits, and its list has handed out what came after it.
"""

from __future__ import annotations

from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.ledger import verdict, wait_for_ends
from tests.chaos.proxy import proxy
from tests.chaos.stock import Stock
from tests.support.tasks import submitted
from tests.support.waiting import comes_true, wait_for

AWAY_S = 30.0
"""How long the peer is given to come up with a message again. Ours takes about 6."""
A_MESSAGE = b"delivery_tag"
"""What a reply holds that brings one."""
AT_ONCE = 10
"""Messages that are cut one after the other, so that they are away together."""


def ours(run: Run) -> Finding:
    """Cut each fetch that brings a task, and see all tasks end once."""
    redis = run.redis()
    site = run.site(redis)
    store = run.store(redis)
    link = run.stack.enter_context(proxy(redis.port))
    run.stack.enter_context(site.api())  # does the chores; its way to Redis is whole
    run.stack.enter_context(site.worker(REDIS_URL=link.url))
    ids: list[str] = []
    cut = 0
    while cut < run.trials:
        cuts = link.cut_replies(b"BRPOP", A_MESSAGE, times=min(AT_ONCE, run.trials - cut))
        ids += (batch := [submitted(store) for _ in range(cuts.left)])
        wait_for_ends(store, batch, within=60)
        cut += cuts.done
        run.tell(f"{cut} of {run.trials} fetches cut")
    found = verdict(redis, store, ids)
    return Finding(cut, found.failures, str(found))


def peer(run: Run) -> Finding:
    """The same."""
    redis = run.redis()
    link = run.stack.enter_context(proxy(redis.port))
    direct = Stock(redis, run.folder)
    app = direct.app()
    run.stack.enter_context(Stock(redis, run.folder, broker=link.url).worker())
    cut = link.cut_replies(b"BRPOP", A_MESSAGE, times=run.trials)
    ids: list[str] = []
    while cut.done < run.trials:
        ids.append(direct.submit(app=app))
        wait_for("a fetch is cut", lambda: cut.done >= len(ids), within=60)
        run.tell(f"{cut.done} of {run.trials} fetches cut")
    lost = [*ids]

    def all_ended() -> bool:
        lost[:] = [task_id for task_id in lost if not direct.notes("end", task_id)]
        return not lost

    comes_true(all_ended, within=AWAY_S)
    return Finding(cut.done, len(lost), f"{len(lost)} of {cut.done} lost")


CAMPAIGNS = [
    Campaign(
        id="T4",
        promise="A connection that is cut while a task is being fetched loses no task.",
        theme="network",
        ours=ours,
        trials=100,
        short=3,
        peer=peer,
        peer_trials=20,
    )
]
