"""What is lost when parts of the installation are killed under load: nothing. And nothing is done twice."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from operator import sub

import pytest

from tests.cluster.installation import NAME, Installation
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.timeout(400)]

Note = Callable[[str], None]

KILL = """
import contextlib, os, pathlib
for status in pathlib.Path("/proc").glob("[0-9]*/status"):
    with contextlib.suppress(OSError):
        pid = int(status.parent.name)
        if "\\nPPid:\\t0\\n" in status.read_text() and pid not in (1, os.getpid()):
            os.kill(pid, 9)
"""
"""Ends the container's first process. It has no parent within the pod; process 1 is the pod's own."""


SUBMIT = """
import json, os, time, urllib.request
body = json.dumps({"project_id": "p", "task_type": "generate_image", "task_data": {"seconds": 1}}).encode()
for _ in range(20):
    headers = {"X-API-Key": os.environ["API_KEY"], "Content-Type": "application/json"}
    request = urllib.request.Request("http://trial-genfleet-api:8001/api/v1/tasks/submit", body, headers)
    print(json.load(urllib.request.urlopen(request, timeout=10))["task_id"], flush=True)
    time.sleep(2.5)
"""
"""Twenty tasks within a minute."""


def declared(site: Installation, workers: int, cooldown: int = 60, **more: object) -> None:
    """Queue gpu_medium, with a worker for each task."""
    scaling = {"maxReplicas": workers, "target": {"tasksPerWorker": 1}, "cooldownSeconds": cooldown}
    site.declare("images", queue="gpu_medium", concurrency=1, scaling=scaling, **more)


def all_ended_once(site: Installation, *task_ids: str) -> None:
    """Each of these tasks was worked through to its end, and only once."""
    assert sorted(mark.task for mark in site.marks("end", *task_ids)) == sorted(task_ids)


@pytest.mark.parametrize("how", ["the pod is deleted without a word", "the process gets SIGKILL"])
def test_a_lost_workers_task_runs_again(how: str, site: Installation, note: Note) -> None:
    """The task is at work again within 15 seconds, on another worker or a new process, and completes once."""
    declared(site, 2)
    first, _ = ids = [site.work(8), site.work(0)]  # the other keeps a second worker at hand
    before, pod = site.count(), site.started(*ids)[first]
    wait_for("both workers are up", lambda: len(site.ready_workers()) == 2, within=60)

    lost = time.monotonic()
    if "pod" in how:
        site.kill(pod)
    else:
        site.run("exec", pod, "-c", "worker", "--", "python", "-c", KILL)
    wait_for("it runs again", lambda: len(site.marks("start", first)) == 2, within=15)
    note(f"{how}: running again after {time.monotonic() - lost:.1f} s")
    site.completed(*ids, within=60)

    note(f"{how}: completed after {time.monotonic() - lost:.1f} s")
    all_ended_once(site, *ids)
    assert [mark.token for mark in site.marks("start", first)] == [1, 2]
    assert site.count() - before <= 2


def test_a_worker_that_is_asked_to_leave_finishes_first(site: Installation) -> None:
    """`kubectl delete pod` of a busy worker: its task completes there, and is counted as stopped by another, not by us."""
    declared(site, 1)
    task_id = site.work(12)
    pod = site.started(task_id)[task_id]
    by_others = site.metric("genfleet_busy_workers_stopped_total", 'by="other"')

    site.run("delete", "pod", pod, "--wait=false")
    site.completed(task_id, within=40)

    assert [mark[2:] for mark in site.marks("end", task_id)] == [(1, pod)]
    assert site.metric("genfleet_busy_workers_stopped_total", 'by="other"') - by_others == 1
    assert site.metric("genfleet_busy_workers_stopped_total", 'by="scaling"') == 0


def test_the_next_operator_finishes_a_drain(site: Installation, note: Note) -> None:
    """The leader is killed while two busy workers drain: both tasks complete there, and both workers leave."""
    declared(site, 2)
    ids = [site.work(15), site.work(15)]
    site.started(*ids)
    site.run("patch", "gq", "images", "--type=merge", "-p", '{"spec":{"paused":true}}')
    wait_for("both drain", lambda: site.status("images").get("draining") == 2)

    leader, killed = site.leader(), time.monotonic()
    site.kill(leader)
    wait_for("another leads", lambda: site.leader() not in ("", leader), within=20)
    note(f"leader deleted without a word: another leads after {time.monotonic() - killed:.1f} s")
    site.completed(*ids, within=60)
    wait_for("no worker is wanted", lambda: not any(site.deployments().values()), within=40)

    note(f"leader deleted without a word: drain finished after {time.monotonic() - killed:.1f} s")
    all_ended_once(site, *ids)
    assert {mark.token for mark in site.marks("start", *ids)} == {1}
    assert site.metric("genfleet_busy_workers_stopped_total", 'by="scaling"') == 0


def test_a_leader_that_is_asked_to_leave_hands_over(site: Installation, note: Note) -> None:
    """SIGTERM: another operator leads within 5 seconds."""
    wait_for("both operators are up", lambda: _ready(site, "operator") == 2, within=60)
    leader, told = site.leader(), time.monotonic()
    site.run("delete", "pod", leader, "--wait=false")
    wait_for("another leads", lambda: site.leader() not in ("", leader), within=5)
    note(f"leader told to end: another leads after {time.monotonic() - told:.1f} s")


def test_accepted_submissions_survive_the_api(site: Installation, note: Note) -> None:
    """The API's pod is deleted without a word under submissions: whatever was accepted completes, once."""
    declared(site, 2)
    before, repeated = site.count(), site.api.repeated
    accepted, answered = [site.work(0)], [time.monotonic()]
    site.kill(
        site.run("get", "pods", "-l", "app.kubernetes.io/component=api", "-o", "jsonpath={.items[0].metadata.name}")
    )
    while site.api.repeated == repeated and len(accepted) < 1000:
        accepted.append(site.work(0))
        answered.append(time.monotonic())
    accepted += [site.work(0) for _ in range(9)]
    site.completed(*accepted, within=90)

    note(f"API's pod deleted without a word: longest wait for an answer {max(map(sub, answered[1:], answered)):.1f} s")
    assert site.api.repeated > repeated, "the API was never away"
    all_ended_once(site, *accepted)
    assert site.count() - before >= len(accepted)  # more, where only the answer was lost


