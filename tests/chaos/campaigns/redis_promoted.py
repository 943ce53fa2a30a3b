"""T7 promotion, T7 primary lost: Sentinels make another server the primary, orderly or because the old one is gone.

An old primary that still answers goes on taking writes for as long as it has the replicas that it needs, and throws them away
when it becomes one. So `min-replicas-to-write` is the number of replicas where nothing may be lost. Replication is asynchronous:
what the old primary took within its last moment may be on no replica yet, whichever way it goes.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial

import httpx

from genfleet.contract.keys import key
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.campaigns.redis_killed import UNLIMITED, through
from tests.chaos.submitters import submitting
from tests.support.sentinels import Watched, server, watched
from tests.support.servers import Redis, Site, free_port
from tests.support.waiting import wait_for

LAST_MOMENT_S = 1.0
"""What an old primary may have taken without giving it to a replica."""


def _unknown(made: Watched, ids: list[str]) -> set[str]:
    pipeline = made.client.pipeline(transaction=False)
    for task_id in ids:
        pipeline.exists(key("task", task_id))
    return {task_id for task_id, there in zip(ids, pipeline.execute(), strict=True) if not there}


def promoted(run: Run, *, kill: bool) -> Finding:
    """Promote under load, and count what is known afterwards of what was accepted."""
    made = run.stack.enter_context(watched(run.folder, replicas=2, needed=1 if kill else 2))
    site = Site(Redis(run.folder, free_port()), run.folder)
    api: httpx.Client = run.stack.enter_context(site.api(REDIS_URL=made.url, **UNLIMITED))
    submit, ids = through(api)
    revived = run.stack.enter_context(ExitStack())
    accepted, lost, early, away = 0, 0, 0, 0.0
    for number in run.each_trial():
        if number:
            wait_for("all others are replicas", made.replicates, within=60)
        with submitting(submit, clients=2, pause=0.002) as clients:
            time.sleep(2.0)
            old, began = made.primary, time.monotonic()
            made.kill_primary() if kill else made.promote()
            last = clients.last
            wait_for("a submission is accepted", lambda: clients.last > max(last, began), within=30)  # noqa: B023
            away = max(away, clients.last - began)
            time.sleep(1.0)
        if kill:
            follows = ("--appendonly", "yes", "--save", "", "--replicaof", "127.0.0.1", str(made.primary))
            made.servers[old] = revived.enter_context(
                server(run.folder / f"redis-{old}", old, *follows, "--min-replicas-to-write", "1")
            )
        accepted += len(clients.accepted)
        gone = _unknown(made, [ids[name] for name in clients.accepted])
        lost += len(gone)
        early += sum(ids[name] in gone and at < began - LAST_MOMENT_S for name, at in clients.accepted.items())
    said = f"{lost} of {accepted:,} accepted submissions lost in {run.trials} promotions"
    said += f", {early} of them accepted more than {LAST_MOMENT_S:g} s before"
    said += f"; none was accepted for {away:.1f} s at most"
    return Finding(run.trials, early, said)


CAMPAIGNS = [
    Campaign(
        id="T7 promotion",
        promise="When Sentinels promote a replica under submissions, nothing is lost that was accepted more than a second before (min-replicas-to-write: all).",
        theme="promotion",
        ours=partial(promoted, kill=False),
        trials=8,
        short=1,
        no_peer="stock Celery has no record of what it accepted beside the message; see T7",
        minutes=5,
        fell_short=(
            (
                "A worker that was told NOREPLICAS or READONLY ended, or went on with the old primary. Everybody leaves it at once, and asks "
                "the Sentinels."
            ),
            "A task that was claimed but not yet given to a process when the connection was lost kept its lease for ever. It is handed back.",
        ),
    ),
    Campaign(
        id="T7 primary lost",
        promise="When the primary is killed under submissions, a replica takes over, and nothing is lost that was accepted more than a second before (min-replicas-to-write 1).",
        theme="promotion",
        ours=partial(promoted, kill=True),
        trials=8,
        short=1,
        no_peer="as above",
        minutes=5,
    ),
]
