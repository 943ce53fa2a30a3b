"""Fewer workers, and newer ones: both without the loss of a running task."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cluster.film import Film, is_there
from tests.cluster.installation import Installation, with_marks
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.timeout(400)]

MOST = 6
LONG = 25


def declared(site: Installation, most: int = MOST, cooldown: int = 4) -> None:
    """Queue gpu_medium, with a worker for each task."""
    scaling = {"maxReplicas": most, "target": {"tasksPerWorker": 1}, "cooldownSeconds": cooldown}
    site.declare("images", queue="gpu_medium", concurrency=1, scaling=scaling)


def by_upgrade(site: Installation) -> None:
    """What all workers of the installation have changes."""
    site.release.upgrade(with_marks({"name": "EDITION", "value": "second"}))


def by_template(site: Installation) -> None:
    """What the pool's workers have changes."""
    worker = {"name": "worker", "env": [{"name": "EDITION", "value": "third"}]}
    pools = [{"name": "default", "class": "cpu", "template": {"spec": {"containers": [worker]}}}]
    site.run("patch", "gq", "images", "--type=merge", "-p", json.dumps({"spec": {"pools": pools}}))


@pytest.mark.parametrize("change", [by_upgrade, by_template])
def test_long_tasks_end_where_they_began(
    change: Callable[[Installation], None], site: Installation, film: Film
) -> None:
    """Four tasks run on while the workers' template changes; new ones go to new workers, and the old ones leave."""
    declared(site)
    long = [site.work(LONG) for _ in range(4)]
    before = site.started(*long)
    assert len(set(before.values())) == 4
    old = set(site.deployments())

    change(site)
    wait_for("the new workers' Deployment", lambda: set(site.deployments()) - old, within=40)
    wait_for("the old workers take nothing more", lambda: site.status("images").get("draining") == 4, within=40)
    fresh = [site.work(1) for _ in range(3)]
    site.completed(*fresh, within=60)
    site.completed(*long, within=60)

    assert [(mark.task, mark.token, mark.pod) for mark in sorted(site.marks("end", *long))] == [
        (task, 1, before[task]) for task in sorted(long)
    ]
    assert not {mark.pod for mark in site.marks("end", *fresh)} & set(before.values())
    wait_for("the old Deployment is gone", lambda: not old & set(site.deployments()), within=30)
    film.stop()
    assert 4 < film.most(is_there) <= MOST
    assert site.metric("genfleet_busy_workers_stopped_total", 'by="scaling"') == 0


def test_exactly_the_idle_leave(site: Installation) -> None:
    """Of six workers three have long tasks: the other three leave, the three finish, and leave in their turn."""
    declared(site)
    long = [site.work(40) for _ in range(3)]
    site.started(*long)
    short = [site.work(3) for _ in range(3)]
    busy = set(site.started(*long).values())
    others = set(site.started(*short).values())
    assert (len(busy), len(others - busy)) == (3, 3)

    wait_for("three are left", lambda: len(site.workers()) == 3, within=40)
    assert {pod["metadata"]["name"] for pod in site.workers()} == busy
    assert not site.marks("end", *long), "the test took too long to see it"
    site.completed(*long, *short, within=60)

    assert {mark.pod for mark in site.marks("end", *long)} == busy
    assert {mark.token for mark in site.marks("start", *long, *short)} == {1}
    wait_for("all have left", lambda: not any(site.deployments().values()), within=30)
    assert site.metric("genfleet_busy_workers_stopped_total", 'by="scaling"') == 0


def test_a_full_fleet_is_renewed_one_by_one(site: Installation, film: Film) -> None:
    """With as many workers as there may be, a new one waits until an old one has finished and left."""
    declared(site, most=2)
    long = [site.work(12), site.work(12)]
    before = site.started(*long)

    by_template(site)
    later = [site.work(1) for _ in range(4)]
    site.completed(*long, *later, within=120)

    assert {mark.task: mark.pod for mark in site.marks("end", *long)} == before
    wait_for("only new workers are there", lambda: _editions(site) <= {"third"}, within=60)
    film.stop()
    assert film.most(is_there) == 2


def test_a_slip_in_a_template_costs_no_worker(site: Installation) -> None:
    """The API server cannot read it: the field is named, and work goes on with the last revision."""
    declared(site, cooldown=60)
    site.completed(site.work(0.2), within=60)
    (good,) = site.deployments()
    pools = [{"name": "default", "template": {"spec": {"nodeSelectr": {"pool": "gpu"}}}}]
    site.run("patch", "gq", "images", "--type=merge", "-p", json.dumps({"spec": {"pools": pools}}))
    wait_for("it is told", lambda: site.status("images").get("degraded") == "InvalidTemplate", within=20)

    site.completed(*(site.work(0.2) for _ in range(3)), within=60)
    assert "pool 'default': template: spec.nodeSelectr is no field of a pod" in site.status("images")["message"]
    assert set(site.deployments()) == {good}


def _editions(site: Installation) -> set[str]:
    containers = [pod["spec"]["containers"][0] for pod in site.workers()]
    return {entry.get("value", "") for each in containers for entry in each["env"] if entry["name"] == "EDITION"}
