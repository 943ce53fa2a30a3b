"""Messages that could not be judged, over the API: seen with their reason, sent again, removed; by keys of all projects."""

from __future__ import annotations

from typing import Any

import httpx

from genfleet.contract.keys import broker_list
from genfleet.store import dead_letters
from genfleet.store.client import SyncStore
from genfleet_service.keyring import key_id_of_settings
from tests.service.test_key_terms import ask, make
from tests.support.servers import KEY, Redis
from tests.support.tasks import poisoned

LETTERS = "/api/v1/dead-letters"
LIST = broker_list("gpu_medium", 2)


def set_aside(store: SyncStore, message: bytes = b"garbage{{{", queue: str = "gpu_medium", **known: str) -> None:
    """A message that could not be judged."""
    store.run(
        dead_letters.set_message_aside("It is not JSON", message, broker_list=LIST, queue=queue, worker="w", **known)
    )


def listed(api: httpx.Client, **filters: Any) -> list[dict[str, Any]]:
    """Dead letters, the newest first."""
    answer = api.get(LETTERS, params=filters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["dead_letters"]
    return found


def test_a_dead_letter_is_seen_with_its_reason(api: httpx.Client, store: SyncStore) -> None:
    """T15: why, where from, by whom, how large; by itself also every byte of it, as text."""
    set_aside(store, b"\xff not json", task_id="a", task_type="generate_image")
    (letter,) = listed(api)
    known = {
        name: letter[name] for name in ("status", "reason", "queue", "worker", "task_id", "task_type", "size", "times")
    }
    assert known == {
        "status": "waiting",
        "reason": "It is not JSON",
        "queue": "gpu_medium",
        "worker": "w",
        "task_id": "a",
        "task_type": "generate_image",
        "size": 10,
        "times": 1,
    }
    assert "message" not in letter
    whole = api.get(f"{LETTERS}/{letter['letter_id']}").json()
    assert whole == letter | {"message": "\\xff not json", "complete": True}


def test_pages_and_filters_of_dead_letters(api: httpx.Client, store: SyncStore) -> None:
    """By queue, page by page, the newest first."""
    for queue in ("gpu_medium", "default", "gpu_medium"):
        set_aside(store, queue=queue)
    assert [letter["letter_id"] for letter in listed(api)] == [3, 2, 1]
    assert [letter["letter_id"] for letter in listed(api, queue="gpu_medium", limit=1, page=2)] == [1]
    assert listed(api, status="resent") == []
    for wrong in ({"queue": "nope"}, {"status": "lost"}, {"limit": 101}):
        answer = api.get(LETTERS, params=wrong)
        assert (answer.status_code, list(answer.json()["details"])) == (400, list(wrong))


def test_a_dead_letter_is_sent_again(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """It is in its queue as it was, once, and who did it is kept with it."""
    set_aside(store)
    answer = api.post(f"{LETTERS}/1/resend")
    assert (answer.status_code, answer.json()["status"]) == (200, "resent")
    assert redis_server.client.lrange(LIST, 0, -1) == [b"garbage{{{"]
    assert listed(api) == []
    (letter,) = listed(api, status="resent")
    assert letter["resent_by"] == key_id_of_settings(KEY)
    assert letter["resent_at"] is not None

    again = api.post(f"{LETTERS}/1/resend")
    assert (again.status_code, "sent again before" in again.json()["message"]) == (400, True)
    assert redis_server.client.llen(LIST) == 1


def test_what_cannot_be_sent_again_says_why(api: httpx.Client, store: SyncStore) -> None:
    """One that is too long to be kept, a broken record, and one that is not there."""
    set_aside(store, b"x" * (dead_letters.RAW_KEPT + 1))
    store.run(dead_letters.set_aside("WRONGTYPE", task_id="broken"))
    assert api.get(f"{LETTERS}/1").json()["complete"] is False
    assert api.get(f"{LETTERS}/2").json()["message"] is None
    for number, words in ((1, "its producer has to send it again"), (2, "was never a message")):
        answer = api.post(f"{LETTERS}/{number}/resend")
        assert (answer.status_code, words in answer.json()["message"]) == (400, True)
    for method, path in (("GET", "/9"), ("POST", "/9/resend"), ("DELETE", "/9")):
        answer = api.request(method, LETTERS + path)
        assert (answer.status_code, answer.json()["error"]) == (404, "dead_letter_not_found")
    assert api.get(f"{LETTERS}/x").status_code == 404


def test_many_are_sent_again_or_removed(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """A dry run only tells; what cannot be sent stays; without a body nothing happens."""
    for number in range(3):
        set_aside(store, b"%d" % number)
    set_aside(store, queue="default")
    store.run(dead_letters.set_aside("WRONGTYPE", queue="gpu_medium"))

    def act(action: str, **asked: Any) -> tuple[int, int, int]:
        said = api.post(f"{LETTERS}/{action}", json=asked).json()
        return said["matched"], said["done"], said["skipped"]

    assert api.post(f"{LETTERS}/resend").status_code == api.post(f"{LETTERS}/remove").status_code == 400
    assert act("resend", queue="gpu_medium", dry_run=True) == (4, 0, 0)
    assert act("resend", queue="gpu_medium") == (4, 3, 1)
    assert redis_server.client.lrange(LIST, 0, -1) == [b"2", b"1", b"0"], "what came first is taken first"
    assert act("remove", dry_run=True) == (2, 0, 0)
    assert act("remove") == (2, 2, 0)
    assert (listed(api), len(listed(api, status="resent"))) == ([], 3)


def test_a_dead_letter_is_removed(api: httpx.Client, store: SyncStore) -> None:
    """One that nobody needs."""
    set_aside(store)
    assert api.delete(f"{LETTERS}/1").json()["letter_id"] == 1
    assert listed(api) == []


def test_dead_letters_are_for_keys_of_all_projects(api: httpx.Client, store: SyncStore) -> None:
    """S7: they belong to no project and hold what was sent, so they need the scope admin, which no key of a project has."""
    set_aside(store)
    for terms in ({"scopes": ["read", "submit"]}, {"projects": ["mine"]}):
        secret = make(api, **terms)["api_key"]
        for method, path in (("GET", ""), ("GET", "/1"), ("POST", "/1/resend"), ("DELETE", "/1"), ("POST", "/remove")):
            assert ask(api, secret, method, f"/dead-letters{path}", json={}).status_code == 403
    assert len(listed(api)) == 1


def test_what_waits_for_people_is_counted(api: httpx.Client, store: SyncStore) -> None:
    """What alerts are made of: how many wait now, and how many there have been."""
    set_aside(store)
    set_aside(store)
    poisoned(store)
    api.delete(f"{LETTERS}/1")
    losses = api.get("/api/v1/tasks/metrics").json()["losses"]
    assert losses == {
        "quarantined": 1,
        "dead_letters": 1,
        "lost_workers_total": 3,
        "recovered_messages_total": 0,
        "quarantined_total": 1,
        "dropped_quarantined_total": 0,
        "dead_letters_total": 2,
        "dropped_dead_letters_total": 0,
    }
