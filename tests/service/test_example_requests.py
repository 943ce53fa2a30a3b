"""The requests in `examples`, which a newcomer sends first: they are taken as they are, and reach nobody else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genfleet.contract.task_types import TASK_TYPES
from genfleet_service.submissions import read_submission
from genfleet_service.webhooks.rules import CallbackRules
from tests.support.servers import ROOT

REQUESTS = sorted((ROOT / "examples").glob("*.json"))


def test_there_is_one_for_each_type() -> None:
    """TS-017: each of the eight types, in a file of its name."""
    assert [request.stem for request in REQUESTS] == sorted(TASK_TYPES)


@pytest.mark.parametrize("request_file", REQUESTS, ids=lambda file: file.stem)
def test_an_example_is_taken_and_calls_nobody(request_file: Path) -> None:
    """TS-009, TS-138: accepted without a warning, and with no address in it: whoever tries it bothers no other host."""
    body = request_file.read_bytes()
    task, warnings = read_submission(body, key_id="k", callbacks=CallbackRules(allow_http=False, allow_private=False))
    assert (task.type, task.callback_url, warnings) == (request_file.stem, "", [])
    assert not re.findall(rb"https?://[^\"]+", body)
