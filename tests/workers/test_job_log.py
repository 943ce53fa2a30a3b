"""What an engine says of its work reaches the task's stream: in order, once, bounded, and without holding up the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet_workers.job_log import CHARACTERS, LINES, JobLog, readable
from tests.support.servers import Redis, free_port
from tests.support.tasks import running


def said(store: SyncStore, task_id: str) -> list[tuple[str, str]]:
    """Level and text of each line that was kept."""
    lines, after = list[tuple[str, str]](), 0
    while events := store.run(steps.events([(task_id, after)]))[0].events:
        lines += [(event.fields["level"], event.fields["log"]) for event in events if "log" in event.fields]
        after = events[-1].number
    return lines


def test_lines_are_kept_as_they_are_said(store: SyncStore) -> None:
    """Each at once, with its level."""
    lease = running(store)
    log = JobLog(store, lease)
    log("3 shots")
    log("one picture could not be opened", "warning")
    assert said(store, lease.task_id) == [("info", "3 shots"), ("warning", "one picture could not be opened")]


def test_an_attempt_that_talks_too_much_is_cut_off_with_a_word(store: SyncStore) -> None:
    """A stream is not to be filled by one engine: so many lines, then one that says that there were more."""
    lease = running(store)
    log = JobLog(store, lease)
    for number in range(LINES + 50):
        log(str(number))
    lines = said(store, lease.task_id)
    assert [text for _, text in lines[:-1]] == [str(number) for number in range(LINES)]
    assert lines[-1] == ("warning", f"The log of an attempt has {LINES} lines; what else was said is left out")


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        pytest.param("  ready\n", "ready", id="blanks around it"),
        pytest.param("a\x1b[2Jb\nc", "a [2Jb c", id="codes that move a cursor"),
        pytest.param("half a \udcff letter", "half a   letter", id="what no encoding knows"),
        pytest.param("x" * (CHARACTERS + 1), "x" * (CHARACTERS - 1) + "…", id="too long"),
        pytest.param("größer → weiter", "größer → weiter", id="any language"),
    ],
)
def test_a_line_is_made_readable(message: str, kept: str) -> None:
    """Programs that engines call say all sorts of things, and a person reads them on a terminal."""
    assert readable(message) == kept


def test_lines_wait_while_redis_is_away(tmp_path: Path) -> None:
    """NS-010: the work goes on, and what was said meanwhile is kept later, in order and once."""
    redis = Redis(tmp_path, free_port())
    redis.start()
    store = SyncStore(redis.url)
    lease = running(store)
    log = JobLog(store, lease)
    log("before")
    redis.stop()
    log("while it is away")
    log("still")
    redis.start()
    log("after")
    log.flush()
    assert [text for _, text in said(store, lease.task_id)] == ["before", "while it is away", "still", "after"]
    store.close()
    redis.stop()
