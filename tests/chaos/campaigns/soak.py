"""B: half an hour of work of many kinds, while something breaks every few seconds. Ends by itself.

One worker and one process of the API suffer what the network and Redis do, and are never killed or stopped: what they use has
to stay the same. Everything else may go at any time. Records are kept for a day, longer than this lasts; so the campaign ends
the retention of a task once it has looked at it, and the chores remove it as they always do: what is then still there, is a leak.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psutil
from redis.exceptions import RedisError

from genfleet.contract.keys import key
from genfleet.errors import StoreUnavailable
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet.store.records import TaskRecord
from genfleet_service.keyring import key_id_of_settings
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.campaigns.kills import OUR_MOMENTS
from tests.chaos.flat import Line, Samples
from tests.chaos.killer import Killer, Place
from tests.chaos.ledger import ends_counted
from tests.chaos.nursery import Nursery, Program, nursery
from tests.chaos.proxy import Proxy, proxy
from tests.support.receivers import Answer, Receiver, receiving, status
from tests.support.servers import KEY, Redis, Site, free_port
from tests.support.waiting import comes_true, every, wait_for

A_SECOND = 20
"""Tasks, unless so many are open: what a busy machine cannot do, is not asked of it."""
OPEN_MOST = 400
SENDERS = 4
SAMPLE_S = 5.0
AWAY = (RedisError, StoreUnavailable)
"""What those who look on put up with: what they ask may be away at the moment."""
WARM_UP_S = 300.0
LONG_S = 600
"""From here on it is no short form: tasks are tried again, which takes a minute; faults have pauses."""
FLAT = 0.1
"""Growth over the whole time, as a share of the mean, that is taken for flat: the lines of samples that go up and down."""
REFUSED_EVERY = 20
"""The receiver refuses the first attempt of each so many webhooks."""
END_WITHIN_S = 180.0
QUEUES = ("gpu_medium", "gpu_medium", "default")
"""Of the workers that may be killed."""
TYPES = {"gpu_medium": "generate_image", "default": "test_prompt"}
LINK_FAULTS = ("reset", "half open", "slow")


@dataclass(slots=True)
class Fleet:
    """Our programs: those that may go, and two that stay."""

    site: Site
    nursery: Nursery
    marks: Path

    def start(self, place: Place) -> Program:
        """A worker that may be killed."""
        return self.worker(place.name, QUEUES[place.number], place.link)

    def worker(self, name: str, queue: str, link: Proxy) -> Program:
        """A worker."""
        arguments = ("--queue", queue, "--name", f"{name}@test", "--concurrency", "3")
        environment = self.site.environment(REDIS_URL=link.url, GENFLEET_ENGINES="tests.support.engines:engines")
        log = self.site.folder / "workers.log"
        return self.nursery.start("genfleet_workers", *arguments, log=log, environment=environment)

    def api(self, link: Proxy, port: int) -> Program:
        """A process of the API, without limits."""
        environment = self.site.environment(
            REDIS_URL=link.url,
            PORT=str(port),
            GENFLEET_SUBMISSIONS_PER_MINUTE="0",
            GENFLEET_STATUS_READS_PER_MINUTE="0",
            GENFLEET_PROJECT_TASKS="0",
            GENFLEET_QUEUE_LENGTH="0",
            GENFLEET_ALLOW_HTTP_CALLBACKS="true",
            GENFLEET_ALLOW_PRIVATE_CALLBACKS="true",
        )
        return self.nursery.start("genfleet_service", log=self.site.folder / "api.log", environment=environment)

    def running(self) -> list[tuple[str, int]]:
        """Not known: kills come by chance, or as a request passes."""
        return []

    def about(self, _request: bytes, _reply: bytes) -> tuple[str, int | None]:
        """Not looked at."""
        return "", None


@dataclass(slots=True)
class Asked:
    """A task that was accepted."""

    name: str
    """Its Idempotency-Key."""
    hook: str = ""
    """The path of its webhook."""


@dataclass(slots=True)
class Book:
    """What was accepted, and what has become of it. The one place that says whether a promise was broken."""

    redis: Redis
    store: SyncStore
    hooks: set[str] = field(default_factory=set)
    """Paths of those that the receiver has taken."""
    open: dict[str, Asked] = field(default_factory=dict)
    accepted: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    twice: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _key_id: str = field(default_factory=lambda: key_id_of_settings(KEY))

    def add(self, task_id: str, asked: Asked) -> None:
        """It was accepted."""
        with self._lock:
            self.accepted += 1
            if task_id in self.open:
                self.twice.append(task_id)
            self.open[task_id] = asked

    def look(self, *, last: bool = False) -> None:
        """Strike out what has ended, whose webhook is delivered. Raises StoreUnavailable."""
        with self._lock:
            waiting = list(self.open.items())
        records = self.store.run_each([steps.task(task_id) for task_id, _ in waiting])
        for (task_id, asked), record in zip(waiting, records, strict=True):
            if not isinstance(record, TaskRecord) or not record.finished_ms:
                continue
            if asked.hook and record.state.value != "cancelled" and asked.hook not in self.hooks:
                if last:
                    self.untold.append(task_id)
                continue
            self._close(task_id, asked, record)

    def _close(self, task_id: str, asked: Asked, record: TaskRecord) -> None:
        (told,) = self.store.run(steps.events([(task_id, max(0, record.events - 100))]))
        if sum(event.ends for event in told.events) != 1:
            self.twice.append(task_id)
        self.ends[record.state.value] += 1
        with self._lock:
            del self.open[task_id]
        self.redis.client.delete(key("once", self._key_id, asked.name))
        self.redis.client.zadd(key("expiry"), {task_id: 1}, xx=True)

    def counted_twice(self) -> int:
        """Ends that were counted beyond those that we saw."""
        return ends_counted(self.redis.client) - self.ends.total()

    def made(self) -> int:
        """Tasks that were made, by the counters."""
        return int(self.redis.client.hget(key("counters"), "total_tasks") or 0)


@dataclass(slots=True)
class Client:
    """Submits as our clients do: under an Idempotency-Key, again and again, to whichever process answers."""

    urls: list[str]
    book: Book
    hook: str
    long: bool
    seed: int
    over: threading.Event
    at_the_end: threading.Event
    """No task whose retry takes a minute from here on."""

    def work(self, number: int) -> None:
        """Submit at its pace, cancel what is to be cancelled, until it is over."""
        chance = Random(f"{self.seed} {number}")  # noqa: S311  it has to be drawn again
        cancels: list[tuple[float, str]] = []
        due = time.monotonic()
        with httpx.Client(headers={"X-API-Key": KEY}, timeout=5, trust_env=False) as http:
            while not self.over.is_set():
                body, hook, cancel_in = self._drawn(chance)
                name = str(uuid.UUID(int=chance.getrandbits(128)))
                answer = self._asked(http, "POST", "/api/v1/tasks/submit", name, body)
                if answer is None:
                    return
                task_id = answer.json()["task_id"]
                self.book.add(task_id, Asked(name, hook))
                now = time.monotonic()
                if cancel_in is not None:
                    cancels.append((now + cancel_in, task_id))
                for at, cancelled in [each for each in cancels if each[0] <= now]:
                    self._asked(http, "DELETE", f"/api/v1/tasks/{cancelled}", "", None)
                    cancels.remove((at, cancelled))
                due = max(due + SENDERS / A_SECOND, now - 1)
                while not self.over.wait(max(0.0, due - time.monotonic())) and len(self.book.open) > OPEN_MOST:
                    due = time.monotonic() + 0.1

    def _drawn(self, chance: Random) -> tuple[dict[str, Any], str, float | None]:
        kind = chance.choice(list(TYPES.values()))
        data: dict[str, Any] = {"seconds": chance.choice((0, 0, 0.1, 0.3))}
        body: dict[str, Any] = {"project_id": f"p{chance.randrange(5)}", "task_type": kind, "task_data": data}
        body["priority"] = chance.choice((1, 2, 3))
        hook, cancel_in = "", None
        draw = chance.random()
        if draw < 0.15:
            body["delay_seconds"] = chance.randint(1, 20 if self.long else 3)
        elif draw < 0.25:
            cancel_in = chance.uniform(0, 2)
            data["seconds"] = chance.choice((0, 3))
        elif draw < 0.30:
            data["fail"] = "PermanentError"
        elif draw < 0.33 and self.long and not self.at_the_end.is_set():
            data |= {"fail": "TransientError", "fails": 1}
        if chance.random() < 0.5:
            hook = f"/hook/{uuid.UUID(int=chance.getrandbits(128))}"
            body["callback_url"] = self.hook + hook
        return body, hook, cancel_in

    def _asked(self, http: httpx.Client, method: str, path: str, name: str, body: Any) -> httpx.Response | None:
        """The answer, whoever gives it in the end. None: it is over."""
        headers = {"Idempotency-Key": name} if name else {}
        tries = 0
        while True:
            with suppress(httpx.TransportError):
                answer = http.request(method, self.urls[tries % len(self.urls)] + path, json=body, headers=headers)
                if answer.is_success or (method == "DELETE" and answer.status_code < 500):
                    return answer  # what has ended cannot be cancelled
                assert answer.status_code == 503, f"{answer.status_code}: {answer.text}"
            tries += 1
            time.sleep(0.1)
            if self.over.is_set() and tries > 300:
                return None


@dataclass(slots=True)
class Faults:
    """What breaks, one at a time."""

    run: Run
    fleet: Fleet
    killer: Killer
    redis: Redis
    links: list[Proxy]
    """Those of everybody, also of the two that stay."""
    apis: dict[int, Program]
    """That may be killed, by their ports."""
    api_link: Proxy
    long: bool
    seen: Counter[str] = field(default_factory=Counter)

    def one(self) -> None:
        """Whichever is drawn."""
        faults: list[tuple[str, Callable[[], None]]] = [
            ("child killed", lambda: self.killer.kill("child", "chance")),
            ("worker killed", lambda: self.killer.kill("worker", self._moment())),
            ("worker killed", lambda: self.killer.kill("worker", self._moment())),
            ("all workers killed", lambda: self.killer.kill("all", self._moment())),
            ("worker stopped", self._stop),
            ("API killed", self._kill_api),
            ("Redis killed", self._kill_redis),
            ("connections reset", self._reset),
            ("link half open", self._swallow),
            ("link slow", self._slow),
        ]
        name, act = self.run.chance.choice(faults)
        self.seen[name] += 1
        act()

    def _moment(self) -> str:
        return self.run.chance.choice(("chance", *OUR_MOMENTS))

    def _for_a_while(self, longest: float) -> None:
        time.sleep(self.run.chance.uniform(1, longest if self.long else 2))

    def _stop(self) -> None:
        program = self.run.chance.choice(self.killer.places).program
        assert program is not None
        program.signal(signal.SIGSTOP)
        self._for_a_while(14)
        program.signal(signal.SIGCONT)

    def _kill_api(self) -> None:
        port, program = self.run.chance.choice(list(self.apis.items()))
        program.kill()
        self._for_a_while(2)
        self.apis[port] = self.fleet.api(self.api_link, port)

    def _kill_redis(self) -> None:
        self.redis.stop(signal.SIGKILL)
        self._for_a_while(3)
        self.redis.start(within=60)

    def _reset(self) -> None:
        for link in self.run.chance.sample(self.links, k=self.run.chance.randint(1, len(self.links))):
            link.reset_all()

    def _swallow(self) -> None:
        link = self.run.chance.choice(self.links)
        link.swallows = True
        self._for_a_while(14)
        link.swallows = False
        link.reset_all()  # whoever was left in between has lost bytes, as no real link does that goes on

    def _slow(self) -> None:
        link = self.run.chance.choice(self.links)
        link.delay = self.run.chance.uniform(0.02, 0.3)
        self._for_a_while(14)
        link.delay = 0.0


def receiver_of(delivered: set[str]) -> Answer:
    """Notes what it has taken. Of some it refuses the first attempt."""
    refused: set[str] = set()

    def answer(receiver: Receiver, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        if int(path.rpartition("/")[2].replace("-", ""), 16) % REFUSED_EVERY == 0 and path not in refused:
            refused.add(path)
            return status(503)(receiver, request)
        delivered.add(path)
        return status(200)(receiver, request)

    return answer


def measures(redis: Redis, api: Program, worker: Program, nursery: Nursery) -> Mapping[str, Callable[[], float]]:
    """What has to stay the same."""
    return {
        "API MiB": lambda: psutil.Process(api.pid).memory_info().rss / 2**20,
        "worker MiB": lambda: psutil.Process(worker.pid).memory_info().rss / 2**20,
        "API files": lambda: psutil.Process(api.pid).num_fds(),
        "worker files": lambda: psutil.Process(worker.pid).num_fds(),
        "processes": lambda: len(psutil.Process(nursery.process.pid).children(recursive=True)),
        # Without the audit log: it fills up to its cap, which takes longer than this.
        "Redis MiB": lambda: (
            (redis.client.info("memory")["used_memory"] - (redis.client.memory_usage(key("audit")) or 0)) / 2**20
        ),
        "Redis keys": lambda: float(redis.client.dbsize()),
        "connections": lambda: float(redis.client.info("clients")["connected_clients"]),
    }


def ours(run: Run) -> Finding:
    """So many seconds of it; `run.trials` are seconds here, and the tasks are the trials."""
    long = run.trials >= LONG_S
    # Its file is written anew in time: it would grow from restart to restart, which count as beginnings.
    redis = run.redis("--auto-aof-rewrite-percentage", "20", "--auto-aof-rewrite-min-size", "16mb")
    programs = run.stack.enter_context(nursery())
    fleet = Fleet(run.site(redis), programs, run.folder / "marks")
    store = run.store(redis)
    book = Book(redis, store)
    receiver = run.stack.enter_context(receiving(receiver_of(book.hooks)))
    killer = Killer(run, fleet, OUR_MOMENTS, len(QUEUES))
    killer.begin(redis.port)
    steady_worker, steady_api, api_link = (run.stack.enter_context(proxy(redis.port)) for _ in range(3))
    ports = [free_port(), free_port()]
    worker = fleet.worker("steady", "gpu_medium", steady_worker)
    api = fleet.api(steady_api, ports[0])
    others = {ports[1]: fleet.api(api_link, ports[1])}
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    wait_for("both processes of the API answer", lambda: all(map(_answers, urls)), within=30)
    links = [*(place.link for place in killer.places), steady_worker, steady_api, api_link]
    faults = Faults(run, fleet, killer, redis, links, others, api_link, long)
    samples = Samples(measures(redis, api, worker, programs))
    over, at_the_end = threading.Event(), threading.Event()
    base = receiver.url.removesuffix("/hook")
    client = Client(urls, book, base, long, run.seed, over, at_the_end)
    with ThreadPoolExecutor(SENDERS) as senders, ExitStack() as work:
        work.callback(over.set)
        work.enter_context(every(SAMPLE_S, samples.take, despite=AWAY))
        work.enter_context(every(1, book.look, despite=AWAY))
        at_work = [senders.submit(client.work, number) for number in range(SENDERS)]
        began = time.monotonic()
        told = 0
        while (now := time.monotonic()) - began < run.trials:
            faults.one()
            if run.trials - (now - began) < END_WITHIN_S:
                at_the_end.set()
            time.sleep(run.chance.uniform(0, 6 if long else 1))
            if long and now - began > 60 * told:
                told += 1
                run.tell(
                    f"{(now - began) / 60:.0f} min: {book.accepted} tasks, {len(book.open)} open, {sum(faults.seen.values())} faults"
                )
        over.set()
        for sender in at_work:
            sender.result(120)
        comes_true(lambda: not book.open, within=END_WITHIN_S)
    book.look(last=True)
    return _judged(book, faults, samples.lines(WARM_UP_S))


def _judged(book: Book, faults: Faults, lines: Mapping[str, Line]) -> Finding:
    lost, made_twice, counted_twice = (
        len(book.open) - len(book.untold),
        book.made() - book.accepted,
        book.counted_twice(),
    )
    ended_twice = len(book.twice) + abs(counted_twice)
    grown = [name for name, line in lines.items() if line.growth > FLAT]
    flat = ", ".join(f"{name} {line.mean:.0f} ({line.growth:+.1%})" for name, line in lines.items())
    ends = ", ".join(f"{number:,} {state}" for state, number in book.ends.most_common())
    said = (
        f"{book.accepted:,} tasks ({ends}) under {sum(faults.seen.values())} faults, {lost} lost, {made_twice} made twice, "
        f"{ended_twice} ended twice; {len(book.hooks):,} webhooks, {len(book.untold)} missing"
        + (f"; mean and growth after the warm-up: {flat}; not flat: {', '.join(grown) or 'none'}" if lines else "")
    )
    return Finding(book.accepted, lost + abs(made_twice) + ended_twice + len(book.untold) + len(grown), said)


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", trust_env=False).is_success
    return False


CAMPAIGNS = [
    Campaign(
        id="B",
        promise="Half an hour of everything at once: processes are killed and stopped, connections reset, slow and half open, Redis restarted. Every task ends once, every webhook is delivered, and nothing grows: memory, keys, connections, processes, open files.",
        theme="soak",
        ours=ours,
        trials=1800,
        short=6,
        no_peer="Stock Celery loses tasks by each of these faults alone (T1, T4, T6, T11).",
        minutes=40,
        long=True,
        fell_short=(
            (
                "After a reset of connections to Redis the API answered 500 to the next request on each of them: its event loop "
                "reports a write to such a connection as an error of a kind that nothing took for one of the connection. "
                "It is now tried again on a new connection, and nobody notices."
            ),
            (
                "The same came to light half an hour later in the greeting of a new connection, which was reset between two of its "
                "words. Whatever is written to a connection now passes the one place that knows."
            ),
        ),
    )
]
