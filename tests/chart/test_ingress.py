"""What of the API the chart's Ingress leads to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.rendered import manifests
from tests.support.servers import ROOT


def ingress_paths(**ingress: Any) -> list[str]:
    """What is reached through the Ingress."""
    found = manifests({"api": {"ingress": {"enabled": True, "host": "a.example.com", **ingress}}})
    (rule,) = next(each for each in found if each["kind"] == "Ingress")["spec"]["rules"]
    return [path["path"] for path in rule["http"]["paths"]]


def test_numbers_are_not_for_the_world() -> None:
    """The Ingress leads to all that the API describes, to files and its page, and not to `/metrics`, which needs no key."""
    open_paths = ingress_paths()
    described = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]

    def reached(path: str) -> bool:
        return any(path == each or path.startswith(f"{each}/") for each in open_paths)

    wanted = [path for path in described if path != "/metrics"]
    assert [path for path in (*wanted, "/media/a.png", "/docs", "/openapi.json") if not reached(path)] == []
    assert not reached("/metrics")
    assert not reached("/")


@pytest.mark.parametrize(
    ("ingress", "paths"),
    [
        ({"path": "/gf/", "paths": ["/api", "/media"]}, ["/gf/api", "/gf/media"]),
        ({"path": "/gf", "paths": ["/"]}, ["/gf/"]),
        ({"paths": ["/"]}, ["/"]),
    ],
)
def test_what_an_ingress_opens_can_be_said(ingress: dict[str, Any], paths: list[str]) -> None:
    """Under a path of its own, and everything for those who want that."""
    assert ingress_paths(**ingress) == paths
