"""Where log lines go, and what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys

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
