"""The start of the program: what it refuses, and what it then says."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.servers import ROOT, Redis, Site, program


def refused(site: Site, **environment: str) -> tuple[int, str]:
    """Exit status and words of an API that does not start."""
    log = site.folder / "refused.log"
    with program("genfleet_service", log=log, environment=site.environment(**environment)) as process:
        status = process.wait(30)
    return status, log.read_text()


def test_a_port_that_is_taken(site: Site) -> None:
    """TS-002: exit status 2 and one sentence that names the variable, the cause and the remedy; no traceback."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        status, said = refused(site, PORT=str(port))
    assert status == 2
    assert said == (
        f"genfleet-api: PORT: cannot listen on 127.0.0.1:{port} (Address already in use). "
        f"Another program may have it (`ss -ltnp 'sport = :{port}'`); stop that or set PORT to a free one\n"
    )


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        pytest.param("PORT", "none", "PORT: Input should be a valid integer", id="a port in words"),
        pytest.param(
            "GENFLEET_HOST", "db.example", "GENFLEET_HOST: must be localhost or an IP", id="a name to listen on"
        ),
    ],
)
def test_a_setting_that_cannot_work(site: Site, variable: str, value: str, sentence: str) -> None:
    """TS-002: exit status 2 and a line that names the variable and what it should be; no traceback."""
    status, said = refused(site, **{variable: value})
    assert status == 2
    assert said.startswith(f"genfleet-api: {sentence}")
    assert len(said.splitlines()) == 1


def test_a_secret_in_a_wrong_setting_is_not_repeated(site: Site) -> None:
    """TS-005: an address that lacks its scheme is refused in words, without the password that is in it."""
    status, said = refused(site, REDIS_URL="//:hunter2@redis:6379/0")
    assert status == 2
    assert "must start with redis://, rediss://, unix:// or sentinel://" in said
    assert "hunter2" not in said


def test_a_missing_package_ends_it(site: Site, tmp_path: Path) -> None:
    """TS-174, TS-176: routes that cannot be imported are no API with half of its paths: it ends, and names the package."""
    (tmp_path / "orjson.py").write_text("raise ModuleNotFoundError(\"No module named 'orjson'\")\n")
    status, said = refused(site, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert status != 0
    assert "ModuleNotFoundError: No module named 'orjson'" in said


def test_it_makes_its_media_folder(redis_server: Redis, tmp_path: Path) -> None:
    """NS-014: a fresh machine needs no preparation."""
    site = Site(redis_server, tmp_path / "new")
    site.folder.mkdir()
    with site.api():
        assert (site.folder / "media").is_dir()
