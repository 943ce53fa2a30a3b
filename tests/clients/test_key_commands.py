"""`genfleet keys`: the whole life of a key at the command line."""

from __future__ import annotations

import httpx

from tests.clients.command import genfleet
from tests.support.waiting import wait_for


def test_the_life_of_a_key(api: httpx.Client) -> None:
    """NS-012: made, used, listed, rotated and revoked; the secret is shown when it is made and never again."""
    made = genfleet(api, "keys", "create", "board", "-s", "read", "--project-tasks", 3, "--json").json
    key_id, first = made["key_id"], made["api_key"]
    assert (made["scopes"], made["project_tasks"], made["projects"]) == (["read"], 3, None)
    refused = genfleet(api, "submit", "generate_image", GENFLEET_API_KEY=first)
    assert (refused.status, "lacks the scope 'submit'" in refused.err) == (5, True)

    told = genfleet(api, "keys", "create", "other")
    assert (len(told.out.splitlines()), "(other); it is not shown again" in told.err) == (1, True)
    listed = genfleet(api, "keys", "list")
    assert "project 3" in listed.out
    assert [word in listed.out for word in (key_id, "board", first, first.rpartition("_")[2])] == [
        True,
        True,
        False,
        False,
    ]

    second = genfleet(api, "keys", "rotate", key_id, "--grace-seconds", 0).out.strip()
    wait_for("the second secret is good", lambda: genfleet(api, "queues", GENFLEET_API_KEY=second).status == 0)
    assert genfleet(api, "keys", "revoke", key_id).out.strip() == "The API key has been revoked"
    assert genfleet(api, "queues", GENFLEET_API_KEY=second).status == 5
    assert genfleet(api, "keys", "revoke", key_id).status == 6
