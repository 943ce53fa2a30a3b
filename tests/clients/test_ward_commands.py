"""`genfleet quarantine` and `genfleet dead-letters`, and the clients' calls behind them."""

from __future__ import annotations

import httpx

from genfleet.contract.keys import broker_list
from genfleet.store import dead_letters
from genfleet.store.client import SyncStore
from genfleet_client import Client
from tests.clients.command import genfleet
from tests.support.servers import KEY, Redis
from tests.support.tasks import poisoned, record

LIST = broker_list("gpu_medium", 2)


def set_aside(store: SyncStore, message: bytes = b"garbage{{{") -> None:
    """A message that could not be judged."""
    call = dead_letters.set_message_aside("It is not JSON", message, broker_list=LIST, queue="gpu_medium", worker="w")
    store.run(call)


def test_the_quarantine_at_the_command_line(api: httpx.Client, store: SyncStore) -> None:
    """T3: listed with the reason, shown with its story, submitted again by id, let go."""
    assert genfleet(api, "quarantine", "ls").out.strip() == "no task is in quarantine"
    first, second = poisoned(store, project="a"), poisoned(store, project="b")

    listed = genfleet(api, "quarantine", "ls", "--project", "a").out
    assert (first in listed, second in listed, "1 in all; genfleet quarantine show TASK_ID" in listed) == (
        True,
        False,
        True,
    )
    story = [line for line in genfleet(api, "quarantine", "show", first).out.splitlines() if line.startswith("story")]
    assert [line.split("  ")[2].split(",")[0] for line in story] == [f"lost on worker-{number}" for number in (1, 2, 3)]
    assert all(line.endswith(": its process was killed by signal 9") for line in story)
    assert genfleet(api, "status", first, "--full").out.count("\nstory") == 3

    told = genfleet(api, "quarantine", "retry", first).out.strip()
    assert told == f"{first} is now {record(store, first).story[-1].new_id}"
    assert "retried, by key" in genfleet(api, "quarantine", "show", first).out
    again = genfleet(api, "quarantine", "retry", second, first)
    assert (again.status, "is not in quarantine" in again.err) == (2, True)
    assert len(record(store, first).story) == 4
    assert len(record(store, second).story) == 3
    assert "stays failed" in genfleet(api, "quarantine", "release", second).out
    assert genfleet(api, "quarantine", "release", second).status == 6
    assert genfleet(api, "quarantine", "ls", "--json").json["tasks"] == []


def test_many_are_submitted_again_at_the_command_line(api: httpx.Client, store: SyncStore) -> None:
    """All that fit, after a look at how many; never all by mistake."""
    made = [poisoned(store, project="a") for _ in range(2)]
    poisoned(store, project="b")

    assert genfleet(api, "quarantine", "retry").status == 2
    assert genfleet(api, "quarantine", "retry", made[0], "--all").status == 2
    wanted = ("quarantine", "retry", "--all", "--project", "a")
    assert genfleet(api, *wanted, "--dry-run").out.strip() == "2 would be submitted again: nothing was done"
    assert genfleet(api, *wanted).out.strip() == "2 submitted again"
    assert genfleet(api, *wanted, "--json").json["done"] == 0
    assert len(genfleet(api, "quarantine", "ls", "--json").json["tasks"]) == 1


def test_dead_letters_at_the_command_line(api: httpx.Client, store: SyncStore, redis_server: Redis) -> None:
    """T15: listed with the reason, shown as they came, sent again, removed; some, or all that fit."""
    assert genfleet(api, "dead-letters", "ls").out.strip() == "no dead letters"
    for number in range(4):
        set_aside(store, b"message %d" % number)

    assert "It is not JSON" in genfleet(api, "dead-letters", "ls").out
    assert "message 0" in genfleet(api, "dead-letters", "show", 1).out
    assert genfleet(api, "dead-letters", "show", 99).status == 6
    assert genfleet(api, "dead-letters", "resend", 1, 2).out.splitlines() == ["1 sent again", "2 sent again"]
    assert redis_server.client.lrange(LIST, 0, -1) == [b"message 1", b"message 0"]
    assert genfleet(api, "dead-letters", "resend", 1).status == 2
    assert [
        letter["letter_id"] for letter in genfleet(api, "dead-letters", "ls", "--resent", "--json").json["dead_letters"]
    ] == [2, 1]

    assert genfleet(api, "dead-letters", "rm").status == 2
    assert genfleet(api, "dead-letters", "rm", 3).out.strip() == "3 removed"
    everything = ("--all", "--queue", "gpu_medium")
    assert (
        genfleet(api, "dead-letters", "rm", *everything, "--dry-run").out.strip()
        == "1 would be removed: nothing was done"
    )
    assert genfleet(api, "dead-letters", "resend", *everything).out.strip() == "1 sent again"
    assert genfleet(api, "dead-letters", "ls", "--json").json["dead_letters"] == []


def test_what_a_command_line_cannot_send_again(api: httpx.Client, store: SyncStore) -> None:
    """It says how many are left, and where to look."""
    store.run(dead_letters.set_aside("WRONGTYPE", task_id="broken"))
    told = genfleet(api, "dead-letters", "resend", "--all").out.strip()
    assert told == "0 sent again, 1 cannot be: genfleet dead-letters show NUMBER"


def test_the_python_client_has_them(api: httpx.Client, store: SyncStore) -> None:
    """Each route as a method, in a program."""
    task_id = poisoned(store)
    set_aside(store)
    set_aside(store)
    with Client(str(api.base_url), KEY) as client:
        assert client.task(task_id)["story"][0]["how"] == "lost"
        assert [task["task_id"] for task in client.quarantine("p", task_type="generate_image")["tasks"]] == [task_id]
        assert client.retry_quarantined(project_id="p", dry_run=True)["matched"] == 1
        assert client.release(task_id)["status"] == "failed"
        assert [letter["letter_id"] for letter in client.dead_letters(queue="gpu_medium")["dead_letters"]] == [2, 1]
        assert client.dead_letter(1)["message"] == "garbage{{{"
        assert client.resend_letter(1)["status"] == "resent"
        assert client.resend_letters(dry_run=True)["matched"] == 1
        assert client.remove_letters(queue="gpu_medium")["done"] == 1
        assert client.remove_letter(1)["letter_id"] == 1


def test_the_audit_log_at_the_command_line(api: httpx.Client, store: SyncStore) -> None:
    """S27: a line for each change, with ids that are whole, however narrow the terminal is."""
    task_id = poisoned(store, project="a")
    genfleet(api, "quarantine", "release", task_id)

    newest = genfleet(api, "audit", "--limit", "1").out.splitlines()[0]
    assert "quarantine-release" in newest
    assert f"{task_id} of a, by " in newest
