"""The processes that deliver webhooks come and go; the webhooks do not."""

from __future__ import annotations

from dataclasses import replace

import httpx

from genfleet.contract.states import State
from genfleet.store import outbox, steps
from genfleet.store.client import SyncStore
from genfleet.store.outbox import Delivery, DeliveryState
from tests.service.acts import settled
from tests.service.conftest import CALLS_BACK
from tests.support.receivers import hang, receiving, status
from tests.support.servers import Site
from tests.support.tasks import new_task
from tests.support.waiting import wait_for

PATIENT = CALLS_BACK | {"GENFLEET_WEBHOOK_TIMEOUT": "30", "GENFLEET_WEBHOOK_DELAYS": "[1, 2, 4]"}


def over(store: SyncStore, task_id: str) -> Delivery:
    """The delivery of a task's webhook, once it is delivered or given up."""

    def look() -> Delivery | None:
        found = store.run(outbox.read(task_id))
        return found if found and found.state is not DeliveryState.PENDING else None

    return wait_for(f"the webhook of {task_id} is over", look, within=20)


def test_another_process_goes_on_where_one_was_killed(site: Site, store: SyncStore) -> None:
    """TS-133: SIGKILL, in mid-attempt and between two; within seconds the same bodies come from another process."""
    with receiving(hang, status(200)) as hanging, receiving(status(500), status(200)) as failing:
        with site.api_process(**PATIENT) as (api, process):
            tasks = [settled(api, store, State.COMPLETED, callback_url=receiver.url) for receiver in (hanging, failing)]
            wait_for("each has had one attempt", lambda: hanging.received and failing.received)
            wait_for(
                "the failed one is reported", lambda: store.run(outbox.deliveries(None, None, 0, 9)).deliveries[0].made
            )
            process.kill()
        with site.api(**PATIENT):
            found = [over(store, task_id) for task_id in tasks]
        for receiver in (hanging, failing):
            first, second = receiver.received
            assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert [each.state for each in found] == [DeliveryState.DELIVERED] * 2
    assert [attempt["error"] for attempt in found[0].attempts] == [
        "Interrupted: the process that sent it ended",
        None,
    ]


def test_by_default_nothing_inside_is_called(site: Site, store: SyncStore) -> None:
    """TS-138: a name that turns out to be private is refused once and for all; record and log say why."""
    with receiving() as receiver, site.api() as api:
        url = receiver.url.replace("http://127.0.0.1", "https://127.1")
        task_id = settled(api, store, State.COMPLETED, callback_url=url)
        found = over(store, task_id)
        assert receiver.received == []
        assert api.get(f"/api/v1/tasks/{task_id}/status").json()["status"] == "completed"
    why = "Refused: 127.1 is not a public address; private networks are not reached from here"
    assert found.state is DeliveryState.FAILED
    assert [attempt["error"] for attempt in found.attempts] == [why]
    assert f"Failed to send webhook after all retries callback_url={url}" in (site.folder / "api.log").read_text()


def test_what_waited_while_nobody_delivered_is_delivered(site: Site, store: SyncStore, api: httpx.Client) -> None:
    """A process that is set to deliver nothing leaves it to others, and no program but Redis has to be up to wait."""
    with receiving() as receiver:
        store.run(steps.submit(replace(new_task("a"), callback_url=receiver.url)))
        assert store.run(steps.claim("a", "1", "w", "a.1")).verdict == "run"
        assert store.run(steps.complete("a", 1, b"{}"))
        assert api.get("/api/v1/tasks/a/deliveries").json()["deliveries"][0]["status"] == "pending"
        with site.api(**CALLS_BACK):
            assert over(store, "a").state is DeliveryState.DELIVERED
        assert len(receiver.received) == 1
