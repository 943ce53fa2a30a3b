"""Compose's Prometheus and Grafana: they start when asked for, find the API, the rules, each other and the dashboards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.servers import ROOT

FOLDER = ROOT / "deploy" / "compose"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
WATCHERS = ["prometheus", "grafana"]


def mounted(name: str) -> dict[PurePosixPath, Path]:
    """What of this repository a service sees, by the path at which it does."""
    parts = [volume.split(":") for volume in SERVICES[name]["volumes"]]
    return {PurePosixPath(part[1]): FOLDER / part[0] for part in parts if part[0].startswith(".")}


def seen(name: str, path: str) -> Path:
    """The file or folder that a service finds at a path."""
    sources = mounted(name)
    at = next(each for each in (PurePosixPath(path), *PurePosixPath(path).parents) if each in sources)
    return sources[at] / PurePosixPath(path).relative_to(at)


@pytest.mark.parametrize("name", WATCHERS)
def test_those_who_watch_start_when_they_are_asked_for(name: str) -> None:
    """By a profile of their own, within limits, and without the API's keys, which stand in `.env`."""
    service = SERVICES[name]

    assert service["profiles"] == ["monitoring"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "env_file" not in service


@pytest.mark.parametrize("name", WATCHERS)
def test_what_is_mounted_is_there_and_read_only(name: str) -> None:
    """Compose would make a folder of root's where a file is missing; and nobody writes into a checkout."""
    assert [path for path, source in mounted(name).items() if not source.exists()] == []
    written = [volume for volume in SERVICES[name]["volumes"] if not volume.endswith(":ro")]
    assert written == [f"{name}:{'/prometheus' if name == 'prometheus' else '/var/lib/grafana'}"]


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    """promtool, where there is one, finds no fault in it and in the rules, laid as they are mounted."""
    (told,) = (word.partition("=")[2] for word in SERVICES["prometheus"]["command"] if "config.file" in word)
    config = yaml.safe_load(seen("prometheus", told).read_text())
    folder = PurePosixPath(told).parent
    rules = [str(folder / name) for name in config["rule_files"]]

    assert [path for path in rules if not seen("prometheus", path).is_file()] == []
    promtool = shutil.which("promtool")
    if promtool:
        for path, source in mounted("prometheus").items():
            shutil.copy(source, tmp_path / path.name)
        done = subprocess.run(
            [promtool, "check", "config", tmp_path / PurePosixPath(told).name],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_scrapes_the_api() -> None:
    """At the port that it listens on, under the path that is the default of both."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]

    assert job["static_configs"] == [{"targets": [f"api:{SERVICES['api']['environment']['PORT']}"]}]
    assert job.get("metrics_path", "/metrics") == "/metrics"


def test_grafana_finds_prometheus() -> None:
    """By its service's name, and with the step at which it scrapes."""
    path = "/etc/grafana/provisioning/datasources/genfleet.yaml"
    (source,) = yaml.safe_load(seen("grafana", path).read_text())["datasources"]
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    address = urlsplit(source["url"])

    assert address.hostname in SERVICES["grafana"]["depends_on"]
    assert SERVICES[str(address.hostname)]["ports"][0].endswith(f":{address.port}")
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


def test_grafana_finds_the_dashboards() -> None:
    """All that are made, and one of them is what it shows first."""
    path = "/etc/grafana/provisioning/dashboards/genfleet.yaml"
    (provider,) = yaml.safe_load(seen("grafana", path).read_text())["providers"]
    found = seen("grafana", provider["options"]["path"])
    first = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    assert found.samefile(ROOT / "deploy" / "monitoring" / "dashboards")
    assert [each.name for each in found.iterdir() if not json.loads(each.read_text())["uid"]] == []
    assert seen("grafana", first).is_file()


@pytest.mark.parametrize(("password", "goes_on"), [("", False), ("a-long-one", True)])
def test_grafana_does_not_start_without_a_password(password: str, goes_on: bool) -> None:
    """Its own default would be `admin`. What it is started by says what to set; with one it goes on to Grafana's start."""
    shell, *words = [word.replace("$$", "$") for word in SERVICES["grafana"]["entrypoint"]]
    ended = subprocess.run(
        [shell, *words],
        env={"PATH": os.environ["PATH"], "GF_SECURITY_ADMIN_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )

    assert ended.returncode == (127 if goes_on else 1)  # 127: there is no /run.sh here
    assert ("GF_SECURITY_ADMIN_PASSWORD is empty: set it in .env" in ended.stderr) is not goes_on
    assert ("/run.sh" in ended.stderr) is goes_on


def test_nobody_looks_without_a_name() -> None:
    """Grafana asks for one, and takes no new ones."""
    environment = SERVICES["grafana"]["environment"]

    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
