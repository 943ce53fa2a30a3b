"""T7, T8: Redis dies under submissions, again and again, and loses power; what had been accepted is there when it is back.

Loss of power is modelled: a shim notes how long the append-only file was at the end of each fdatasync, Redis is killed, and the
file is cut to that length. It is the least that a disk may have kept.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import orjson

from genfleet.contract.keys import key
from tests.chaos.campaign import Campaign, Finding, Run
from tests.chaos.stock import Stock
from tests.chaos.submitters import Submit, Submitters, submitting
from tests.support.servers import Redis
from tests.support.waiting import wait_for

UNLIMITED = {
    "GENFLEET_SUBMISSIONS_PER_MINUTE": "0",
    "GENFLEET_PROJECT_TASKS": "0",
    "GENFLEET_QUEUE_LENGTH": "0",
    "GENFLEET_STATUS_READS_PER_MINUTE": "0",
}
BACK_WITHIN_S = 10.0
POWER_LOST_S = 2.0
"""What appendfsync everysec may lose: one second, and the one in which it is written."""


def through(api: httpx.Client) -> tuple[Submit, dict[str, str]]:
    """Submit by the API; and which task each name became."""
    ids: dict[str, str] = {}

    def submit(name: str) -> bool:
        body = {"project_id": "p", "task_type": "generate_image", "task_data": {"prompt": name}}
        answer = api.post("/api/v1/tasks/submit", json=body, headers={"Idempotency-Key": name})
        if answer.is_success:
            ids[name] = answer.json()["task_id"]
        return bool(answer.is_success)

    return submit, ids


def _without_record(redis: Redis, ids: list[str]) -> list[str]:
    """Those that Redis knows nothing of, or that are neither in line nor ended."""
    pipeline = redis.client.pipeline(transaction=False)
    for task_id in ids:
        pipeline.hget(key("task", task_id), "state")
        pipeline.zscore(key("waiting", "gpu_medium"), task_id)
    replies = pipeline.execute()
    known = zip(ids, replies[::2], replies[1::2], strict=True)
    return [task_id for task_id, state, turn in known if state is None or (state == b"queued" and turn is None)]


@dataclass(slots=True)
class Outage:
    """What was seen of the kills."""

    backs: list[float]
    """Seconds from the moment in which Redis answers again to the next accepted submission."""
    kills: list[float]
    """When (monotonic) Redis was killed."""

    def age(self, accepted: float) -> float:
        """Seconds from an acceptance to the kill that followed it."""
        return min((kill - accepted for kill in self.kills if kill >= accepted), default=0.0)

    def __str__(self) -> str:
        return f"accepting again {max(self.backs):.1f} s after Redis at most"


def _kill_again_and_again(run: Run, redis: Redis, made: Submitters) -> Outage:
    outage = Outage([], [])
    for _ in run.each_trial():
        time.sleep(run.chance.uniform(0.05, 0.6))
        redis.stop(signal.SIGKILL)
        outage.kills.append(time.monotonic())
        time.sleep(run.chance.uniform(0.0, 0.3))
        redis.start()
        up = time.monotonic()
        wait_for("a submission is accepted", lambda: made.last > up, within=BACK_WITHIN_S)  # noqa: B023  used at once
        outage.backs.append(made.last - up)
    return outage


def killed(run: Run, *, fsync: str) -> Finding:
    """SIGKILL at moments drawn by chance."""
    redis = run.redis("--appendfsync", fsync)
    api = run.stack.enter_context(run.site(redis).api(**UNLIMITED))
    submit, ids = through(api)
    with submitting(submit) as made:
        outage = _kill_again_and_again(run, redis, made)
    accepted = [ids[name] for name in made.accepted]
    lost = {*_without_record(redis, accepted)}
    # With everysec Redis puts a write off, up to two seconds, while the disk is still busy with the one before.
    allowed = POWER_LOST_S if fsync == "everysec" else 0.0
    early = sum(ids[name] in lost and outage.age(at) > allowed for name, at in made.accepted.items())
    doubled = len(accepted) - len(set(accepted))
    said = f"{len(lost)} of {len(accepted):,} accepted submissions lost, {doubled} made twice in {run.trials} kills; {outage}"
    return Finding(run.trials, early + doubled, said)


def peer_killed(run: Run, *, fsync: str) -> Finding:
    """The same with `delay()`."""
    redis = run.redis("--appendfsync", fsync)
    stock = Stock(redis, run.folder)
    local = threading.local()

    def submit(name: str) -> bool:
        if not hasattr(local, "app"):
            local.app = stock.app()
        stock.submit(task_id=name, app=local.app)
        return True

    with submitting(submit) as made:
        outage = _kill_again_and_again(run, redis, made)
    there = Counter(orjson.loads(one)["headers"]["id"] for one in redis.client.lrange("celery", 0, -1))
    lost = [name for name in made.accepted if name not in there]
    doubled = sum(count - 1 for count in there.values())
    said = f"{len(lost)} of {len(made.accepted):,} lost, {doubled} in the queue twice; {outage}"
    return Finding(run.trials, len(lost) + doubled, said)


# -- the loss of power ---------------------------------------------------------------------------------------------------

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int fdatasync(int fd) {
  static int (*real)(int);
  char path[64], name[4096];
  struct stat before;
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  int known = fstat(fd, &before) == 0;
  int result = real(fd);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(path, name, sizeof name - 1);
  if (n > 0) name[n] = 0;
  if (known && result == 0 && n > 0 && strstr(name, ".aof") && !strstr(name, "temp")) {
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.%d", getenv("SYNCED"), (int)getpid());
    FILE *told = fopen(temporary, "w");
    fprintf(told, "%lld %s", (long long)before.st_size, name);
    fclose(told);
    rename(temporary, getenv("SYNCED"));
  }
  return result;
}
"""


