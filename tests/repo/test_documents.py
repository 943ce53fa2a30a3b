"""What the documents say of numbers, names and commands is so: each is compared with the code, or tried."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from celery import states
from typer.main import get_command

from genfleet.contract.keys import PRIORITY_STEPS, broker_list
from genfleet.contract.queue import GenerationQueue
from genfleet.contract.states import State
from genfleet.contract.task_types import QUEUES, TASK_TYPES
from genfleet_client.cli import app as command_line
from genfleet_service import fleet_health
from genfleet_service.settings import ServiceSettings
from genfleet_workers.settings import WorkerSettings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(DOCS.glob("runbooks/*.md")),
]
CONFIGURATION = (DOCS / "task-queue-configuration.md").read_text()
TROUBLE = (DOCS / "troubleshooting.md").read_text()
MIGRATION = (DOCS / "migration.md").read_text()
BASH = shutil.which("bash") or "/bin/bash"
TIMES = {"s": 1, "second": 1, "seconds": 1, "min": 60, "minute": 60, "minutes": 60}


def table(text: str, first_column: str) -> list[list[str]]:
    """The rows of the table that begins with a column of this name, without the marks of code."""
    _, _, below = text.partition(f"\n| {first_column} |")
    rows = below.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]


def seconds(words: str) -> float:
    """A time such as `4.5 min`, or the middle of one such as `30-60 seconds`."""
    numbers, unit = words.rsplit(" ", 1)
    ends = [float(number) for number in numbers.split("-")]
    return sum(ends) / len(ends) * TIMES[unit]


# -- queues and limits ---------------------------------------------------------------------------------------------------


def test_queues_are_as_written() -> None:
    """TS-186, TS-100 to TS-103: what a worker runs at once, and that no type of a queue may run longer than is said."""
    written = {queue: (int(at_once), seconds(longest)) for queue, at_once, longest, _ in table(CONFIGURATION, "queue")}

    assert written == {"gpu_heavy": (2, 600), "gpu_medium": (4, 300), "cpu_intensive": (4, 600), "default": (8, 120)}
    assert tuple(written) == QUEUES
    for file in (ROOT / "deploy" / "local").glob("*.yaml"):
        spec = GenerationQueue.parse(yaml.safe_load(file.read_text()), source=file.name).spec
        assert spec.concurrency == written[spec.queue][0]
    for row in TASK_TYPES.values():
        assert row.hard_limit.total_seconds() <= written[row.queue][1]


def test_routes_limits_and_retries_are_as_written() -> None:
    """TS-186, TS-104 to TS-107, TS-110, TS-173: each type with its queue, limits, pauses and estimate."""
    written = [
        (name, queue, seconds(soft), seconds(hard), tuple(map(int, pauses.removesuffix(" s").split(", "))), estimate)
        for name, queue, soft, hard, pauses, estimate in table(CONFIGURATION, "task type")
    ]

    assert written == [
        (
            row.name,
            row.queue,
            row.soft_limit.total_seconds(),
            row.hard_limit.total_seconds(),
            row.retry_delays,
            f"{row.estimate.seconds} s",
        )
        for row in TASK_TYPES.values()
    ]


@pytest.mark.parametrize(
    ("part", "defaults"),
    [("## Workers", WorkerSettings()), ("## Limits of callers", ServiceSettings())],
    ids=["workers", "callers"],
)
def test_settings_are_as_written(part: str, defaults: WorkerSettings | ServiceSettings) -> None:
    """TS-186, TS-115 to TS-117, TS-120, TS-150 to TS-152: the value of each is what programs take without it."""
    rows = table(CONFIGURATION.partition(part)[2], "what")

    assert len(rows) >= 4
    for _, value, variable in rows:
        default = getattr(defaults, variable.removeprefix("GENFLEET_").lower())
        assert value == (f"{default:.0f}" if isinstance(default, float) else str(default))


def test_alerts_are_as_written() -> None:
    """TS-186, TS-075, TS-079, TS-119: the thresholds of each metric."""
    written = {metric.partition("`")[0]: levels for metric, *levels in table(CONFIGURATION, "metric")}

    failure = [f"{level:g} %" for level in (fleet_health.FAILURE_RATE.warning, fleet_health.FAILURE_RATE.critical)]
    assert written.pop("unserved_queue")[0] == ""
    assert written.pop("broken_worker")[1] == ""
    assert written == {
        "failure_rate": failure,
        "recent_failure_rate": failure,
        "task_duration": [
            f"{fleet_health.TASK_SECONDS.warning / 60:g} min",
            f"{fleet_health.TASK_SECONDS.critical / 60:g} min",
        ],
        "memory_usage": [
            f"{level / fleet_health.GB:g} GB"
            for level in (fleet_health.WORKER_MEMORY.warning, fleet_health.WORKER_MEMORY.critical)
        ],
    }


def test_targets_are_as_documented() -> None:
    """TS-171, TS-173: average, P95 and success; estimates are the middle of the averages, and limits leave room for P95."""
    _, _, expected = CONFIGURATION.partition("## What to expect")
    written = {row[0]: row[1:] for row in table(expected, "task type")}

    assert written == {
        "generate_video": ["4-6 minutes", "8 minutes", ">95%"],
        "generate_image": ["30-60 seconds", "2 minutes", ">98%"],
        "process_audio": ["15-30 seconds", "1 minute", ">99%"],
        "evaluate_department": ["1-2 minutes", "4 minutes", ">95%"],
        "automated_gather_creation": ["3-5 minutes", "8 minutes", ">90%"],
    }
    for name, (average, p95, _) in written.items():
        assert TASK_TYPES[name].estimate.seconds == int(seconds(average))
        assert TASK_TYPES[name].soft_limit.total_seconds() > seconds(p95)


def test_durations_are_as_documented() -> None:
    """TS-172, TS-168, PI-001: typical and longest, and how patient a client should be; the longest run is within it."""
    written = {row[0]: row[1:] for row in table(CONFIGURATION, "kind")}
    longest = {
        "image": "generate_image",
        "video": "generate_video",
        "voice, audio": "generate_character_voice",
        "prompt, text": "test_prompt",
        "evaluation of a department": "evaluate_department",
    }

    assert written == {
        "image": ["30-90 seconds", "5 minutes", "1-3 minutes"],
        "video": ["2-8 minutes", "15 minutes", "5-10 minutes"],
        "voice, audio": ["10-30 seconds", "2 minutes", "30 seconds - 2 minutes"],
        "prompt, text": ["5-15 seconds", "1 minute", "10-30 seconds"],
        "evaluation of a department": ["30-120 seconds", "5 minutes", "5 minutes"],
    }
    for kind, name in longest.items():
        assert TASK_TYPES[name].hard_limit.total_seconds() <= seconds(written[kind][1])


# -- commands ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_variables_exist(document: Path) -> None:
    """Each `genfleet …` that is shown has its command and options, and each variable of ours is in `.env.example`."""
    text = document.read_text()
    commands = re.findall(r"^ {4}(genfleet [^|#\n]*)", text, re.MULTILINE)
    known = re.findall(r"^#? ?([A-Z][A-Z_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert [wrong for line in commands for wrong in _unknown(line)] == []
    assert set(re.findall(r"\bGENFLEET_[A-Z_]*[A-Z]\b(?!…)", text)) <= {*known, *OF_OTHERS}


OF_OTHERS = {"GENFLEET_API_KEY", "GENFLEET_URL", "GENFLEET_API_IMAGE"}
"""Read by the command line, and by the tests on a cluster: no settings of the programs."""


def _unknown(line: str) -> list[str]:
    """What the command line does not know of a command."""
    command, words = get_command(command_line), shlex.split(line.rstrip("\\ "), comments=True)[1:]
    while words and not words[0].startswith("-") and (below := getattr(command, "commands", None)):
        if words[0] not in below:
            return [] if words[0] == "up" else [line]  # `up` comes with another package
        command, words = below[words[0]], words[1:]
    options = {"--help", "--version"}.union(*(parameter.opts for parameter in command.params))
    return [f"{line}: {word}" for word in words if word.startswith("-") and word not in options]


@pytest.mark.parametrize(
    "name", ["task-queue-quick-reference.md", "troubleshooting.md", "migration.md", "from-celery.md"]
)
def test_addresses_exist(name: str) -> None:
    """TS-180, TS-175: each path of the API that is named there is in its description."""
    described = {re.sub(r"\{\w+\}", "{}", path) for path in json.loads((DOCS / "openapi.json").read_text())["paths"]}
    named = re.findall(
        r"(?:localhost:8001|`|GET |POST |DELETE )(/(?:api/v1/[\w/{}-]+|health)\b/?[\w{}]*)", (DOCS / name).read_text()
    )

    assert len(named) >= 5
    assert {re.sub(r"\{\w+\}|[A-Z]+_ID", "{}", path) for path in named} <= described


def test_every_list_of_every_queue_is_looked_at() -> None:
    """TS-177: the loop that needs no API asks for each list that a queue has in Redis, by its exact name."""
    (loop,) = re.findall(r"^ {4}for queue in .*\n(?: {4}.*\n)+", TROUBLE, re.MULTILINE)

    shown = subprocess.run(
        [BASH, "-c", f'redis-cli() {{ printf %s "$2"; }}\n{loop}'], capture_output=True, text=True, check=True
    ).stdout

    asked = {line.rpartition(": ")[2] for line in shown.splitlines()}
    assert {broker_list(name, step) for name in (*QUEUES[:3], "celery", "default") for step in PRIORITY_STEPS} <= asked


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(
            [
                "pm2 list",
                "pm2 logs celery-worker --lines 50",
                "redis-cli ping",
                "redis-cli llen celery",
                "pm2 restart celery-worker",
                "systemctl restart redis-server",
            ],
            id="TS-177 stuck in queued",
        ),
        pytest.param(['grep "^API_KEY=" .env', "/api/v1/health"], id="TS-178 401 for everything"),
        pytest.param(
            [
                "pm2 list",
                "pm2 logs celery-redis-api --lines 100",
                "netstat -tlnp | grep 8001",
                "lsof -i :8001",
                "pm2 restart celery-redis-api",
                "nginx -t",
            ],
            id="TS-179 not responding",
        ),
        pytest.param(["/health ", "/api/v1/tasks/health ", "/api/v1/tasks/metrics "], id="TS-180 health"),
        pytest.param(["pm2 logs celery-redis-api ", "--lines 100", "--err"], id="TS-181 logs"),
        pytest.param(
            [
                f"/var/log/celery-{name}-{stream}-*.log"
                for name in ("redis-api", "worker")
                for stream in ("out", "error")
            ],
            id="TS-182 log files",
        ),
        pytest.param(["id", "project", "type", "data", "when", "error", "expected"], id="TS-185 a report of a problem"),
    ],
)
def test_what_is_to_be_looked_at_is_written(words: list[str]) -> None:
    """The documented commands are in the page on troubles."""
    assert [word for word in words if word not in TROUBLE] == []


def test_the_key_is_found_as_written(tmp_path: Path) -> None:
    """TS-178: the command finds the key in a copy of `.env.example` that was filled in."""
    (command,) = re.findall(r"API_KEY=\$\((grep .*)\)", TROUBLE)
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text().replace("\nAPI_KEY=\n", "\nAPI_KEY=secret\n"))

    shown = subprocess.run([BASH, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert shown == "secret\n"


def test_the_check_of_imports_looks_at_everything() -> None:
    """TS-176: the command of the page makes every engine, so that a package which is missing is named."""
    (command,) = re.findall(r'python -c "(from genfleet_workers .*)"', TROUBLE)

    shown = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout

    assert set(shown.split()) == set(TASK_TYPES)


# -- names ---------------------------------------------------------------------------------------------------------------


def test_old_names_have_new_ones() -> None:
    """TS-183, TS-002, TS-176, TS-186: whatever the documents call by name is in the page on migration."""
    names = (
        "/var/www/celery-redis",
        "/var/www/celery-redis/venv",
        "app.celery_app",
        "app.main",
        "from app.api import tasks, projects, workers",
        "TaskStorage",
        "task_routes",
        "requirements.txt",
        "ecosystem.config.js",
        "TASK_QUEUE_IMPLEMENTATION.md",
        "TASK_QUEUE_QUICK_REFERENCE.md",
        "CELERY_WORKER_FIX.md",
        "TASK_STORAGE_FIX.md",
        "requests/IMPLEMENTATION_COMPLETE.md",
        "https://tasks.ngrok.pro",
        "https://tasks.ft.tc",
        "http://localhost:8001",
        "CELERY_API_KEY",
        "CELERY_TASK_API_KEY",
        "TASK_SERVICE_URL",
        "NEXT_PUBLIC_TASK_SERVICE_URL",
        "src/services/taskService.ts",
        "task_client.py",
        "celery-redis-api-1",
    )

    assert [name for name in names if name not in MIGRATION] == []


def test_new_names_can_be_imported() -> None:
    """TS-183: modules and functions that stand for the old ones are there."""
    (routes,) = re.findall(r"`(from genfleet_service.routes import [\w, ]+)`", MIGRATION)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    look = (
        f"{routes}\nimport genfleet.store, genfleet_workers.celery_app\nfrom genfleet_client import TaskServiceClient"
    )

    subprocess.run([sys.executable, "-c", look], check=True)
    assert scripts["genfleet-api"] == "genfleet_service.main:main"
    assert "genfleet_service.main:main" in MIGRATION


def test_every_state_of_celery_has_a_word() -> None:
    """TS-051: each of Celery's states, and the word that clients read instead."""
    written = {celery: re.findall(r"`?(\w+)`", ours + "`")[0] for celery, ours in table(MIGRATION, "Celery")}

    assert {celery: State(word) for celery, word in written.items()} == {
        "PENDING": State.QUEUED,
        "RECEIVED": State.QUEUED,
        "STARTED": State.PROCESSING,
        "RETRY": State.QUEUED,
        "SUCCESS": State.COMPLETED,
        "FAILURE": State.FAILED,
        "REVOKED": State.CANCELLED,
    }
    assert set(written) | {states.REJECTED, states.IGNORED} >= states.ALL_STATES


def test_metadata_that_helps_is_named() -> None:
    """TS-170: the keys that callers should fill."""
    text = (DOCS / "system-integration.md").read_text()

    for name in ("user_id", "session_id", "agent_id", "workflow_step", "ui_context"):
        assert f"`{name}`" in text


def test_an_evaluation_has_its_document() -> None:
    """TS-099: the arguments, the result and both documented failures have a page, which others point to."""
    text = (DOCS / "evaluate-department-task.md").read_text()

    for name in (
        *TASK_TYPES["evaluate_department"].data.model_fields,
        "evaluation_result",
        "Insufficient data provided for",
    ):
        assert name in text
    assert "evaluate-department-task.md" in (DOCS / "task-types.md").read_text()
