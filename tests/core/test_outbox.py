"""The outbox of webhooks: what enters it, who may deliver, and that nothing in it is lost or done twice unnoticed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from genfleet.contract.keys import PREFIX, key
from genfleet.contract.limits import NO_RATE, Rate, Reason, Refused
from genfleet.contract.measures import WEBHOOKS
from genfleet.contract.states import State
from genfleet.contract.task_types import QUEUES
from genfleet.store import chores, outbox, scripts, steps
from genfleet.store.client import SyncStore
from genfleet.store.measures import counts
from genfleet.store.outbox import Delivery, DeliveryState, Parcel
from tests.support.servers import Redis
from tests.support.tasks import new_task, record

URL = "https://receiver.test/hook"
ATTEMPT = {"at_ms": 1, "status_code": 500, "error": "no", "duration_ms": 3, "response": ""}


def claimed(store: SyncStore, task_id: str, url: str = URL) -> int:
    """A task with a callback that a worker runs; its token."""
    store.run(steps.submit(replace(new_task(task_id), callback_url=url, key_id="key-1")))
    lease = store.run(steps.claim(task_id, "1", "w", f"{task_id}.1")).lease
    assert lease is not None
    return lease.token


def completed(store: SyncStore, task_id: str, url: str = URL) -> str:
    """The id of a task that has just been completed."""
    assert store.run(steps.complete(task_id, claimed(store, task_id, url), b'{"media_url": "m"}'))
    return task_id


def take(store: SyncStore, room: int = 100, per_host: int = 100, others: int = 100, **busy: int) -> tuple[Parcel, ...]:
    """What a courier gets."""
    at = {f"{name}.test": count for name, count in busy.items()}
    return store.run(outbox.take(room, others, per_host, at)).parcels


def delivery(store: SyncStore, task_id: str) -> Delivery:
    """A webhook that exists."""
    found = store.run(outbox.read(task_id))
    assert found is not None
    return found


def lease_ran_out(redis_server: Redis, task_id: str, host: str = "receiver.test") -> None:
    """As if the courier had not been heard of for a lease."""
    redis_server.client.zadd(key("outbox", host), {task_id: 1})
    for lane in ("proven", "other"):
        redis_server.client.zadd(key("outbox_hosts", lane), {host: 1}, xx=True)


def test_a_task_enters_the_outbox_in_the_step_that_ends_it(store: SyncStore) -> None:
    """TS-122, TS-109, TS-113: completed, failed, and given up after lost workers; not before, and once."""
    completed(store, "completed")
    token = claimed(store, "failed")
    assert store.run(steps.retry_later("failed", token, timedelta(), "passing"))
    assert [parcel.task_id for parcel in take(store)] == ["completed"]
    store.run(chores.promote(QUEUES))
    assert store.run(steps.claim("failed", "2", "w", "failed.2")).verdict == "run"
    assert store.run(steps.fail("failed", 2, "no face in the picture"))
    assert store.run(steps.fail("failed", 2, "no face in the picture")), "a repeat is accepted"
    claimed(store, "poison")
    for token in range(1, scripts.CRASHES_ALLOWED + 1):
        assert store.run(steps.claim("poison", str(token), "w", "poison.1")).verdict == "run"
        assert store.run(steps.lose("poison", token, "killed"))

    assert [parcel.task_id for parcel in take(store)] == ["failed", "poison"]
    assert take(store) == ()


def test_who_cancels_or_asked_for_nothing_is_told_nothing(store: SyncStore) -> None:
    """NS-002: no webhook for a cancelled task, running or queued, nor for one without `callback_url`."""
    claimed(store, "running")
    store.run(steps.submit(replace(new_task("queued"), callback_url=URL)))
    for task_id in ("running", "queued"):
        assert store.run(steps.cancel(task_id))
    completed(store, "silent", url="")

    assert take(store) == ()
    assert [store.run(outbox.read(task_id)) for task_id in ("running", "queued", "silent", "unknown")] == [None] * 4


def test_a_parcel_holds_what_the_attempt_needs(store: SyncStore) -> None:
    """TS-133: the record at first; then the body and the secrets that were kept, whatever else is offered later."""
    completed(store, "a")
    (first,) = take(store)
    assert first.task == record(store, "a")
    assert (first.url, first.key_id, first.made, first.body, first.secrets) == (URL, "key-1", 0, b"", None)
    kept = store.run(outbox.prepare("a", b"{}", "key-1", "whsec_first"))
    again = store.run(outbox.prepare("a", b"{other}", "key-1", "whsec_other"))
    assert kept == again
    assert kept is not None
    assert (kept[0], kept[1].current) == (b"{}", "whsec_first")

    assert store.run(outbox.report("a", first.token, ATTEMPT, DeliveryState.PENDING))
    (second,) = take(store)
    assert (second.made, second.body, second.secrets, second.task) == (1, *kept, None)


def test_what_a_dead_courier_held_goes_to_another(store: SyncStore, redis_server: Redis) -> None:
    """No delivery is lost with a process; the old one's report is refused, and the record says what happened."""
    completed(store, "a")
    (old,) = take(store)
    assert take(store) == ()
    lease_ran_out(redis_server, "a")
    (new,) = take(store)

    assert not store.run(outbox.report("a", old.token, ATTEMPT, DeliveryState.DELIVERED))
    assert store.run(outbox.report("a", new.token, ATTEMPT, DeliveryState.DELIVERED))
    interrupted, made = delivery(store, "a").attempts
    assert interrupted == {
        "at_ms": old.taken_ms,
        "error": "Interrupted: the process that sent it ended",
    }
    assert made == ATTEMPT


