"""What others wrote is shown at the command line and does nothing there: S26 of the list in `docs/security.md`."""

from __future__ import annotations

import json
from io import StringIO

import httpx
import orjson
import pytest
from rich.table import Table
from rich.text import Text

from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet_client.terminal import Terminal, as_json, shown
from tests.clients.command import genfleet, terminal
from tests.service.acts import claim, submitted
from tests.support.waiting import wait_for

COMMANDS = {
    "clear the screen": "\x1b[2J\x1b[H",
    "title of the window": "\x1b]0;owned\x07",
    "colour": "\x1b[31mred\x1b[0m",
    "link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "answer back": "\x1b[6n\x05",
    "device status string": "\x1bP$q\x1b\\",
    "one byte of C1": "\x9b2J\x9d0;owned\x9c",
    "overwrite the line": "failed\rcompleted",
    "rub out": "failed\x08\x08\x08\x08\x08\x08done",
    "bell": "\x07",
    "delete": "\x7f",
    "right to left": "\u202etxt.exe\u202c",
    "isolate": "\u2066a\u2069",
    "NUL": "a\x00b",
    "vertical tab and form feed": "\x0b\x0c",
}
EVERYTHING = "start " + " ".join(COMMANDS.values()) + " end"
FORBIDDEN = {
    chr(code) for code in (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), 0x2066, 0x2069)
}


def is_plain(text: str) -> bool:
    """Whether a terminal shows every character."""
    return not FORBIDDEN & set(text)


@pytest.mark.parametrize("written", COMMANDS.values(), ids=COMMANDS)
def test_commands_among_text_are_shown_as_signs(written: str) -> None:
    """S26: alone, in a table, in a list of them; colours of our own stay."""
    to = StringIO()
    console = Terminal(file=to, width=200, no_color=True)
    table = Table(written)
    table.add_row(Text(written))
    console.print(Text(written), table, written, highlight=False, markup=False)
    assert is_plain(to.getvalue())
    assert is_plain(shown(written))
    assert is_plain(as_json({written: [written]}))
    assert json.loads(as_json({written: [written]})) == {written: [written]}

    coloured = StringIO()
    Terminal(file=coloured, force_terminal=True, color_system="standard", width=200).print(Text("ours", style="red"))
    assert "\x1b[31mours\x1b[0m" in coloured.getvalue()


def test_ordinary_text_stays_as_it_is() -> None:
    """S26: letters of every script, signs, tabs and new lines are no commands."""
    text = "Ärger, 東京, 👩‍🚀, עברית, العربية, a\tb\nc — “d” é"
    assert shown(text) == text


@pytest.mark.parametrize(
    "words", [("status",), ("status", "--full"), ("logs",), ("status", "--json"), ("logs", "--json")]
)
def test_a_task_cannot_write_on_the_terminal(api: httpx.Client, store: SyncStore, words: tuple[str, ...]) -> None:
    """S26: neither its data, nor its error, nor what its engine said, piped or on a terminal."""
    task_id = submitted(
        api, project_id=EVERYTHING[:200], task_data={EVERYTHING: EVERYTHING}, metadata={"a": EVERYTHING}
    )
    claim(store, task_id)
    store.run(steps.progress(task_id, 1, 0.5, EVERYTHING))
    store.run(steps.log(task_id, 1, 1, [("info", EVERYTHING)]))
    store.run(steps.fail(task_id, 1, EVERYTHING, EVERYTHING))
    done = genfleet(api, words[0], task_id, *words[1:])
    assert "start" in done.out
    assert is_plain(done.out + done.err)


def test_lists_pauses_keys_and_refusals_cannot_either(api: httpx.Client, store: SyncStore) -> None:
    """S26: whatever else is shown that somebody wrote."""
    url = "http://x.example/\x9b2J"
    name = "\x9b2J\u202eevil"
    task_id = submitted(api, project_id="p")
    claim(store, task_id)
    store.run(steps.complete(task_id, 1, orjson.dumps({"media_url": EVERYTHING})))
    api.post("/api/v1/queues/default/pause", json={"reason": EVERYTHING[:500]})
    made = api.post("/api/v1/keys", json={"name": name, "projects": [EVERYTHING[:255]]})
    assert made.status_code == httpx.codes.OK, made.text
    commands = (
        ("ls", "p"), ("queues",), ("keys", "list"), ("audit",), ("usage", "p"), ("status", EVERYTHING.replace("\x00", "")),
        ("submit", "generate_image", "-d", json.dumps({"x": 1}), "--callback-url", url),
        ("submit", EVERYTHING.replace("\x00", "")), ("ls", EVERYTHING.replace("\x00", ""), "--status", "queued"),
    )  # fmt: skip
    for words in commands:
        done = genfleet(api, *words)
        assert is_plain(done.out + done.err), words
    assert "default" in genfleet(api, "queues").out


def test_nothing_gets_through_on_a_terminal(api: httpx.Client, store: SyncStore) -> None:
    """S26: there our own codes are written, and none of the task's."""
    task_id = submitted(api, task_data={"a": EVERYTHING})
    claim(store, task_id)
    store.run(steps.fail(task_id, 1, EVERYTHING))
    with terminal(api, "status", task_id) as screen:
        wait_for("it shows the end of the error", lambda: screen.shows(" end"), within=20)
        assert not any(command in screen.raw for command in (b"\x1b[2J", b"\x1b]", b"\x07", b"\x9b", b"\x1bP", b"\x05"))