def compiler() -> str | None:
    """What makes the shim."""
    return shutil.which("cc") or shutil.which("gcc")


def _shim(folder: Path) -> Path:
    source, made = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    made_of = compiler()
    assert made_of, "the loss of power is modelled by a shim in C, and there is no compiler on the PATH"
    subprocess.run([made_of, "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Programs that are started in the block find these."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def power_lost(run: Run, *, fsync: str) -> Finding:
    """Kill Redis, and take from its file all that was not known to be on the disk."""
    synced = run.folder / "synced"
    noting = partial(_environment, LD_PRELOAD=str(_shim(run.folder)), SYNCED=str(synced))
    with noting():
        redis = run.redis("--appendfsync", fsync)
    api = run.stack.enter_context(run.site(redis).api(**UNLIMITED))
    submit, ids = through(api)
    accepted, lost, bytes_cut, oldest = 0, 0, 0, 0.0
    for _ in run.each_trial():
        with submitting(submit) as made:
            time.sleep(run.chance.uniform(1.2, 2.6))
            redis.stop(signal.SIGKILL)
            at = time.monotonic()
        length, _, file = synced.read_text().partition(" ")
        bytes_cut += Path(file).stat().st_size - int(length)
        os.truncate(file, int(length))
        with noting():
            redis.start()
        gone = {*_without_record(redis, [ids[name] for name in made.accepted])}
        accepted, lost = accepted + len(made.accepted), lost + len(gone)
        oldest = max([oldest, *(at - when for name, when in made.accepted.items() if ids[name] in gone)])
    allowed = POWER_LOST_S if fsync == "everysec" else 0.0
    said = (
        f"{lost:,} of {accepted:,} accepted submissions lost in {run.trials} losses of power, with {bytes_cut:,} bytes "
    )
    said += f"that were not on the disk; the oldest {oldest:.2f} s before it" if lost else "that were not on the disk"
    return Finding(run.trials, int(oldest > allowed), said)


Column = Callable[[Run], Finding]


def _both(act: Callable[..., Finding]) -> dict[str, Column]:
    return {fsync: partial(act, fsync=fsync) for fsync in ("everysec", "always")}


CAMPAIGNS = [
    *(
        Campaign(
            id=f"T7 {fsync}",
            promise=f"A Redis that is killed under submissions and comes back has every task that was accepted{bound} (appendfsync {fsync}).",
            theme="redis",
            ours=ours,
            trials=50,
            short=2,
            peer=peer,
            minutes=4,
        )
        for (fsync, ours), peer, bound in zip(
            _both(killed).items(),
            _both(peer_killed).values(),
            (
                ", but for the last 2 seconds where its disk was slow",
                "",
            ),
            strict=True,
        )
    ),
    *(
        Campaign(
            id=f"T8 {fsync}",
            promise=f"When Redis loses power, {bound} (appendfsync {fsync}).",
            theme="redis",
            ours=_both(power_lost)[fsync],
            trials=20,
            short=1,
            no_peer="the file is the same, whoever writes to it",
            minutes=4,
        )
        for fsync, bound in (
            ("everysec", "nothing is lost that was accepted more than 2 seconds before"),
            ("always", "nothing that was accepted is lost"),
        )
    ),
]
