"""T25: receivers of webhooks that mean harm, beside one that does not.

Addresses that lead inside, names that change their mind, redirects, answers that never end, receivers that are down for
long. Of ours: no connection leads inside, and the good receiver hears of every task, signed, whatever the others do.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil

from genfleet.egress import AsyncSafeTransport
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet_service.webhooks.attempt import post
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.stock import Stock
from tests.support import hostile_urls
from tests.support.receivers import Answer, Receiver, drip, hang, receiving, status
from tests.support.servers import Site, free_port, program
from tests.support.waiting import comes_true, wait_for

MiB = 2**20
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "webhook_example.py"
GOOD_WITHIN = 60.0
"""Seconds in which the good receiver is to hear of everything."""
OPEN = {
    "GENFLEET_ALLOW_HTTP_CALLBACKS": "true",
    "GENFLEET_WEBHOOK_TIMEOUT": "3",
    "GENFLEET_WEBHOOK_DELAYS": "[0.1, 0.2, 0.4]",
    "GENFLEET_PROJECT_TASKS": "0",
    "GENFLEET_SUBMISSIONS_PER_MINUTE": "0",
}


class Trap:
    """Every address of this machine, and how many came."""

    def __init__(self) -> None:
        self.server = socket.create_server(("", 0))
        self.port: int = self.server.getsockname()[1]
        self.came = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                opened, _ = self.server.accept()
                self.came += 1
                with opened, suppress(OSError):
                    opened.settimeout(1)
                    opened.recv(65536)
                    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")


@contextmanager
def trapped() -> Iterator[Trap]:
    """A trap that is closed afterwards."""
    trap = Trap()
    try:
        yield trap
    finally:
        trap.server.close()


def endless(_receiver: Receiver, request: Any) -> None:
    """10 GB."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
    while True:
        request.wfile.write(b"x" * MiB)


def hostile(trap: Trap) -> list[tuple[str, Answer]]:
    """Receivers, each with what it does."""
    return [
        ("hangs", hang),
        ("drips", drip),
        ("answers 10 GB", endless),
        ("answers 500", status(500)),
        ("redirects inside", status(302, Location=f"http://127.0.0.1:{trap.port}/latest/meta-data")),
    ]


def ours(run: Run) -> Finding:
    """Three rounds: addresses, a name that changes, and bad receivers beside a good one."""
    trap = run.stack.enter_context(trapped())
    inside = _addresses(run, trap)
    run.tell(f"{inside} addresses inside were refused, {trap.came} connections led there")
    rebound = asyncio.run(_rebinding(trap, run.trials))
    run.tell(f"a name changed {rebound} times, {trap.came} connections led inside")
    missing, unsigned, extra, most, grown = _crowd(run, trap)
    said = (
        f"{inside} addresses and {rebound} changing names: {trap.came} connections inside; the good receiver heard of all "
        f"but {missing} of {run.trials} tasks, {unsigned} not signed, {extra} heard twice, after {most:.1f} s at most beside "
        f"receivers that hang, drip, redirect, answer 500 or 10 GB; memory +{grown} MiB"
    )
    return Finding(inside + rebound + run.trials, trap.came + missing + unsigned, said)


def _addresses(run: Run, trap: Trap) -> int:
    """Submit a task for each address; those that are taken end, and their webhooks are refused when they are called."""
    site = Site(run.redis(name="inside"), run.folder)
    store = SyncStore(site.redis.url)
    run.stack.callback(store.close)
    api = run.stack.enter_context(site.api(**OPEN))
    urls = hostile_urls.urls(trap.port)
    taken = [task_id for url in urls if (task_id := _submitted(api, url))]
    for task_id in taken:
        _end(store, task_id)

    def over() -> bool:
        return all(_delivery(api, task_id)["status"] == "failed" for task_id in taken)

    wait_for("every webhook that leads inside is given up", over, within=90)
    return len(urls)


