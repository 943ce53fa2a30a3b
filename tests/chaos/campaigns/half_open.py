"""T11: the link to Redis is half open: what is sent vanishes, and nobody is told. Then it heals; old connections do not.

Everybody notices by themselves, within seconds, because every answer is awaited for so long and no longer: who submits is told,
workers go on with what they have, and whoever looks at queues knows that nothing is known.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from genfleet.contract.task_types import QUEUES
from genfleet.errors import StoreUnavailable
from genfleet.store import capacity
from genfleet.store.client import AsyncStore
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.installation import Installation, Judgement, installation
from tests.chaos.proxy import proxy
from tests.chaos.stock import Stock
from tests.support.waiting import comes_true, wait_for

HOLES_S = (5.0, 20.0, 70.0)
PEER_HOLES_S = HOLES_S[:2]
PLACES = 4
MEANWHILE = 8
"""Tasks that are submitted past the link while it is half open; the worker's fetch takes some of them out of their list."""
TASKS = PLACES + MEANWHILE
"""For each length."""
TOLD_WITHIN_S = 4.0
"""Who submits is told of the trouble by then."""
BACK_WITHIN_S = 25.0
"""Everything works again by then, once the link has healed."""
PEER_WAIT_S = 60.0
"""How long the peer is given after that."""
BODY = {"project_id": "chaos", "task_type": "generate_image", "task_data": {"prompt": "a fox"}}


@dataclass(slots=True)
class Sight:
    """What the controller of a fleet sees, which looks as the local fleet and the operator do."""

    at: list[float] = field(default_factory=list)
    """When it saw the queues (monotonic)."""
    blind: list[float] = field(default_factory=list)
    """When it was told that it cannot."""
    over: bool = False

    @contextmanager
    def of(self, url: str) -> Iterator[None]:
        """While this holds, it looks."""
        thread = threading.Thread(target=lambda: asyncio.run(self._look(url)))
        thread.start()
        try:
            yield
        finally:
            self.over = True
            thread.join(20)

    async def _look(self, url: str) -> None:
        store = AsyncStore(url)
        while not self.over:
            try:
                await store.run(capacity.observe(QUEUES))
                self.at.append(time.monotonic())
            except StoreUnavailable:
                self.blind.append(time.monotonic())
            await asyncio.sleep(0.2)
        await store.close()


@dataclass(frozen=True, slots=True)
class Hole:
    """What was seen of one."""

    seconds: float
    told_after: list[float]
    """Seconds until those who submitted meanwhile were told."""
    untold: int
    """Those who got another answer than the documented one, or too late."""
    api_back: float
    work_back: float
    sight_back: float
    """Seconds after it healed until a submission was accepted, the worker started a task, the fleet's queues were seen."""
    judged: Judgement

    @property
    def failures(self) -> int:
        """Broken promises."""
        late = sum(back > BACK_WITHIN_S for back in (self.api_back, self.work_back, self.sight_back))
        return self.judged.failures + self.untold + late


