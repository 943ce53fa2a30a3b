"""The compose file: valid, closed by default, and in step with the programs and images that it starts."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types of its own

from genfleet.contract import keys
from genfleet.contract.task_types import TASK_TYPES
from genfleet.settings import ProgramSettings
from genfleet_service.settings import ServiceSettings
from genfleet_workers.app import REDELIVERY
from genfleet_workers.settings import WorkerSettings
from tests.support.servers import ROOT, clean_environment

FOLDER = ROOT / "deploy" / "compose"
FILE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
APIS = ["api", "web"]
WORKERS = ["celery", "worker", "cpu", "light"]
OURS = [*APIS, *WORKERS, "flower"]
UNTIL_KILLED_S = 15
"""What a worker needs at the end of its grace, to hand back what it has."""


def worker_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    """What the worker of a service makes of its environment and its command line."""
    _set(SERVICES[name]["environment"], monkeypatch)
    program, *words = SERVICES[name]["command"]
    assert program == "genfleet-worker"
    given = dict(zip(words[::2], words[1::2], strict=True))
    return WorkerSettings(queue=given["--queue"], concurrency=int(given["--concurrency"]))


def _set(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(variable)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)


def _seconds(span: str) -> int:
    """A time span of compose, such as `11m` or `30s`."""
    return int(span[:-1]) * {"s": 1, "m": 60}[span[-1]]


# -- the file ------------------------------------------------------------------------------------------------------------


def test_the_file_is_valid() -> None:
    """The Compose specification's own schema, beside this test, knows every key and the form of its value."""
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())

    faults = [f"{fault.json_path}: {fault.message}" for fault in Draft202012Validator(schema).iter_errors(FILE)]

    assert faults == []


def test_containers_are_named_as_documented() -> None:
    """TS-184, SI-020, VP-016: `celery-redis-api-1`, and services `api`, `redis`, `celery`, `flower`, `web`, `worker`.

    Queues that the documents' compose file does not know have services of their own beside them, and so have those who watch.
    """
    assert FILE["name"] == "celery-redis"
    beside = {"cpu", "light", "prometheus", "grafana"}
    assert set(SERVICES) - beside == {"api", "redis", "celery", "flower", "web", "worker"}
    assert not [name for name, service in SERVICES.items() if "container_name" in service]  # or --scale would fail


def test_every_variable_is_explained() -> None:
    """Whatever the file takes from `.env` is in `.env.example`."""
    taken = re.findall(r"(?<!\$)\$\{(\w+)", (FOLDER / "compose.yaml").read_text())
    explained = re.findall(r"^#? ?([A-Z][A-Z_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert taken
    assert set(taken) <= set(explained)


def test_it_starts_without_any_setting() -> None:
    """No `.env` is needed, and no variable is required: one that is would fail every command, of other services too."""
    text = (FOLDER / "compose.yaml").read_text()

    assert not re.findall(r"\$\{\w+:?\?", text)
    for name in [*APIS, *WORKERS]:
        assert SERVICES[name]["env_file"] == [{"path": ".env", "required": False}]


@pytest.mark.parametrize("name", OURS)
def test_what_a_service_is_built_from_exists(name: str) -> None:
    """Its build context has the Dockerfile, which has a health check and a user who is not root."""
    build = SERVICES[name]["build"]
    dockerfile = FOLDER / build["context"] / build["dockerfile"]

    assert re.search(r"^HEALTHCHECK ", dockerfile.read_text(), re.MULTILINE)
    assert re.findall(r"^USER (.+)$", dockerfile.read_text(), re.MULTILINE)[-1] == "10001:10001"


# -- who may do what -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_confined(name: str) -> None:
    """Nobody writes to the root file system, has a capability or may gain one, or runs as root."""
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)
    assert service.get("user") != "root"