async def _rebinding(trap: Trap, times: int) -> int:
    """A name that is public when it is looked up, and loopback from then on."""
    for _ in range(times):
        answers = [["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]]
        transport = AsyncSafeTransport(resolve=lambda *_: answers.pop(0))  # noqa: B023
        await post(transport, f"http://rebinding.test:{trap.port}/", b"{}", {}, 0.05, allow_http=True)
        await transport.aclose()
    return times


def _crowd(run: Run, trap: Trap) -> tuple[int, int, int, float, int]:
    """For each good delivery one for each bad receiver, and a receiver that is down at first.

    How many the good ones did not hear of, were not signed, came twice; the longest delay; how the memory grew, in MiB.
    """
    site = Site(run.redis(name="crowd"), run.folder)
    store = SyncStore(site.redis.url)
    run.stack.callback(store.close)
    api, process = run.stack.enter_context(site.api_process(**OPEN, GENFLEET_ALLOW_PRIVATE_CALLBACKS="true"))
    good = run.stack.enter_context(receiving())
    elsewhere = good.url.replace("127.0.0.1", "localhost")  # a host of its own: the bad ones share theirs
    bad = [run.stack.enter_context(receiving(answer)).url for _, answer in hostile(trap)]
    bad.append(f"http://127.0.0.1:{free_port()}/down")
    before = psutil.Process(process.pid).memory_info().rss
    ended: dict[str, float] = {}
    for number in run.each_trial():
        for url in (bad[number % len(bad)], elsewhere):
            task_id = _submitted(api, url)
            assert task_id, url
            _end(store, task_id)
            if url == elsewhere:
                ended[task_id] = time.monotonic()
    heard: dict[str, float] = {}

    def all_heard() -> bool:
        heard.update({str(each.document["task_id"]): each.at for each in good.received})
        return ended.keys() <= heard.keys()

    comes_true(all_heard, within=GOOD_WITHIN)
    secret = api.get("/api/v1/webhooks/secret").json()["secret"]
    is_genuine = _verifier()
    came = [({name.lower(): value for name, value in each.headers.items()}, each.body) for each in list(good.received)]
    unsigned = sum(not is_genuine(headers, body, secret, time.time()) for headers, body in came)
    delays = [heard[task_id] - at for task_id, at in ended.items() if task_id in heard]
    grown = max(0, psutil.Process(process.pid).memory_info().rss - before) // MiB
    return len(ended.keys() - heard.keys()), unsigned, len(good.received) - len(heard), max(delays, default=0.0), grown


def _verifier() -> Callable[[dict[str, str], bytes, str, float], bool]:
    """That of the example which people copy."""
    spec = importlib.util.spec_from_file_location("webhook_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[dict[str, str], bytes, str, float], bool] = module.is_genuine
    return found


def _submitted(api: httpx.Client, url: str) -> str | None:
    """The id of a task with this callback. None: it was refused at once."""
    body = {"project_id": "chaos", "task_type": "generate_image", "task_data": {}, "callback_url": url}
    answer = api.post("/api/v1/tasks/submit", json=body)
    return str(answer.json()["task_id"]) if answer.status_code == httpx.codes.OK else None


def _end(store: SyncStore, task_id: str) -> None:
    """A worker does it."""
    assert store.run(steps.claim(task_id, "1", "worker@test", f"{task_id}.1")).verdict == "run"
    assert store.run(steps.complete(task_id, 1, orjson.dumps({"metadata": {}})))


def _delivery(api: httpx.Client, task_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = api.get(f"/api/v1/tasks/{task_id}/deliveries").json()["deliveries"]
    return found[0] if found else {"status": "pending"}


def peer(run: Run) -> Finding:
    """The same addresses and receivers, with four processes that post from a Celery task."""
    trap = run.stack.enter_context(trapped())
    stock = Stock(run.redis(), run.folder)
    app = stock.app()
    words = ("--app", "tests.chaos.home_made", "worker", "--concurrency", "4")
    run.stack.enter_context(program("celery", *words, log=run.folder / "peer.log", environment=stock.environment()))
    urls = hostile_urls.urls(trap.port)
    for url in urls:
        app.send_task("home_made.notify", args=(url, {"task_id": url}), task_id=url)
    wait_for("some came", lambda: trap.came > 0, within=60)
    comes_true(lambda: stock.redis.client.llen("celery") == 0, within=60)
    came = trap.came
    good = run.stack.enter_context(receiving())
    bad = [run.stack.enter_context(receiving(answer)).url for _, answer in hostile(trap)]
    for number in run.each_trial():
        for url in (bad[number % len(bad)], good.url):
            app.send_task("home_made.notify", args=(url, {"task_id": f"{number}"}))
    heard: set[str] = set()

    def all_heard() -> bool:
        heard.update(str(each.document["task_id"]) for each in good.received)
        return len(heard) == run.trials

    comes_true(all_heard, within=GOOD_WITHIN)
    missing = run.trials - len(heard)
    said = (
        f"{came} connections inside by {len(urls)} addresses; {missing} of {run.trials} good webhooks not there after "
        f"{GOOD_WITHIN:.0f} s, none signed"
    )
    return Finding(len(urls) + run.trials, came + missing, said)


CAMPAIGNS = [
    Campaign(
        id="T25",
        promise="Receivers of webhooks that mean harm make no connection inside, and hold up nobody: every task's end is told "
        "to a good receiver, signed, at least once.",
        theme="security",
        ours=ours,
        trials=200,
        short=12,
        peer=peer,
        peer_name="httpx.post in a Celery task",
        peer_trials=40,
        minutes=4,
    )
]
