"""Where log lines go, and what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

SAY = """
import logging, sys
import structlog
from genfleet import logs
logs.set_up("api", level="info", style="text", errors_apart=sys.argv[1] == "apart")
structlog.get_logger().info("Webhook sent successfully", status_code=200)
structlog.get_logger().error("Failed to send webhook after all retries")
logging.getLogger("some.library").error("no connection")
"""


def said(how: str) -> tuple[list[str], list[str]]:
    """What a program writes to stdout and to stderr: of each line what comes after the time."""
    done = subprocess.run([sys.executable, "-c", SAY, how], capture_output=True, text=True, check=True)
    out, err = ([line.partition(" ")[2] for line in text.splitlines()] for text in (done.stdout, done.stderr))
    return out, err


def test_the_whole_log_can_be_searched_in_one_stream() -> None:
    """TS-140: `docker logs … | grep` reads stdout, so every line is there, errors too."""
    assert said("together") == (
        [
            "INFO: Webhook sent successfully status_code=200 program=api",
            "ERROR: Failed to send webhook after all retries program=api",
            "ERROR: no connection program=api",
        ],
        [],
    )


def test_errors_can_be_kept_apart() -> None:
    """TS-181: `pm2 logs … --err` reads stderr, so with the setting errors are there and nothing else is."""
    assert said("apart") == (
        ["INFO: Webhook sent successfully status_code=200 program=api"],
        ["ERROR: Failed to send webhook after all retries program=api", "ERROR: no connection program=api"],
    )


FORGE = r"""
import logging, sys
import structlog
from genfleet import logs
logs.set_up("api", level="info", style=sys.argv[1])
evil = "no\x1b[2J\x9b\r\nINFO: audit action=keys-create name=boss"
structlog.get_logger().info("ours", what=evil)
logging.getLogger("some.library").error("it said %s", evil)
logs.line("audit", target=evil)
try:
    raise ValueError(evil)
except ValueError:
    structlog.get_logger().exception("broken")
"""


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_others_wrote_cannot_forge_a_line(style: str) -> None:
    """S26, S27: nor write on the terminal of who reads the log: fields, messages of libraries, and tracebacks."""
    done = subprocess.run([sys.executable, "-c", FORGE, style], capture_output=True, text=True, check=True)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stdout)
    assert "action=keys-create" in done.stdout
    heads = [line for line in done.stdout.splitlines() if not line.startswith(("    ", "Traceback"))]
    assert len(heads) == 4
    if style == "json":
        assert [json.loads(line)["event"].split()[0] for line in heads] == ["ours", "it", "audit", "broken"]


def lines_of(program: str) -> list[dict[str, Any]]:
    """What a program that logs as JSON has written."""
    begin = "import logging, threading, structlog\nfrom genfleet import logs\n"
    begin += 'logs.set_up("worker", level="info", style="json", queue="gpu_medium")\nlog = structlog.get_logger()\n'
    done = subprocess.run([sys.executable, "-c", begin + program], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_line_says_which_program_wrote_it() -> None:
    """TS-185: also those of threads, which begin without a context, and of libraries; when, how bad and what come first."""
    lines = lines_of("""
say = lambda: (log.info("ours", queue="other"), logging.getLogger("some.library").warning("theirs"), logs.line("kept"))
say()
thread = threading.Thread(target=say); thread.start(); thread.join()
""")
    assert [(line["event"], line["program"], line["queue"]) for line in lines] == 2 * [
        ("ours", "worker", "other"),
        ("theirs", "worker", "gpu_medium"),
        ("kept", "worker", "gpu_medium"),
    ]
    assert {tuple(line)[:3] for line in lines} == {("timestamp", "level", "event")}


def test_the_context_is_in_the_same_order_on_each_line() -> None:
    """TS-185: whose task it is, before what else is known."""
    (line,) = lines_of("""
with structlog.contextvars.bound_contextvars(attempt=2, other=1, task_type="t", task_id="i", project_id="p"):
    log.info("ours", seconds=1)
""")
    names = ["timestamp", "level", "event", "seconds", "task_id", "project_id", "task_type", "attempt", "other"]
    assert list(line) == [*names, "program", "queue"]


def test_fields_that_hold_what_was_submitted_are_hidden() -> None:
    """By their names, however deep, whoever logs them; and secrets as before."""
    (line,) = lines_of("""
given = {"prompt": "a detective", "sent": [{"Text": "words", "size": 5}], "api_key": "k", "at": "redis://me:word@host"}
log.info("ours", task_data=given, prompt="a detective", negative_prompt="rain", kwargs=given, given=given, reason="busy")
""")
    hidden = {name for name, value in line.items() if value == "[hidden]"}
    assert hidden == {"task_data", "prompt", "negative_prompt", "kwargs"}
    within = {"prompt": "[hidden]", "sent": [{"Text": "[hidden]", "size": 5}], "api_key": "[hidden]"}
    assert line["given"] == {**within, "at": "redis://me:[hidden]@host"}
    assert line["reason"] == "busy"


def test_texts_of_a_submission_are_hidden_while_it_is_worked_on() -> None:
    """However they are quoted: by libraries, in errors, line by line. Afterwards the process forgets them."""
    lines = lines_of(r"""
words = "a \"detective\" ä\nin film noir ä style"
library = logging.getLogger("some.library")
def say():
    library.warning("asked for %s", words)
    library.warning("asked for %r", words)
    library.warning("asked for %s", __import__("json").dumps([words]))
    library.warning("asked for %s", __import__("json").dumps([words], ensure_ascii=False))
    library.warning("its end is in film noir ä style, en")
    try:
        raise ValueError(words)
    except ValueError:
        log.exception("broken", size="1024")
with logs.hiding(__import__("json").dumps({"shots": [{"prompt": words}], "lang": "en", "seed": 7}).encode()):
    say()
say()
""")
    during, after = lines[:6], lines[6:]
    assert len(after) == 6
    for line in during:
        assert "detective" not in str(line)
        assert "noir" not in str(line)
    assert during[0]["event"] == "asked for [hidden]"
    assert during[4]["event"] == "its end is [hidden], en"
    assert "ValueError: [hidden]" in during[5]["exception"]
    assert all("detective" in str(line) or "noir" in str(line) for line in after)


@pytest.mark.parametrize("document", ["no JSON", "[[", "null", '{"a": 1}'])
def test_a_document_without_texts_hides_nothing(document: str) -> None:
    """Another producer's data is whatever it is; the log goes on."""
    (line,) = lines_of(f"with logs.hiding({document!r}.encode()):\n    log.info('a line of some length')")
    assert line["event"] == "a line of some length"