def test_ports_are_open_to_this_machine_alone() -> None:
    """XC-001, XC-013: the API on 8000 and 8001, Flower on 5555, Redis nowhere; each on loopback if nobody says otherwise.

    Only the API's can be opened by a setting.
    """
    published = {
        name: [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", port) for port in service["ports"]]
        for name, service in SERVICES.items()
        if "ports" in service
    }

    assert published == {
        "api": ["127.0.0.1:8001:8000", "127.0.0.1:8000:8000"],
        "flower": ["127.0.0.1:5555:5555"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }
    assert [name for name in published if "$" in "".join(SERVICES[name]["ports"])] == ["api"]


@pytest.mark.parametrize("password", ["", "me", ":", "me:", ":secret"])
def test_flower_does_not_start_without_a_password(password: str) -> None:
    """S24: Celery's command ends as it reads Flower's configuration, before there is a Flower, and says what to set."""
    ended = _with_flowers_configuration("report", FLOWER_BASIC_AUTH=password)

    assert ended.returncode != 0
    assert "FLOWER_BASIC_AUTH is empty, or no name:password: set it in .env" in ended.stderr
    assert _with_flowers_configuration("report", FLOWER_BASIC_AUTH="me:secret").returncode == 0


def test_flower_starts_when_it_is_asked_for_alone() -> None:
    """S24: by a profile of its own, without a shell that could be told more, and without the API's keys."""
    (command,) = re.findall(r"^CMD (.+)$", (FOLDER / "flower.Dockerfile").read_text(), re.MULTILINE)
    (folder,) = re.findall(r"^WORKDIR (.+)$", (FOLDER / "flower.Dockerfile").read_text(), re.MULTILINE)

    assert json.loads(command) == ["celery", "flower", "--port=5555"]
    assert f"COPY celeryconfig.py {folder}/" in (FOLDER / "flower.Dockerfile").read_text()
    assert SERVICES["flower"]["profiles"] == ["flower"]
    assert "env_file" not in SERVICES["flower"]
    assert not {"FLOWER_UNAUTHENTICATED_API"} & set(SERVICES["flower"]["environment"])


def test_the_shell_script_starts_no_open_flower() -> None:
    """S24: nor anything else, so that nobody thinks that all of it runs."""
    script = ROOT / "deploy" / "pm2" / "start_celery.sh"
    ended = subprocess.run(
        [script], env={"FLOWER_BASIC_AUTH": "me:"}, capture_output=True, text=True, check=False, timeout=10
    )

    assert ended.returncode != 0
    assert ended.stderr == "FLOWER_BASIC_AUTH is not set: Flower asks for name:password\n"


def test_nothing_is_kept_as_a_pickle() -> None:
    """S25: Celery's worker state, beat's schedule and Flower's database are pickles: no command and no setting asks for one."""
    places = [*(ROOT / "deploy").rglob("*"), *ROOT.glob("Dockerfile.*"), *(ROOT / "workers").rglob("*.py")]
    texts = {path.name: path.read_text() for path in places if path.is_file()}
    asks = re.compile(r"--statedb|worker_state_db|beat_schedule|celery\S* beat|--persistent|FLOWER_PERSISTENT")

    assert len(texts) > 50
    assert {name: found for name, text in texts.items() if (found := asks.findall(text))} == {}


def _with_flowers_configuration(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Celery's command in the folder of Flower's configuration."""
    command = [sys.executable, "-m", "celery", *words]
    return subprocess.run(
        command, cwd=FOLDER, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=30
    )


# -- nothing is lost -----------------------------------------------------------------------------------------------------


def test_redis_keeps_everything() -> None:
    """TS-157: it writes to a volume, evicts nothing, and others wait until it answers."""
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert SERVICES["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    for name in OURS:
        assert SERVICES[name]["depends_on"] == {"redis": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", WORKERS)
def test_a_stopped_worker_lets_its_longest_task_finish(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose kills later than the worker's own grace."""
    grace = worker_settings(name, monkeypatch).grace.total_seconds()

    assert _seconds(SERVICES[name]["stop_grace_period"]) >= grace + UNTIL_KILLED_S


@pytest.mark.parametrize("name", OURS)
def test_a_container_can_be_stopped_while_it_starts(name: str) -> None:
    """The first process of a container ignores signals that it has no handler for yet, so an init is the first."""
    assert SERVICES[name]["init"] is True


# -- in step with the programs -------------------------------------------------------------------------------------------


def test_every_queue_with_an_engine_has_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """TS-119: whatever can be submitted is run by some service, and none waits for work that cannot come."""
    served = [worker_settings(name, monkeypatch).queue for name in WORKERS]

    assert sorted(served) == sorted({row.queue for row in TASK_TYPES.values()})


@pytest.mark.parametrize(
    ("name", "queue", "concurrency"),
    [
        pytest.param("worker", "gpu_heavy", 2, id="TS-100"),
        pytest.param("celery", "gpu_medium", 4, id="TS-101"),
        pytest.param("cpu", "cpu_intensive", 4, id="TS-102"),
        pytest.param("light", "default", 8, id="TS-103"),
    ],
)
def test_workers_run_as_much_at_once_as_documented(
    name: str, queue: str, concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PI-003: a worker that is bound to one queue has that queue's number."""
    settings = worker_settings(name, monkeypatch)

    assert (settings.queue, settings.concurrency) == (queue, concurrency)


def test_workers_are_named_as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """XC-016: `celery@…` in the `celery` service; each container is another host, so --scale makes no name twice."""
    assert worker_settings("celery", monkeypatch).worker_name == "celery@%h"
    assert worker_settings("worker", monkeypatch).worker_name == "celery-redis-worker@%h"


@pytest.mark.parametrize("name", WORKERS)
def test_workers_answer_the_documented_commands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TS-121, SI-029: `celery inspect` and Flower see them."""
    assert worker_settings(name, monkeypatch).remote_control


@pytest.mark.parametrize(
    ("name", "settings"), [*((name, ServiceSettings) for name in APIS), *((name, WorkerSettings) for name in WORKERS)]
)
def test_a_program_finds_redis_and_the_media_folder(
    name: str, settings: type[ProgramSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each variable is one that the program reads; Redis is the service of that name, the folder a shared volume."""
    environment = SERVICES[name]["environment"]
    _set(environment, monkeypatch)
    loaded = settings()

    assert {variable.removeprefix("GENFLEET_").lower() for variable in environment} <= {
        *settings.model_fields,
        "celery_broker_url",
    }
    assert loaded.redis_url == "redis://redis:6379/0"
    assert f"media:{loaded.media_dir}" in SERVICES[name]["volumes"]


@pytest.mark.parametrize("name", APIS)
def test_the_api_listens_where_compose_looks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every address of its container, at the port that is published."""
    _set(SERVICES[name]["environment"], monkeypatch)

    assert ServiceSettings().host == "0.0.0.0"
    assert ServiceSettings().port == 8000


def test_flower_reads_the_queues_as_workers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same lists for one queue, and the same patience with messages that are worked on."""
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "me:secret")
    options = runpy.run_path(str(FOLDER / "celeryconfig.py"))["broker_transport_options"]

    assert options["priority_steps"] == list(keys.PRIORITY_STEPS)
    assert options["sep"] == keys.LIST_SEPARATOR
    assert options["visibility_timeout"] == REDELIVERY.total_seconds()


def test_flower_has_the_celery_of_the_workers() -> None:
    """Flower's locked packages have the versions of `requirements/lock.txt` where both have them."""
    pinned = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
    locked = dict(pinned.findall((ROOT / "requirements" / "lock.txt").read_text()))
    flower = dict(pinned.findall((FOLDER / "flower.txt").read_text()))

    assert {"celery", "flower", "kombu", "redis"} <= set(flower)
    assert {name: version for name, version in flower.items() if locked.get(name, version) != version} == {}


def test_the_commands_are_ours() -> None:
    """A command of the file is a console script of the distribution, and so is that of the API's image."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (api,) = re.findall(r"^CMD (.+)$", (ROOT / "Dockerfile.api").read_text(), re.MULTILINE)

    assert {json.loads(api)[0], *(SERVICES[name]["command"][0] for name in WORKERS)} <= set(scripts)
