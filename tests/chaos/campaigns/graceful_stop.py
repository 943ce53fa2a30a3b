"""T19: workers are told to go, as at every rollout and scale-down, with tasks at work that may outlast the grace."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from subprocess import Popen, TimeoutExpired
from typing import Any

from genfleet.contract.states import State
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.figures import spread
from tests.chaos.ledger import verdict
from tests.chaos.stock import Stock
from tests.support.tasks import record, submitted
from tests.support.waiting import comes_true, wait_for

AT_ONCE = 10
MARGIN_S = 5.0
"""For ten workers that end at the same moment on two processors: then an exit is still in time."""


def ours(run: Run) -> Finding:
    """Ten at a time. Tasks take from a fifth of the grace to twice as long; handed back, they are done at once."""
    grace = 10.0 if run.trials >= AT_ONCE else 2.0
    redis = run.redis()
    store = run.store(redis)
    site = run.site(redis)
    ids: list[str] = []
    exits: list[float] = []
    late = counted = handed = 0
    while len(exits) < run.trials:
        number = min(AT_ONCE, run.trials - len(exits))
        batch = [submitted(store, seconds=run.chance.uniform(0.2, 2) * grace, later=0) for _ in range(number)]
        with ExitStack() as stack, ThreadPoolExecutor(number) as pool:
            names = [f"leaving-{len(exits) + each}" for each in range(number)]
            settings: dict[str, Any] = {"GENFLEET_DRAIN_SECONDS": str(grace)}
            workers = list(pool.map(lambda name: stack.enter_context(site.worker(name=name, **settings)), names))  # noqa: B023
            comes_true(lambda: all(record(store, each).state is not State.QUEUED for each in batch), within=30)  # noqa: B023
            took = list(pool.map(lambda worker: _exit(worker, grace + 4 * MARGIN_S), workers))
        late += sum(seconds > grace + MARGIN_S for seconds in took)
        running = [each for each in batch if record(store, each).state is State.PROCESSING]
        counted += len(running)  # nobody holds them, and a lease has to run out
        handed += sum(record(store, each).state is State.QUEUED for each in batch)
        exits += took
        ids += batch
        with site.worker(name=f"rest-{len(exits)}", concurrency=4):
            verdict(redis, store, ids)
        run.tell(f"{len(exits)} of {run.trials} workers told to go")
    found = verdict(redis, store, ids)
    said = (
        f"{found}; with a grace of {grace:g} s each ended after {spread(exits)}, {late} too late; "
        f"{handed} tasks handed back and in line when it ended, {counted} not"
    )
    return Finding(len(exits), found.failures + late + counted, said)


def _exit(worker: Popen[bytes], within: float) -> float:
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    try:
        worker.wait(within)
    except TimeoutExpired:
        return within
    return time.monotonic() - began


def peer(run: Run) -> Finding:
    """As Kubernetes does it: SIGTERM, and SIGKILL when the grace is over."""
    grace = 10.0
    stock = Stock(run.redis(), run.folder)
    ids = [stock.submit(run.chance.uniform(2, 20)) for _ in range(run.trials)]
    with ExitStack() as stack, ThreadPoolExecutor(run.trials) as pool:
        names = [f"leaving-{each}" for each in range(run.trials)]
        workers = list(pool.map(lambda name: stack.enter_context(stock.worker(name=name)), names))
        wait_for("they run", lambda: all(stock.notes("start", each) for each in ids), within=60)
        took = list(pool.map(lambda worker: _exit(worker, grace), workers))
    with stock.worker(name="rest", concurrency=4):
        comes_true(lambda: all(stock.notes("end", each) for each in ids), within=30)
    lost = sum(not stock.notes("end", each) for each in ids)
    killed = sum(seconds >= grace for seconds in took)
    said = f"{killed} of {run.trials} still at work when the grace of {grace:g} s was over, and killed; {lost} tasks not back 30 s later"
    return Finding(run.trials, lost, said)


CAMPAIGNS = [
    Campaign(
        id="T19",
        promise="A worker that is told to go is gone when its grace is over: what it could not finish is in line again then, and "
        "nothing is lost or done twice.",
        theme="worker",
        ours=ours,
        trials=100,
        short=2,
        peer=peer,
        peer_trials=10,
        minutes=8,
        fell_short=(
            (
                "A worker had handed its work back when the grace was over, and then waited for Celery's pool for some seconds more; it "
                "now ends at once."
            ),
        ),
    )
]
