"""Who may call: keys of the settings, keys that were made, and what is never written down."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any, cast

import httpx
import orjson
import pytest

from genfleet.contract.keys import key
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet_service.keys import KeyTerms, make
from genfleet_service.settings import ServiceSettings
from tests.service.acts import look, submission, submitted
from tests.support.servers import KEY, Redis, Site, clean_environment
from tests.support.waiting import wait_for

VARIABLES = ("API_KEY", "CELERY_API_KEY", "CELERY_TASK_API_KEY")


def create_key(site: Site, **more: str) -> subprocess.CompletedProcess[str]:
    """Makes a key as an operator does, at the command line."""
    command = [sys.executable, "-m", "genfleet_service", "create-key", "auto-movie"]
    environment = clean_environment() | site.environment(**more)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def may(api: httpx.Client, secret: str) -> bool:
    """Whether a key opens the door."""
    return api.get("/api/v1/tasks/metrics", headers={"X-API-Key": secret}).status_code == 200


def stored_keys(redis_server: Redis) -> dict[bytes, bytes]:
    """What is kept of the keys that were made."""
    return cast(dict[bytes, bytes], redis_server.client.hgetall(key("api_keys")))


def test_several_keys_of_the_settings(site: Site) -> None:
    """TS-005: `API_KEY` may hold several keys, separated by commas; each is valid by itself, and no piece of one is."""
    with site.api(API_KEY=f"{KEY}, second-key ,third-key,") as api:
        asked = (KEY, "second-key", "third-key", "second", "", f"{KEY}, second-key ,third-key,", "SECOND-KEY")
        assert [may(api, secret) for secret in asked] == [True, True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("given", "valid"),
    [
        pytest.param(
            {"API_KEY": "a", "CELERY_API_KEY": "b", "CELERY_TASK_API_KEY": "c"}, ("a",), id="the first counts"
        ),
        pytest.param({"CELERY_API_KEY": "b", "CELERY_TASK_API_KEY": "c"}, ("b",), id="then the second"),
        pytest.param({"CELERY_TASK_API_KEY": "c"}, ("c",), id="then the third"),
        pytest.param({}, (), id="without any, only keys that were made"),
    ],
)
def test_the_three_names_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], valid: tuple[str, ...]
) -> None:
    """PI-021: the server reads `API_KEY`, else `CELERY_API_KEY`, else `CELERY_TASK_API_KEY`."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert ServiceSettings.load().keys() == valid


def test_a_made_key_is_valid_within_seconds_and_so_is_its_end(
    api: httpx.Client, site: Site, redis_server: Redis
) -> None:
    """NS-012, TS-005: `create-key` shows a key that a running API soon takes; without its entry it soon is worth nothing."""
    made = create_key(site)
    assert (made.returncode, made.stderr) == (0, "")
    secret = made.stdout.strip()
    wait_for("the new key is accepted", lambda: may(api, secret))
    redis_server.client.delete(key("api_keys"))
    wait_for("the key is refused again", lambda: not may(api, secret))
    assert may(api, KEY)


def test_only_the_digest_of_a_made_key_is_kept(site: Site, redis_server: Redis) -> None:
    """TS-005, NS-012: Redis holds its terms and SHA-256, and nowhere the key itself or a piece of its secret."""
    secret = create_key(site).stdout.strip()
    ((key_id, entry),) = stored_keys(redis_server).items()
    assert secret.startswith(f"gf_{key_id.decode()}_")
    kept = orjson.loads(entry)
    assert (kept["name"], kept["sha256"]) == ("auto-movie", hashlib.sha256(secret.encode()).hexdigest())
    assert kept.keys() == {"name", "sha256", "scopes", "created_ms"}
    assert secret.removeprefix(f"gf_{key_id.decode()}_").encode() not in entry


def key_of(api: httpx.Client, task_id: str) -> str:
    """The id of the key that submitted a task."""
    return str(look(api, task_id)["key_id"])


def test_a_task_names_the_key_that_submitted_it(api: httpx.Client, site: Site, store: SyncStore) -> None:
    """TS-005, NS-012: by its id, never by the key; a retry is the retrying key's, and a key of the settings has an id too."""
    secret = create_key(site).stdout.strip()
    wait_for("the new key is accepted", lambda: may(api, secret))
    headers = {"X-API-Key": secret}
    answer = api.post("/api/v1/tasks/submit", json=submission(), headers=headers)
    theirs = answer.json()["task_id"]
    assert secret.startswith(f"gf_{key_of(api, theirs)}_")
    ours = key_of(api, submitted(api))
    assert ours.startswith("env-")
    store.run(steps.cancel(theirs))
    again = api.post(f"/api/v1/tasks/{theirs}/retry").json()["new_task_id"]
    assert key_of(api, again) == ours


def test_keys_are_all_different() -> None:
    """NS-012: the same name twice is two keys, each an entry of its own."""
    first, second = make(KeyTerms(name="auto-movie"), 0), make(KeyTerms(name="auto-movie"), 0)
    assert first.secret != second.secret
    assert first.id != second.id


def test_no_key_is_ever_in_the_log(site: Site) -> None:
    """TS-005: neither a valid key nor a wrong one, at the most talkative level, whatever happens to the request."""
    wrong = "a-wrong-key-that-somebody-mistyped"
    with site.api(GENFLEET_LOG_LEVEL="debug", GENFLEET_LOG_FORMAT="json") as api:
        site.redis.client.lpush(key("task", "broken"), "this makes the API fail and log")
        for sent in (KEY, wrong):
            headers = {"X-API-Key": sent}
            api.post("/api/v1/tasks/submit", json=submission(), headers=headers)
            api.post("/api/v1/tasks/submit", json=submission(priority=9), headers=headers)
            api.get("/api/v1/tasks/broken", headers=headers)
        log = site.folder / "api.log"
        wait_for("the failure is logged", lambda: "WRONGTYPE" in log.read_text())
        text = log.read_text()
    assert KEY not in text
    assert wrong not in text


def test_create_key_without_redis_says_so(site: Site) -> None:
    """NS-012: exit status 2 and a sentence, no traceback and no key that nobody would accept."""
    made = create_key(site, REDIS_URL="redis://127.0.0.1:1/0")
    assert (made.returncode, made.stdout) == (2, "")
    assert made.stderr.startswith("genfleet-api: Redis did not answer")
    assert len(made.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Authorization": f"Bearer {KEY}"}, id="as a bearer token"),
        pytest.param({"X-API-Key": f"{KEY} x"}, id="with something after it"),
        pytest.param({"X-API-Key": KEY[:-1]}, id="cut off"),
        pytest.param({"X-API-Key": ""}, id="empty"),
        pytest.param({"X-API-Key": "schlüssel".encode()}, id="not even ASCII"),
    ],
)
def test_what_is_no_key(api: httpx.Client, headers: dict[str, Any]) -> None:
    """TS-003, TS-144: only the header `X-API-Key` with exactly a key opens the door."""
    answer = httpx.get(api.base_url.join("/api/v1/tasks/metrics"), headers=headers, trust_env=False)
    assert answer.status_code == 401


def test_a_key_in_the_address_is_no_key(api: httpx.Client) -> None:
    """TS-003, TS-005: addresses end up in logs, so a key in one is not taken."""
    answer = httpx.get(api.base_url.join(f"/api/v1/tasks/metrics?api_key={KEY}&X-API-Key={KEY}"), trust_env=False)
    assert answer.status_code == 401