def test_tasks_survive_redis(site: Installation, note: Note) -> None:
    """Redis' pod is deleted without a word, with tasks waiting and at work: nothing is lost, and nothing is done twice."""
    declared(site, 2)
    before = site.count() - len(site.marks("end"))
    ids = [site.work(12), site.work(12), *(site.work(1) for _ in range(6))]
    site.started(*ids[:2])

    site.kill(f"{NAME}-redis-0")
    killed = time.monotonic()
    ids.append(site.work(0))
    note(f"Redis' pod deleted without a word: accepts again after {time.monotonic() - killed:.1f} s")
    site.completed(*ids, within=120)

    note(f"Redis' pod deleted without a word: all completed after {time.monotonic() - killed:.1f} s")
    all_ended_once(site, *ids)
    assert {mark.token for mark in site.marks("start", *ids)} == {1}
    # All there ever were, as a submission whose answer was lost is a task as well.
    assert site.count() - before == len(site.marks("end"))
    conditions = {one["type"]: one["status"] for one in site.status("images")["conditions"]}
    assert conditions["Degraded"] == "False"


def test_work_goes_on_without_the_api_server(site: Installation, note: Note) -> None:
    """The API server stands still for a minute: tasks are accepted and run as before; then the fleet grows by itself."""
    stop, start = (environment_command(f"GENFLEET_{verb}_API_SERVER") for verb in ("STOP", "START"))
    declared(site, 3)
    long, short = site.work(55), site.work(1)
    pods = set(site.started(long, short).values())

    # From inside: our way to the API's Service goes through the API server.
    inside = ("exec", f"deployment/{NAME}-api", "--")
    site.run(*inside, "sh", "-c", 'python -c "$0" > /tmp/ids 2>&1 &', SUBMIT)
    subprocess.run(stop, shell=True, check=True, timeout=30)  # noqa: S602  a command of the one who runs the test
    stopped = time.monotonic()
    try:
        wait_for("a minute to pass", lambda: time.monotonic() - stopped > 60, within=70)
    finally:
        subprocess.run(start, shell=True, check=True, timeout=30)  # noqa: S602
    started = time.monotonic()
    wait_for("an operator leads", lambda: site.metric("genfleet_operator_leader"), within=30)
    note(f"API server away for 60 s: an operator leads after {time.monotonic() - started:.1f} s")
    ids = site.run(*inside, "cat", "/tmp/ids").split()
    assert len(site.marks("end", *ids)) > 10, "work stood still, too"
    late = [site.work(3) for _ in range(6)]
    wait_for("the fleet has grown", lambda: len(site.workers()) == 3, within=60)
    note(f"API server away for 60 s: the fleet has grown after {time.monotonic() - started:.1f} s")
    site.completed(long, short, *late, *ids, within=90)

    all_ended_once(site, long, short, *late, *ids)
    assert {mark.token for mark in site.marks("start", long, short, *ids)} == {1}
    assert {mark.pod for mark in site.marks("start", long, short)} == pods


def environment_command(name: str) -> str:
    """A shell command that the environment names; how an API server is stopped is different everywhere."""
    command = os.environ.get(name, "")
    if not command:
        pytest.skip(f"no way to stop the API server: name a shell command in {name}")
    return command


def _ready(site: Installation, program: str) -> int:
    found = site.run("get", "deployment", f"{NAME}-{program}", "-o", "jsonpath={.status.readyReplicas}")
    return int(found or 0)
