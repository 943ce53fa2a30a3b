"""T5, T10: a task was accepted, and whoever submitted it never hears so: a connection is cut, or the API is killed.

The one who asks asks again: the API by the id that it gave the task, the client under its Idempotency-Key. Redis knows both.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import httpx
import redis

from bench.submit import LIMITS, SERVERS
from genfleet.contract.keys import key
from genfleet.store.scripts import script
from genfleet_client import Client, Retries
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.ledger import verdict
from tests.chaos.marks import Marks
from tests.chaos.proxy import proxy
from tests.chaos.stock import Stock
from tests.support.servers import KEY, free_port, program
from tests.support.waiting import wait_for

AT_ONCE = 10
"""Submissions side by side."""
CONNECTIONS = 10
"""As many publications as Celery has connections for by default, each of which hears of one."""
IN_FLIGHT = 50
"""Submissions whose answers the API has not given yet when it is killed."""
PATIENT = Retries(attempts=20, patience=120.0)
"""Until the API is up again, on a machine that has more to do."""
ALL = 1_000_000
"""More replies than there will be."""
ACCEPTED = b"accepted"
"""What the store answers to a submission."""
PROJECT = "chaos"


def _mark(number: int) -> str:
    """What tells one submission from the others, in its request and in its record."""
    return f"trial-{number:06}."


# -- T5 ------------------------------------------------------------------------------------------------------------------


def cut_ours(run: Run) -> Finding:
    """Cut half of the answers between Redis and the API, the others between the API and its client."""
    server = run.redis()
    site = run.site(server)
    store = run.store(server)
    behind = run.stack.enter_context(proxy(server.port))
    api = run.stack.enter_context(site.api(REDIS_URL=behind.url, **LIMITS))
    before = run.stack.enter_context(proxy(api.base_url.port or 0))
    client = run.stack.enter_context(Client(f"http://127.0.0.1:{before.port}", KEY, retries=PATIENT))
    marks = Marks(run.folder / "marks")

    def submit(number: int) -> str:
        mark = _mark(number)
        data = {"prompt": "a fox", "marks": str(marks.file)}
        return client.submit(PROJECT, "generate_image", data, metadata={"mark": mark})["task_id"]

    ids = [submit(run.trials)]  # Redis knows the script now: what is cut below is no question for its text
    cuts = [
        behind.cut_replies(_mark(number).encode(), ACCEPTED)
        if number % 2
        else before.cut_replies(_mark(number).encode(), b"HTTP/1.1 2")
        for number in range(run.trials)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ids += pool.map(submit, range(run.trials))
    cut = sum(each.done for each in cuts)
    with server.client as look:
        accepted = _accepted(look)
    run.tell(f"{cut} answers cut, {accepted} tasks accepted; a worker does them")
    with site.worker(concurrency=2):
        found = verdict(server, store, sorted(set(ids)))
    twice = abs(accepted - len(ids)) + len(ids) - len(set(ids)) + marks.beyond_one("start", ids)
    return Finding(cut, found.failures + twice, f"{cut} answers cut: {len(found.lost)} lost, {twice} queued twice")


def cut_peer(run: Run) -> Finding:
    """Cut the answer to each publication; Celery publishes again, as it does by default."""
    server = run.redis()
    link = run.stack.enter_context(proxy(server.port))
    stock = Stock(server, run.folder, broker=link.url)
    app = stock.app()
    ids = []
    for number in run.each_trial():
        cut = link.cut_replies(b"LPUSH")
        ids.append(stock.submit(app=app))
        assert cut.done == 1, f"publication {number} was not cut"
    queued = Counter(str(json.loads(message)["headers"]["id"]) for message in server.client.lrange("celery", 0, -1))
    lost = sum(not queued[task_id] for task_id in ids)
    twice = sum(max(0, queued[task_id] - 1) for task_id in ids)
    return Finding(len(ids), lost + twice, f"{len(ids)} answers cut: {lost} lost, {twice} queued twice")


# -- T10 -----------------------------------------------------------------------------------------------------------------


def kill_ours(run: Run) -> Finding:
    """Kill the API again and again while its submissions are in Redis and not answered."""
    server = run.redis()
    site = run.site(server)
    link = run.stack.enter_context(proxy(server.port))
    port = str(free_port())
    client = run.stack.enter_context(Client(f"http://127.0.0.1:{port}", KEY, retries=PATIENT))
    pool = run.stack.enter_context(ThreadPoolExecutor(IN_FLIGHT))

    def submit(number: int) -> str:
        said = {"mark": _mark(number)}
        return client.submit(PROJECT, "generate_image", {"prompt": "a fox"}, metadata=said)["task_id"]

    look = run.stack.enter_context(server.client)
    ids: dict[str, str] = {}
    other = 0
    """Submissions that were told another id than that of the task they had made."""
    killed = 0
    with ExitStack() as life:
        _, process = life.enter_context(site.api_process(PORT=port, REDIS_URL=link.url, **LIMITS))
        ids[_mark(run.trials)] = submit(run.trials)  # Redis knows the script from now on
        while killed < run.trials:
            numbers = range(killed, min(killed + IN_FLIGHT, run.trials))
            held = link.cut_replies(script("submit").sha.encode(), ACCEPTED, times=ALL, silent=True)
            answers = {_mark(number): pool.submit(submit, number) for number in numbers}
            wait_for("all are in Redis", lambda: _accepted(look) == len(ids) + len(answers))  # noqa: B023
            assert not any(answer.done() for answer in answers.values()), "an answer got through"
            process.send_signal(signal.SIGKILL)
            life.close()
            held.left = 0
            made = _made(look)
            _, process = life.enter_context(site.api_process(PORT=port, REDIS_URL=link.url, **LIMITS))
            told = {mark: answer.result(60) for mark, answer in answers.items()}
            other += sum(made.get(mark) != task_id for mark, task_id in told.items())
            ids |= told
            killed += len(numbers)
            run.tell(f"{killed} of {run.trials} submissions were in flight when their API was killed")
    kept = set(_made(look).values())
    lost = sum(task_id not in kept for task_id in ids.values())
    twice = abs(_accepted(look) - len(ids))
    said = f"{killed} in flight: {lost} lost, {twice} queued twice, {other} told another id"
    return Finding(killed, lost + twice + other, said)


def _accepted(look: redis.Redis) -> int:
    """How many tasks were ever accepted."""
    return int(look.hget(key("counters"), "total_tasks") or 0)


def _made(look: redis.Redis) -> dict[str, str]:
    """The ids of the tasks, by what tells their submissions apart."""
    ids: list[bytes] = look.zrange(key("index", "*", "*", PROJECT), 0, -1)  # type: ignore[assignment]
    pipeline = look.pipeline(transaction=False)
    for task_id in ids:
        pipeline.hget(key("task", task_id.decode()), "metadata")
    return {json.loads(said)["mark"]: task_id.decode() for said, task_id in zip(pipeline.execute(), ids, strict=True)}


def kill_peer(run: Run) -> Finding:
    """The same with FastAPI and `apply_async`, and a client that asks again until it is answered."""
    server = run.redis()
    link = run.stack.enter_context(proxy(server.port))
    port = free_port()
    pool = run.stack.enter_context(ThreadPoolExecutor(CONNECTIONS))
    look = run.stack.enter_context(server.client)
    killed = 0
    with ExitStack() as life:
        process = life.enter_context(_fastapi(run, port, link.url))
        while killed < run.trials:
            numbers = range(killed, min(killed + CONNECTIONS, run.trials))
            held = link.cut_replies(b"LPUSH", b":", times=ALL, silent=True)
            queued = len(numbers) + int(look.llen("peer"))
            answers = [pool.submit(_insist, port, number) for number in numbers]
            wait_for("all are in Redis", lambda: look.llen("peer") >= queued)  # noqa: B023
            process.kill()
            life.close()
            held.left = 0
            process = life.enter_context(_fastapi(run, port, link.url))
            for answer in answers:
                answer.result(60)
            killed += len(numbers)
    made = Counter(_mark_of(message) for message in look.lrange("peer", 0, -1))
    lost = sum(not made[_mark(number)] for number in range(killed))
    twice = sum(max(0, made[_mark(number)] - 1) for number in range(killed))
    return Finding(killed, lost + twice, f"{killed} in flight: {lost} lost, {twice} queued twice")


@contextmanager
def _fastapi(run: Run, port: int, url: str) -> Iterator[subprocess.Popen[bytes]]:
    words = [word.format(port=port) for word in SERVERS["apply_async"]]
    with program(*words, log=run.folder / "fastapi.log", environment={"REDIS_URL": url}) as process:
        wait_for("FastAPI answers", lambda: _is_up(port), within=30)
        yield process


def _is_up(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/openapi.json", trust_env=False).is_success
    return False


def _insist(port: int, number: int) -> None:
    """Submit until there is an answer."""
    body = {"project_id": PROJECT, "task_type": "generate_image", "task_data": {}, "metadata": {"mark": _mark(number)}}
    url = f"http://127.0.0.1:{port}/api/v1/tasks/submit"
    wait_for("the peer answers", lambda: _posted(url, body), within=60)


def _posted(url: str, body: object) -> bool:
    with suppress(httpx.TransportError):
        return httpx.post(url, json=body, timeout=20, trust_env=False).is_success
    return False


def _mark_of(message: bytes | str) -> str:
    """Of a message of Celery, whose arguments are in its body."""
    _, arguments, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return str(arguments["metadata"]["mark"])


CAMPAIGNS = [
    Campaign(
        id="T5",
        promise="A connection that is cut before a submission is answered makes no second task, and loses none.",
        theme="network",
        ours=cut_ours,
        trials=200,
        short=20,
        peer=cut_peer,
        peer_trials=100,
    ),
    Campaign(
        id="T10",
        promise="An API that is killed before it has answered a submission leaves one task, and the client learns its id.",
        theme="links",
        ours=kill_ours,
        trials=200,
        short=20,
        peer=kill_peer,
        peer_name="FastAPI and apply_async",
        peer_trials=50,
    ),
]
