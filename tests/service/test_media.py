"""Finished files, as the API serves them on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.servers import Redis, Site


@pytest.fixture(scope="module")
def shop(_redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """An API with two files in its media folder and a secret beside it, asked without a key."""
    site = Site(_redis, tmp_path_factory.mktemp("shop"))
    media = site.folder / "media"
    (media / "project").mkdir(parents=True)
    (media / "project" / "film.mp4").write_bytes(bytes(range(256)))
    (media / "project" / "page.html").write_text("<script>alert(1)</script>")
    (site.folder / "secret.txt").write_text("secret")
    (media / "link.txt").symlink_to(site.folder / "secret.txt")
    with site.api() as api, httpx.Client(base_url=api.base_url, trust_env=False) as bare:
        yield bare, media


def test_a_file_is_served_as_a_file(shop: tuple[httpx.Client, Path]) -> None:
    """NS-014: whoever knows the address gets the bytes and their type, and no browser may take them for anything else."""
    answer = shop[0].get("/media/project/film.mp4")
    assert (answer.status_code, answer.content) == (200, bytes(range(256)))
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_a_page_among_the_files_cannot_run(shop: tuple[httpx.Client, Path]) -> None:
    """NS-014: HTML that an engine made has no rights at all at the address of the service."""
    answer = shop[0].get("/media/project/page.html")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_players_get_the_range_they_ask_for(shop: tuple[httpx.Client, Path]) -> None:
    """NS-014: a player that jumps into a film is sent that part only."""
    answer = shop[0].get("/media/project/film.mp4", headers={"Range": "bytes=16-31"})
    assert (answer.status_code, answer.content) == (206, bytes(range(16, 32)))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/media/%2e%2e/secret.txt", id="up, dots encoded"),
        pytest.param("/media/..%2fsecret.txt", id="up, slash encoded"),
        pytest.param("/media/project/..%2f..%2fsecret.txt", id="up from a folder"),
        pytest.param("/media/..%5csecret.txt", id="up, with a backslash"),
        pytest.param("/media/%2fetc/hostname", id="an absolute path"),
        pytest.param("/media/link.txt", id="through a link"),
        pytest.param("/media/film.mp4%00.txt", id="with a zero byte"),
    ],
)
def test_there_is_no_way_out_of_the_folder(shop: tuple[httpx.Client, Path], path: str) -> None:
    """NS-014: whatever the address says, only files inside the media folder are read; all else is a plain 404."""
    answer = shop[0].get(path)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert "secret" not in answer.text.replace(path, "").replace("secret.txt", "")


@pytest.mark.parametrize("path", ["/media", "/media/", "/media/project", "/media/project/"])
def test_folders_are_not_listed(shop: tuple[httpx.Client, Path], path: str) -> None:
    """NS-014: names of files hold random ids, and nobody is told them."""
    answer = shop[0].get(path)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert "film" not in answer.text


def test_files_cannot_be_written(shop: tuple[httpx.Client, Path]) -> None:
    """NS-014: the folder is for reading; only workers write to it."""
    answer = shop[0].put("/media/project/film.mp4", content=b"mine")
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
    assert (shop[1] / "project" / "film.mp4").stat().st_size == 256
