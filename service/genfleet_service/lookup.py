"""Finds a task for a caller. Every route whose path names a task asks here: what a key may not see is not there for it."""

from __future__ import annotations

from collections.abc import Sequence

from genfleet.contract.limits import Left, Reason, Refused
from genfleet.store import steps
from genfleet.store.records import TaskRecord
from genfleet_service import admission, openapi, replies
from genfleet_service.access import Caller
from genfleet_service.context import Service

OFTEN = admission.reading_refusal(Refused(Reason.READS, 60, Left(0, 60)), openapi.USUAL)
"""The refusal of a key that looks too often, as the document shows it."""
WHOLE: tuple[str, ...] = ()
"""All fields of a record."""


async def look_at(
    service: Service, caller: Caller, task_id: str, fields: Sequence[str] = TaskRecord.STATUS
) -> tuple[TaskRecord, dict[str, str]]:
    """A task's state for a client that polls, counted against its key's rate, and the headers that say what is left.

    Raises Refusal.
    """
    answer = await service.store.run(steps.look(task_id, caller.key_id, caller.limits.reads, fields))
    if isinstance(answer, Refused):
        raise admission.reading_refusal(answer, caller.limits)
    return _seen(caller, task_id, answer.task), admission.reading_headers(caller.limits, answer.left)


async def find(service: Service, caller: Caller, task_id: str) -> TaskRecord:
    """A task that is about to be changed; that counts as no look. Raises Refusal."""
    return _seen(caller, task_id, await service.store.run(steps.task(task_id)))


def _seen(caller: Caller, task_id: str, task: TaskRecord | None) -> TaskRecord:
    if task is None or not caller.may_use(task.project):
        raise replies.no_such_task(task_id)
    return task
