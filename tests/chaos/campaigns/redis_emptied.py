"""T9: Redis comes back with nothing: its volume is gone. What was there is lost, and nobody may hang, crash or keep silent."""

from __future__ import annotations

import shutil
import signal
import time

import httpx

from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.stock import Stock
from tests.support.servers import Redis
from tests.support.waiting import comes_true, wait_for

SOON_S = 15.0


def _empty(redis: Redis) -> None:
    redis.stop(signal.SIGKILL)
    for file in redis.folder.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    redis.start()


def _submit(api: httpx.Client, **says: object) -> str:
    body = {"project_id": "p", "task_type": "generate_image", "task_data": {"prompt": "x", **says}}

    def accepted() -> str | None:
        answer = api.post("/api/v1/tasks/submit", json=body)
        return answer.json()["task_id"] if answer.is_success else None

    return wait_for("it is accepted", accepted, within=SOON_S) or ""


def _status(api: httpx.Client, task_id: str) -> str:
    answer = api.get(f"/api/v1/tasks/{task_id}/status")
    return str(answer.json()["status"]) if answer.is_success else str(answer.status_code)


def ours(run: Run) -> Finding:
    """One runs, some wait; then all is gone. What ran is stopped, what is asked for is not there, what comes is done."""
    redis = run.redis()
    site = run.site(redis)
    api, process = run.stack.enter_context(site.api_process(GENFLEET_ALERT_PERIOD_SECONDS="0.5"))
    worker = run.stack.enter_context(site.worker())
    marks, log = run.folder / "marks", run.folder / "api.log"
    faults: list[str] = []
    slowest = 0.0
    for number in run.each_trial():
        running = _submit(api, seconds=60, marks=str(marks))
        wait_for("it runs", lambda: _status(api, running) == "processing", within=SOON_S)  # noqa: B023  used at once
        _submit(api)
        time.sleep(1.0)  # the API looks twice a second how many tasks there have been
        _empty(redis)
        began = time.monotonic()
        later = _submit(api)
        if not comes_true(lambda: _status(api, later) == "completed", within=SOON_S):  # noqa: B023
            faults.append("what came later was not done")
        slowest = max(slowest, time.monotonic() - began)
        if _status(api, running) != "404":
            faults.append("what is gone was still shown")
        if f"end {running}" in marks.read_text():
            faults.append("what ran was not stopped")
        if not comes_true(lambda: log.read_text().count("redis_lost_its_data") > number, within=5):  # noqa: B023
            faults.append("nobody was told")
        if process.poll() is not None or worker.poll() is not None:
            faults.append("a program ended")
            break
    said = f"after each of {run.trials} the next task was done within {slowest:.1f} s by the same API and worker; "
    said += "; ".join(sorted(set(faults))) if faults else "what ran was stopped, and the loss was logged as an error"
    return Finding(run.trials, len(faults), said)


def peer(run: Run) -> Finding:
    """The same: does the worker go on, and is anything said?"""
    redis = run.redis()
    stock = Stock(redis, run.folder)
    worker = run.stack.enter_context(stock.worker(concurrency=1))
    silent = 0
    for _ in run.each_trial():
        stock.submit(3.0)
        waiting = stock.submit()
        time.sleep(1.0)
        _empty(redis)
        later = stock.submit()
        comes_true(lambda: stock.notes("end", later), within=SOON_S)  # noqa: B023
        silent += not stock.notes("end", waiting) and waiting not in (run.folder / "stock.log").read_text()
    return Finding(
        run.trials,
        silent,
        f"{silent} waiting tasks were gone without a word; the worker {'stayed' if worker.poll() is None else 'ended'}",
    )


CAMPAIGNS = [
    Campaign(
        id="T9",
        promise="A Redis that comes back empty stops nobody: what ran is stopped, the loss is an error in the log, new tasks are done.",
        theme="redis",
        ours=ours,
        trials=10,
        short=1,
        peer=peer,
        peer_trials=5,
        fell_short=("Nobody was told: tasks were gone without a word. The API now logs it as an error.",),
    )
]
