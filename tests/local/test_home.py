"""The folder of a local installation: who may look inside, and that it is for one at a time."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from genfleet.errors import ConfigurationError
from genfleet_local.home import Home
from genfleet_local.processes import Noted

NAMES_OF_THE_KEY = ("API_KEY", "CELERY_API_KEY", "CELERY_TASK_API_KEY")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A new home, and no key in the environment."""
    for name in NAMES_OF_THE_KEY:
        monkeypatch.delenv(name, raising=False)
    made = Home(tmp_path / "home")
    made.make()
    return made


def permissions(path: Path) -> int:
    """What its owner, its group and others may do."""
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_may_look_inside(home: Home) -> None:
    """Folders are 0700; the key and the address file, which holds it, are 0600."""
    home.announce("http://127.0.0.1:8001", home.api_keys())

    for folder in (home.folder, home.redis, home.media, home.scratch, home.logs):
        assert permissions(folder) == 0o700
    for file in (home.folder / "api_key", home.client_file):
        assert permissions(file) == 0o600


def test_the_key_is_made_once(home: Home) -> None:
    """PI-021: each installation has its own, and keeps it from one start to the next."""
    made = home.api_keys()

    assert len(made) > 30
    assert Home(home.folder).api_keys() == made
    assert (home.folder / "api_key").read_text() == made


@pytest.mark.parametrize("name", NAMES_OF_THE_KEY)
def test_a_key_of_the_environment_counts_first(home: Home, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """PI-021: under any of its three names, and nothing is written then."""
    monkeypatch.setenv(name, "mine")

    assert home.api_keys() == "mine"
    assert not (home.folder / "api_key").exists()


def test_the_address_is_there_only_while_it_runs(home: Home) -> None:
    """What the command line finds is never an address of one that has stopped."""
    home.announce("http://127.0.0.1:8001", "key")
    assert json.loads(home.client_file.read_text()) == {"url": "http://127.0.0.1:8001", "api_key": "key"}

    home.withdraw()
    home.withdraw()
    assert not home.client_file.exists()


def test_a_home_is_for_one_at_a_time(home: Home) -> None:
    """The second is refused with what to do about it; when the first has left, the home is free again."""
    with (
        home.claimed(),
        pytest.raises(ConfigurationError, match=r"another `genfleet up` runs on .*home: stop it, or .* --data folder"),
        Home(home.folder).claimed(),
    ):
        pass
    with Home(home.folder).claimed():
        pass


def test_the_socket_is_inside_where_its_path_is_short_enough(tmp_path: Path) -> None:
    """A path that no system would take is replaced by a short one, the same each time, and another for another home."""
    deep = tmp_path / ("d" * 100)

    assert Home(Path("/srv/genfleet")).socket == Path("/srv/genfleet/redis.sock")
    assert len(str(Home(deep).socket)) <= 100
    assert Home(deep).socket == Home(deep).socket
    assert Home(deep).socket != Home(deep / "other").socket


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """The message names the folder, why, and the option to choose another."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"file.* cannot be made \(Not a directory\): .* --data"):
        Home(tmp_path / "file" / "home").make()


OWNER = """
import os, pathlib, sys
from genfleet_local.home import Home
from genfleet_local.processes import Noted
home = Home(pathlib.Path(sys.argv[1]))
with home.claimed() as parts:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('there', flush=True); time.sleep(60)"
    parts.start([sys.executable, "-c", stubborn], environment={}, log=home.logs / "part.log")
    while "there" not in (home.logs / "part.log").read_text():
        pass
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_one_has_left_is_waited_for_and_ended(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """T21: one that is killed leaves a part that does not end; the next has the home once that is gone, and says that it waits."""
    monkeypatch.setattr("genfleet_local.home.LEFT_END_WITHIN_S", 0.5)
    subprocess.run([sys.executable, "-c", OWNER, home.folder], check=False)
    with (home.folder / "lock").open() as lock:
        (part,) = Noted.of(lock).left
    waited = []
    with home.claimed(lambda: waited.append(part.status())):
        assert waited == [psutil.STATUS_SLEEPING]
        assert not part.is_running() or part.status() == psutil.STATUS_ZOMBIE  # nobody may have asked how it ended


def test_a_number_that_somebody_else_has_by_now_is_left_alone(home: Home) -> None:
    """The moment of birth tells: here this very process, noted with another one."""
    born = psutil.Process().create_time()
    assert Noted((f"{os.getpid()} {born}",)).owner_lives
    assert not Noted((f"{os.getpid()} {born - 1}",)).owner_lives
    assert Noted(("1 1.0", f"{os.getpid()} {born - 1}")).left == []
