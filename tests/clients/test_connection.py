"""How the command line finds the service, and what it says when it does not."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from pathlib import Path

import httpx
import pytest

from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet_client.connection import DEFAULT_URL, Connection
from tests.clients.command import genfleet, started
from tests.support.servers import KEY, Site, free_port
from tests.support.tasks import submitted

NAMES = (
    *("GENFLEET_URL", "TASK_SERVICE_URL", "GENFLEET_DATA"),
    *("GENFLEET_API_KEY", "CELERY_TASK_API_KEY", "API_KEY"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and an environment that says nothing."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    here = tmp_path / "project"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def announce(folder: Path, url: str = "http://127.0.0.1:9", api_key: str = "local") -> None:
    """Leave there what `genfleet up` leaves."""
    (folder / ".genfleet").mkdir(parents=True)
    (folder / ".genfleet" / "client.json").write_text(json.dumps({"url": url, "api_key": api_key}))


def test_without_any_word_it_is_the_documented_address(folder: Path) -> None:
    """TS-002, TS-161: port 8001 of this machine, and no key."""
    assert Connection.find() == Connection(DEFAULT_URL, "")
    assert DEFAULT_URL == "http://localhost:8001"


def test_a_local_installation_is_found_here_above_and_at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest one counts; what GENFLEET_DATA names comes before them."""
    announce(folder.parent / "home", api_key="of home")
    assert Connection.find().api_key == "of home"
    announce(folder.parent, api_key="of the folder above")
    assert Connection.find().api_key == "of the folder above"
    announce(folder, api_key="of here")
    assert Connection.find().api_key == "of here"
    monkeypatch.setenv("GENFLEET_DATA", str(folder.parent / ".genfleet"))
    assert Connection.find().api_key == "of the folder above"


def test_the_environment_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PI-021, TS-161: under our names or the documents'. API_KEY is anybody's name: it is not sent to us."""
    announce(folder)
    monkeypatch.setenv("API_KEY", "of something else")
    assert Connection.find() == Connection("http://127.0.0.1:9", "local")
    monkeypatch.setenv("CELERY_API_KEY", "older")
    assert Connection.find() == Connection("http://127.0.0.1:9", "older")
    monkeypatch.setenv("CELERY_TASK_API_KEY", "documented")
    monkeypatch.setenv("TASK_SERVICE_URL", "https://tasks.ft.tc")
    assert Connection.find() == Connection("https://tasks.ft.tc", "documented")
    monkeypatch.setenv("GENFLEET_API_KEY", "ours")
    monkeypatch.setenv("GENFLEET_URL", "http://localhost:8002")
    assert Connection.find() == Connection("http://localhost:8002", "ours")


def test_a_local_key_is_sent_to_no_other_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who is pointed at another service does not hand it the key of their own machine."""
    announce(folder)
    monkeypatch.setenv("GENFLEET_URL", "https://tasks.ft.tc")
    assert Connection.find().api_key == ""
    monkeypatch.setenv("GENFLEET_URL", "http://127.0.0.1:9")
    assert Connection.find().api_key == "local"


def test_a_damaged_file_is_passed_over(folder: Path) -> None:
    """Half a file, or one of something else, is as none."""
    announce(folder.parent, api_key="of the folder above")
    announce(folder)
    (folder / ".genfleet" / "client.json").write_text('{"url": "http')
    assert Connection.find().api_key == "of the folder above"
    (folder / ".genfleet" / "client.json").write_text("[]")
    assert Connection.find().api_key == "of the folder above"


def test_a_command_in_a_folder_below_finds_it(api: httpx.Client, tmp_path: Path) -> None:
    """Nothing has to be set: address and key come from the folder that `genfleet up` runs in."""
    announce(tmp_path, str(api.base_url), KEY)
    (tmp_path / "below").mkdir()

    assert genfleet(None, "ls", folder=tmp_path / "below").status == 0


def test_an_address_without_a_scheme_is_told() -> None:
    """It looks right to people, so that the remedy has to be said: exit status 2."""
    done = genfleet(None, "queues", GENFLEET_URL="localhost:8001")

    assert done.status == 2
    assert "'localhost:8001' must begin with http:// or https://" in done.err


def test_nobody_there_is_status_4() -> None:
    """With the address that was tried, and how to start a service."""
    url = f"http://127.0.0.1:{free_port()}"

    done = genfleet(None, "queues", "--json", GENFLEET_URL=url)

    assert (done.status, done.out) == (4, "")
    assert done.err.startswith(f"error: {url} cannot be reached")
    assert "`genfleet up` starts one here" in done.err


def test_a_folder_without_an_installation_is_told(tmp_path: Path) -> None:
    """Who is in another folder than that of `genfleet up` is not sent looking for a fault of the service."""
    done = genfleet(None, "queues", folder=tmp_path, GENFLEET_API_KEY="any")

    assert done.status in (4, 5)  # whoever is at the usual address, or nobody
    assert "no `genfleet up` runs in this folder or above: go where it was started" in done.err


def test_somebody_else_there_is_status_4(tmp_path: Path) -> None:
    """Another program on the port is not taken for an empty service."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        done = genfleet(None, "queues", GENFLEET_URL=f"http://127.0.0.1:{other.server_port}")
        other.shutdown()

    assert done.status == 4
    assert "does not answer as genfleet does" in done.err


def test_who_waits_waits_out_a_redis_that_is_away(
    api: httpx.Client, site: Site, store: SyncStore, tmp_path: Path
) -> None:
    """NS-010: the stream of events lives on meanwhile, so that nobody who waits has to begin again."""
    task_id = submitted(store)
    with started(api, tmp_path, "status", task_id, "--wait") as waiting:
        waiting.wait_for("queued")
        site.redis.stop()
        site.redis.start()
        store.run(steps.cancel(task_id))
        done = waiting.done()

    assert (done.status, done.err.split()) == (3, ["queued", "cancelled"])


def test_a_service_that_goes_away_while_somebody_waits_is_status_4(
    site: Site, store: SyncStore, tmp_path: Path
) -> None:
    """TS-147: the task is not lost, and how to go on is said."""
    task_id = submitted(store, kind="generate_video")
    with contextlib.ExitStack() as service:
        api = service.enter_context(site.api())
        with started(api, tmp_path, "status", task_id, "--wait") as waiting:
            waiting.wait_for("queued")
            service.close()
            done = waiting.done()

    assert (done.status, done.out) == (4, "")
    assert f"error: {api.base_url} cannot be reached" in done.err
    assert f"the task goes on: genfleet status {task_id} --wait" in done.err