def test_what_interrupts_every_courier_is_given_up(store: SyncStore, redis_server: Redis) -> None:
    """A receiver does not get the same for ever because nobody can report it; it is counted, and may be sent again."""
    completed(store, "a")
    for _ in range(scripts.WEBHOOK_INTERRUPTIONS_ALLOWED):
        (parcel,) = take(store)
        lease_ran_out(redis_server, "a")

    assert take(store) == ()
    assert delivery(store, "a").state is DeliveryState.FAILED
    counted = store.run(counts()).numbers[WEBHOOKS]
    assert counted == {("retried",): scripts.WEBHOOK_INTERRUPTIONS_ALLOWED - 1, ("failed",): 1}
    assert not store.run(outbox.report("a", parcel.token, ATTEMPT, DeliveryState.DELIVERED))
    store.run(outbox.resend("a", "k", NO_RATE))
    assert len(take(store)) == 1


def test_a_courier_that_renews_keeps_what_it_holds(store: SyncStore, redis_server: Redis) -> None:
    """An attempt may take longer than a lease."""
    completed(store, "a")
    (held,) = take(store)
    lease_ran_out(redis_server, "a")
    assert store.run(outbox.renew([("a", held.token), ("unknown", 1)]))

    assert take(store) == ()
    lease_ran_out(redis_server, "a")
    assert store.run(outbox.renew([("a", held.token - 1)]))
    assert [parcel.task_id for parcel in take(store)] == ["a"]


def test_hosts_take_turns(store: SyncStore) -> None:
    """TS-143: a host with many deliveries due gets its share, and one that uses its share up is passed by."""
    for number in range(10):
        completed(store, f"slow-{number}", url=f"https://SLOW.test:{8000 + number}/hook")
    completed(store, "quick", url="https://quick.test/hook")

    taken = take(store, room=8, per_host=3)
    assert [parcel.task_id for parcel in taken] == ["slow-0", "slow-1", "slow-2", "quick"]
    completed(store, "late", url="https://quick.test/hook")
    assert [parcel.task_id for parcel in take(store, room=8, per_host=3, slow=3)] == ["late"]
    assert [parcel.task_id for parcel in take(store, room=2, per_host=3, slow=1)] == ["slow-3", "slow-4"]


def test_hosts_that_hang_take_a_part_of_the_room_however_many_they_are(store: SyncStore) -> None:
    """TS-143: who answered in time when last asked is served first; all others share what a courier gives them."""
    for name in ("good", "late"):
        completed(store, name, url=f"https://{name}.test/hook")
    for parcel in take(store):
        assert not parcel.proven
        to, in_time = DeliveryState.DELIVERED, parcel.task_id == "good"
        assert store.run(outbox.report(parcel.task_id, parcel.token, ATTEMPT, to, in_time=in_time))
    for name in ("late", "new-1", "new-2", "good"):
        completed(store, f"{name}-again", url=f"https://{name}.test/hook")

    first = take(store, others=2)
    assert [(parcel.task_id, parcel.proven) for parcel in first] == [
        ("good-again", True),
        ("late-again", False),
        ("new-1-again", False),
    ]
    assert take(store, others=0) == ()
    assert store.run(outbox.report("good-again", first[0].token, ATTEMPT, DeliveryState.PENDING, in_time=False))
    assert take(store, others=0) == (), "it has lost its place among the good"
    both = {parcel.task_id for parcel in take(store)}  # in any order: they may be due in the same millisecond
    assert both == {"new-2-again", "good-again"}


def test_an_attempt_is_reported_once(store: SyncStore, redis_server: Redis) -> None:
    """A report whose reply was lost is refused when it comes again; what is over is counted, and stays over."""
    completed(store, "a")
    for made in range(2):
        (parcel,) = take(store)
        assert parcel.made == made
        to = DeliveryState.PENDING if made == 0 else DeliveryState.FAILED
        accepted = [store.run(outbox.report("a", parcel.token, ATTEMPT, to)) for _ in range(2)]
        assert accepted == [True, False]

    found = delivery(store, "a")
    assert (found.state, found.made, found.due_ms, len(found.attempts)) == (DeliveryState.FAILED, 2, None, 2)
    assert redis_server.client.hget(key("counters"), "webhooks_failed") == b"1"
    assert record(store, "a").state is State.COMPLETED
    assert take(store) == ()