def ours(run: Run) -> Finding:
    """Each length in an installation of its own, side by side."""
    lengths = HOLES_S[: run.trials // TASKS]
    places = [(seconds, installation(run, f"{seconds:g}", concurrency=PLACES)) for seconds in lengths]
    with ThreadPoolExecutor(len(places)) as pool:
        holes = list(pool.map(lambda place: _hole(run, *place), places))
    told = max(after for hole in holes for after in hole.told_after)
    lost = sum(len(hole.judged.verdict.lost) for hole in holes)
    again = sum(hole.judged.again + hole.judged.reaped + abs(hole.judged.verdict.doubled) for hole in holes)
    back = ", ".join(f"{max(hole.api_back, hole.work_back):.1f} s after {hole.seconds:g} s" for hole in holes)
    said = f"{lost} lost, {again} run twice or taken away; submissions told after {told:.1f} s; all back {back}"
    return Finding(TASKS * len(holes), sum(hole.failures for hole in holes), said)


def _hole(run: Run, seconds: float, here: Installation) -> Hole:
    ids = here.submit(PLACES - 1, 2.0, "short") + here.submit(1, seconds + 4.0, "long")
    wait_for("all run", lambda: len(here.marks.count("start")) == len(ids), within=30)
    sight = Sight()
    with sight.of(here.link.url):
        wait_for("the fleet is seen", lambda: sight.at)
        began = time.monotonic()
        here.link.swallows = True
        ids += here.submit(MEANWHILE, prefix="meanwhile")
        told = _submissions(here.api, until=began + seconds - TOLD_WITHIN_S)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        started = sum(here.marks.count("start").values())
        here.link.swallows = False
        healed = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            accepted = pool.submit(_accepted_after, here.api, healed)
            comes_true(lambda: sum(here.marks.count("start").values()) > started, within=2 * BACK_WITHIN_S)
            work_back = time.monotonic() - healed
            api_back, task_id = accepted.result()
            ids.append(task_id)
        comes_true(lambda: sight.at[-1] > healed, within=2 * BACK_WITHIN_S)
    sight_back = next((at for at in sight.at if at > healed), float("inf")) - healed
    untold = sum(after > TOLD_WITHIN_S or not _is_told(answer) for after, answer in told)
    hole = Hole(seconds, [after for after, _ in told], untold, api_back, work_back, sight_back, here.judge(ids))
    run.tell(f"{hole}, blind {len(sight.blind)} times")
    return hole


def _is_told(answer: httpx.Response) -> bool:
    return answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" in answer.headers


def _submissions(api: httpx.Client, until: float) -> list[tuple[float, httpx.Response]]:
    """Submit, one after the other, for as long as the answer is due before the link heals. Each answer, and after how long."""
    told: list[tuple[float, httpx.Response]] = []
    while not told or time.monotonic() < until:
        began = time.monotonic()
        answer = api.post("/api/v1/tasks/submit", json=BODY)
        told.append((time.monotonic() - began, answer))
    return told


def _accepted_after(api: httpx.Client, healed: float) -> tuple[float, str]:
    """Seconds until a submission is accepted, and the id of its task."""

    def accepted() -> str | None:
        answer = api.post("/api/v1/tasks/submit", json=BODY)
        return str(answer.json()["task_id"]) if answer.is_success else None

    task_id = wait_for("a submission is accepted", accepted, within=4 * BACK_WITHIN_S)
    return time.monotonic() - healed, task_id


def peer(run: Run) -> Finding:
    """The same: submissions by `delay()`, and tasks that are submitted past the link meanwhile."""
    lengths = PEER_HOLES_S[: max(1, run.trials // MEANWHILE)]
    with ThreadPoolExecutor(len(lengths)) as pool:
        holes = list(pool.map(lambda seconds: _peer_hole(run, seconds), lengths))
    waiting, lost = (sum(counts) for counts in zip(*(hole[:2] for hole in holes), strict=True))
    back = ", ".join(f"{hole[2]} after {seconds:g} s" for hole, seconds in zip(holes, lengths, strict=True))
    blocked = min(hole[3] for hole in holes)
    said = f"{lost} lost, {waiting} not begun; `delay()` blocked for {blocked:.0f} s and more; worker back {back}"
    return Finding(MEANWHILE * len(holes), lost + waiting, said)


def _peer_hole(run: Run, seconds: float) -> tuple[int, int, str, float]:
    """Tasks that wait still and tasks that are lost; when the worker was back; how long a submission was blocked."""
    redis = run.redis(name=f"{seconds:g}")
    folder = run.folder / f"{seconds:g}"
    link = run.stack.enter_context(proxy(redis.port))
    direct, behind = Stock(redis, folder), Stock(redis, folder, broker=link.url)
    app, through = direct.app(), behind.app()
    run.stack.enter_context(behind.worker(concurrency=PLACES))
    behind.submit(app=through)  # its connection is there
    began = time.monotonic()
    link.swallows = True
    blocked = threading.Thread(target=behind.submit, kwargs={"app": through}, daemon=True)
    blocked.start()
    ids = [direct.submit(app=app) for _ in range(MEANWHILE)]
    time.sleep(seconds)
    link.swallows = False
    healed = time.monotonic()
    afterwards = direct.submit(app=app)
    resumed = comes_true(lambda: direct.notes("end", afterwards), within=PEER_WAIT_S)
    back = f"{time.monotonic() - healed:.0f} s" if resumed else f"not within {PEER_WAIT_S:g} s"
    left = [task_id for task_id in ids if not direct.notes("end", task_id)]
    with redis.client as look:
        kept = b"".join([*look.lrange("celery", 0, -1), *look.hvals("unacked")]).decode()
    lost = sum(task_id not in kept for task_id in left)
    return len(left) - lost, lost, back, time.monotonic() - began if blocked.is_alive() else 0.0


CAMPAIGNS = [
    Campaign(
        id="T11",
        promise="A half-open link is noticed within seconds: no task is lost or run twice, and all goes on when it heals.",
        theme="half_open",
        ours=ours,
        trials=TASKS * len(HOLES_S),
        short=TASKS,
        peer=peer,
        peer_trials=MEANWHILE * len(PEER_HOLES_S),
    )
]
