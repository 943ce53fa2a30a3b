"""The units under `deploy/systemd`, and the files under `deploy/pm2` that start the same commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from genfleet.contract.task_types import TASK_TYPES
from genfleet_workers.settings import WorkerSettings
from tests.support.servers import ROOT

UNITS = ROOT / "deploy" / "systemd"
SERVICES = ["genfleet-api.service", "genfleet-worker@.service"]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
SERVED = sorted({row.queue for row in TASK_TYPES.values()})
ANALYZE = shutil.which("systemd-analyze") or ""
NODE = shutil.which("node") or ""
needs_node = pytest.mark.skipif(not NODE, reason="there is no node on the PATH to read PM2's file with")
needs_systemd = pytest.mark.skipif(not ANALYZE, reason="needs systemd-analyze, which not every machine has")
UNTIL_KILLED_S = 15
"""What a worker needs at the end of its grace, to hand back what it has."""


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit, each with its values in order."""
    settings = defaultdict(list)
    for line in (UNITS / name).read_text().splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            settings[match[1]].append(match[2])
    return settings


def seconds(span: str) -> int:
    """A time span of systemd, such as `11min` or `30`."""
    number, word = re.fullmatch(r"(\d+)(min|s|)", span).groups()  # type: ignore[union-attr]  # else the test fails here
    return int(number) * (60 if word == "min" else 1)


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_starts_one_of_our_commands(name: str) -> None:
    """Its command is a console script of the distribution."""
    (command,) = unit(name)["ExecStart"]

    assert Path(shlex.split(command)[0]).name in SCRIPTS


def test_the_worker_of_a_unit_is_told_what_it_understands() -> None:
    """The words after the command are options of `genfleet-worker`, and its name is valid, and another one for each queue."""
    (command,) = unit("genfleet-worker@.service")["ExecStart"]
    words = shlex.split(command.replace("%i", "gpu_medium").replace("%H", "host"))
    given = dict(zip(words[1::2], words[2::2], strict=True))

    assert WorkerSettings(queue=given["--queue"], worker_name=given["--name"]).queue == "gpu_medium"
    assert "gpu_medium" in given["--name"]


def test_a_stopped_unit_lets_the_longest_task_finish() -> None:
    """systemd tells the parent alone to stop, and kills later than the longest grace of any queue."""
    service = unit("genfleet-worker@.service")
    longest = max(WorkerSettings(queue=queue).grace.total_seconds() for queue in SERVED)

    assert service["KillMode"] == ["mixed"]
    assert seconds(service["TimeoutStopSec"][0]) >= longest + UNTIL_KILLED_S


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_can_write_its_media_folder(name: str) -> None:
    """All is read-only except the state folder, so media have to be in there."""
    service = unit(name)
    environment = dict(pair.split("=", 1) for pair in service["Environment"])

    assert service["ProtectSystem"] == ["strict"]
    assert environment["GENFLEET_MEDIA_DIR"].startswith(f"/var/lib/{service['StateDirectory'][0]}/")


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_belongs_to_the_target(name: str) -> None:
    """Enabled units start and stop with `genfleet.target`."""
    assert unit(name)["PartOf"] == ["genfleet.target"]
    assert unit(name)["WantedBy"] == ["genfleet.target"]
    assert (UNITS / "genfleet.target").exists()


@pytest.mark.parametrize("name", SERVICES)
def test_the_user_of_a_unit_is_made(name: str) -> None:
    """The account that it runs as is the one of the sysusers file."""
    (user,) = unit(name)["User"]

    assert re.search(rf"^u {user} ", (UNITS / "genfleet.sysusers.conf").read_text(), re.MULTILINE)


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_accepts_a_unit(name: str, tmp_path: Path) -> None:
    """`systemd-analyze verify` has no complaint, once the command is where the unit says."""
    there = Path(shutil.which("true") or "/bin/true")
    for file in [*SERVICES, "genfleet.target"]:
        text = (UNITS / file).read_text()
        (tmp_path / file).write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={there}", text, flags=re.MULTILINE))

    checked = subprocess.run(
        [ANALYZE, "verify", "--man=no", tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    ours = [line for line in checked.stderr.splitlines() if "genfleet" in line]
    assert ours == []


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_confined(name: str) -> None:
    """`systemd-analyze security` gives each unit less than 2 of 10 points of exposure."""
    judged = subprocess.run(
        [ANALYZE, "security", "--offline=yes", "--threshold=20", "--no-pager", UNITS / name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert judged.returncode == 0, judged.stdout + judged.stderr


# -- PM2 -----------------------------------------------------------------------------------------------------------------


@needs_node
def test_pm2_has_the_documented_processes() -> None:
    """TS-181, TS-121: `celery-redis-api` and `celery-worker`, a process for each queue, which answer `celery inspect`."""
    api, *workers = pm2_apps()
    queues = [app["args"][app["args"].index("--queue") + 1] for app in workers]

    assert (api["name"], api["script"]) == ("celery-redis-api", "genfleet-api")
    assert sorted(queues) == SERVED
    for app, queue in zip(workers, queues, strict=True):
        assert app["env"]["GENFLEET_REMOTE_CONTROL"] == "true"
        assert (app["name"], app["namespace"]) == (f"celery-worker-{queue}", "celery-worker")
        assert app["kill_timeout"] / 1000 >= WorkerSettings(queue=queue).grace.total_seconds() + UNTIL_KILLED_S


@needs_node
def test_pm2_writes_the_documented_log_files(tmp_path: Path) -> None:
    """TS-182, TS-181: in /var/log, or where this user may not write there in PM2's own; errors in files of their own."""
    for app in pm2_apps(PM2_HOME=str(tmp_path)):
        name = app.get("namespace", app["name"])
        for stream, file in (("out", Path(app["out_file"])), ("error", Path(app["error_file"]))):
            assert file.match(f"{name}-{stream}-*.log")
            assert file.parent == (Path("/var/log") if os.access("/var/log", os.W_OK) else tmp_path / "logs")
        assert app["env"]["GENFLEET_LOG_ERRORS_APART"] == "true"


def pm2_apps(**environment: str) -> list[dict[str, Any]]:
    """What PM2 would start."""
    look = "console.log(JSON.stringify(require(process.argv[1]).apps))"
    command = [NODE, "-e", look, str(ROOT / "deploy" / "pm2" / "ecosystem.config.js")]
    shown = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, check=True, timeout=20
    ).stdout
    apps: list[dict[str, Any]] = json.loads(shown)
    return apps


def test_the_shell_script_starts_a_worker_for_each_queue() -> None:
    """EV-009: each queue with an engine gets a worker, with options that it understands and a name of its own."""
    text = (ROOT / "deploy" / "pm2" / "start_celery.sh").read_text()
    started = re.findall(r"genfleet-worker --queue (\w+) --concurrency (\d+) --name (\S+) &", text)

    assert sorted(queue for queue, _, _ in started) == SERVED
    assert len({name for _, _, name in started}) == len(started)
    for queue, concurrency, name in started:
        WorkerSettings(queue=queue, concurrency=int(concurrency), worker_name=name)