def test_the_next_attempt_waits_for_its_time(store: SyncStore) -> None:
    """TS-129: what is put off is not due before, and couriers are told when."""
    completed(store, "a")
    (parcel,) = take(store)
    assert store.run(outbox.report("a", parcel.token, ATTEMPT, DeliveryState.PENDING, timedelta(seconds=60)))

    taken = store.run(outbox.take(9, 9, 9, {}))
    assert taken.parcels == ()
    assert taken.next_in is not None
    assert 50 < taken.next_in.total_seconds() <= 60
    assert delivery(store, "a").due_ms is not None


def test_a_webhook_that_is_over_can_be_sent_again(store: SyncStore) -> None:
    """A new round of attempts, with those of the old one still to be seen; one that is under way is left alone."""
    completed(store, "a")
    assert store.run(outbox.resend("a", "k", NO_RATE)) is DeliveryState.PENDING
    (parcel,) = take(store)
    assert store.run(outbox.resend("a", "k", NO_RATE)) is DeliveryState.PENDING
    assert take(store) == ()
    assert store.run(outbox.report("a", parcel.token, ATTEMPT, DeliveryState.FAILED))

    assert store.run(outbox.resend("a", "k", NO_RATE)) is DeliveryState.FAILED
    (again,) = take(store)
    assert again.made == 0
    assert len(delivery(store, "a").attempts) == 1
    assert store.run(outbox.resend("nothing", "k", NO_RATE)) is None


def test_sending_again_is_limited_as_submissions_are(store: SyncStore) -> None:
    """TS-150: else one task would do to have any number of requests made, to whatever host its callback names."""
    a_minute = Rate(per_minute=2)

    def again() -> DeliveryState | Refused | None:
        answer = store.run(outbox.resend("a", "k", a_minute))
        for parcel in take(store):
            assert store.run(outbox.report("a", parcel.token, ATTEMPT, DeliveryState.DELIVERED))
        return answer

    completed(store, "a")
    assert [again() for _ in range(3)] == [DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.DELIVERED]
    refused = again()
    assert isinstance(refused, Refused)
    assert (refused.reason, 29_000 < refused.wait_ms <= 30_000) == (Reason.SUBMISSIONS, True)
    assert take(store) == ()


@pytest.mark.parametrize("state", [None, DeliveryState.PENDING, DeliveryState.FAILED])
def test_deliveries_are_listed_by_state(store: SyncStore, state: DeliveryState | None) -> None:
    """Those of all tasks, the latest first, each with its last attempt."""
    for name in ("a", "b", "c"):
        completed(store, name)
        (parcel,) = take(store)
        if name != "c":
            assert store.run(outbox.report(name, parcel.token, ATTEMPT, DeliveryState.FAILED))

    page = store.run(outbox.deliveries(state, "p", 0, 2))
    assert page == store.run(outbox.deliveries(state, None, 0, 2))
    assert store.run(outbox.deliveries(state, "other", 0, 2)).total == 0
    everything = {None: ["c", "b", "a"], DeliveryState.PENDING: ["c"], DeliveryState.FAILED: ["b", "a"]}[state]
    assert page.total == len(everything)
    assert [each.task_id for each in page.deliveries] == everything[:2]
    assert all(len(each.attempts) == (each.task_id != "c") for each in page.deliveries)


def test_a_webhook_leaves_with_its_task(store: SyncStore, redis_server: Redis) -> None:
    """TS-036: when the record expires, no trace of the delivery stays, under way or over."""
    for name in ("over", "waiting"):
        completed(store, name)
    for parcel in take(store, room=1):
        assert store.run(outbox.report(parcel.task_id, parcel.token, ATTEMPT, DeliveryState.DELIVERED))
    redis_server.client.zadd(key("expiry"), {"over": 1, "waiting": 1})

    assert store.run(chores.expire()) == 2
    left = [
        name
        for kind in ("webhook", "project_webhook", "outbox")
        for name in redis_server.client.scan_iter(f"{PREFIX}{kind}*")
    ]
    assert left == []


def test_no_script_names_two_functions_alike() -> None:
    """Scripts are put together from parts; where two parts use one name, the later hides the earlier in silence."""
    for path in scripts.LUA.glob("*.lua"):
        names = re.findall(r"^local function (\w+)", scripts.script(path.stem).text, re.MULTILINE)
        if path.stem not in ("outbox", "prelude"):
            assert sorted(names) == sorted(set(names)), path.name


def test_a_secret_is_made_once_and_changed_with_an_overlap(store: SyncStore) -> None:
    """NS-003: receivers have time to change; a rotation that is repeated, for a lost reply, changes nothing more."""
    _, first = store.run(outbox.secrets("key-1", "whsec_1"))
    assert store.run(outbox.secrets("key-1", "whsec_2"))[1] == first
    for _ in range(2):
        now, changed = store.run(outbox.rotate("key-1", "whsec_3", timedelta(hours=1)))
    assert changed.signing(now) == ("whsec_3", "whsec_1")
    assert changed.signing(now + 3_600_001) == ("whsec_3",)
    now, at_once = store.run(outbox.rotate("key-1", "whsec_4", timedelta()))
    assert at_once.signing(now) == ("whsec_4",)
