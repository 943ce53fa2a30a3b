"""Ids of another tenant, written in many ways, in every route that takes one: for the tests and for `make chaos`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice, product

import httpx

from tests.service.every_route import WAYS

SECRET = "only-for-them-5d1c"
"""In whatever the other tenant sent."""
NOT_THERE = (400, 404, 405)

_WAYS = [way for way in WAYS if "{task_id}" in way.path]
_CHANGES: tuple[Callable[[str], str], ...] = (
    lambda task: task,
    str.upper,
    lambda task: task + "/",
    lambda task: f"{task}%00",
    lambda task: f"{task}%20",
    lambda task: f"../tasks/{task}",
    lambda task: f"..%2Ftasks%2F{task}",
    lambda task: f"{task}%2F..%2F{task}",
    lambda task: f"%7B{task}%7D",
    lambda task: task.replace("-", ""),
    lambda task: f"{task}?project_id=theirs",
    lambda task: f"{task};ours",
    lambda task: f"*{task[1:]}",
    lambda task: f"{task}\u200b",
    lambda task: "/" + task,
    lambda task: f"{task}.1",
    lambda task: f"genfleet:task:{task}",
    lambda task: f"{task[:-1]}%3F",
    lambda task: f"{task}%0d%0aX-API-Key:%20test-key",
)


def swapped(api: httpx.Client, headers: Mapping[str, str], ids: Sequence[str], many: int) -> tuple[int, list[str]]:
    """How many were asked for, and those that were answered with anything but that they are not there."""
    leaks = []
    for change, task_id, way in islice(cycle(product(_CHANGES, ids, _WAYS)), many):
        answer = api.request(**way.request(task=change(task_id)), headers=dict(headers))
        if answer.status_code not in NOT_THERE or SECRET in answer.text:
            leaks.append(f"{way.method} {way.path} {change(task_id)}: {answer.status_code}")
    return many, leaks
