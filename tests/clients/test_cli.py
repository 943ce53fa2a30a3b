"""The `genfleet` command against a real API and a real worker: what it prints, and with which status it exits."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import orjson
import pytest

from genfleet.contract.states import State
from genfleet.store import capacity, steps
from genfleet.store.client import SyncStore
from genfleet.store.records import TaskRecord
from tests.clients.command import COLUMNS, genfleet, started, terminal
from tests.clients.front import Front, answers, limits_batches_to, over_the_limit, passes_on
from tests.support.servers import KEY, ROOT
from tests.support.tasks import record, running, submitted
from tests.support.waiting import wait_for

FLEET = {
    "wanted": 2,
    "starting": 1,
    "ready": 1,
    "draining": 0,
    "busy": 1,
    "minimum": 0,
    "maximum": 3,
    "reason": "DemandRose",
    "explanation": "5 tasks (4 waiting, the oldest for 3 s; 1 running; 0 due again): 2 workers needed; up from 1.",
}


def stored(store: SyncStore) -> TaskRecord:
    """The one task that is there."""
    (task,) = store.run(steps.project_tasks("default", offset=0, limit=2)).tasks
    return record(store, task.id)


# -- submit --------------------------------------------------------------------------------------------------------------


def test_a_task_is_submitted_by_its_type_and_data(api: httpx.Client, store: SyncStore) -> None:
    """TS-008, TS-011: the answer is shown, and what was left out has the documented defaults."""
    done = genfleet(api, "submit", "generate_image", "--data", '{"prompt": "a red fox"}')

    task = stored(store)
    assert (done.status, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()][:3] == [
        ["task_id", task.id],
        ["status", "queued"],
        ["project_id", "default"],
    ]
    assert (task.type, task.data, task.priority, task.metadata) == ("generate_image", {"prompt": "a red fox"}, 2, {})


def test_data_comes_from_stdin_or_a_file(api: httpx.Client, store: SyncStore, tmp_path: Path) -> None:
    """What is too long for a command line is piped in, or read from a file; the rest is said by options."""
    data, metadata = {"prompt": "a red fox" * 1000}, {"user_id": "u"}
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    options = (
        "--priority",
        1,
        "--callback-url",
        "https://example.com/done",
        "--metadata",
        f"@{tmp_path}/metadata.json",
    )

    done = genfleet(api, "submit", "generate_image", "--data", "@-", *options, stdin=json.dumps(data))

    assert done.status == 0, done.err
    task = stored(store)
    assert (task.data, task.metadata) == (data, metadata)
    assert (task.priority, task.callback_url) == (1, "https://example.com/done")


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.json")), ids=lambda path: path.name)
def test_the_examples_are_whole_requests(api: httpx.Client, store: SyncStore, example: Path) -> None:
    """TS-009: the documents' own bodies are accepted as they are; an option changes one field of them."""
    body = json.loads(example.read_text())

    answer = genfleet(api, "submit", "--file", example, "--project", "mine", "--json").json

    task = record(store, answer["task_id"])
    assert (task.project, task.type, task.data) == ("mine", body["task_type"], body["task_data"])
    assert (task.priority, task.metadata) == (body.get("priority", 2), body.get("metadata", {}))
    assert set(answer) == {
        "task_id",
        "status",
        "project_id",
        "estimated_duration",
        "queue_position",
        "created_at",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["submit"], "Give its type, such as `genfleet submit generate_image`, or a whole body with --file"),
        (["submit", "generate_image", "-d", '{"seed": NaN}'], "--data: not valid JSON: Out of range float values"),
        (
            ["submit", "generate_image", "-d", '["a"]'],
            '--data: must be a JSON object, such as \'{"prompt": "a red fox"}\'',
        ),
        (["submit", "-f", "/no/such.json"], "--file: cannot read /no/such.json: No such file or directory"),
    ],
    ids=["nothing", "not JSON", "no object", "no file"],
)
def test_what_cannot_be_asked_is_refused_with_the_remedy(words: list[str], said: str) -> None:
    """Exit status 2, before anything is sent: there is no service here."""
    done = genfleet(None, *words)

    assert (done.status, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    "options", [[], ["--timeout", 0], ["--timeout", 0, "--json"]], ids=["shown", "waits", "scripts"]
)
def test_a_warning_is_told_once(api: httpx.Client, options: list[object]) -> None:
    """TS-011: a key that looks misspelt is no error, and is said beside the answer; for scripts it is in the answer."""
    words = ("submit", "generate_video", "--data", '{"duratoin": 3}')

    done = genfleet(api, *words, *options)

    assert (done.out + done.err).count("duratoin") == 1
    assert done.err.startswith("warning: ")
    assert "duratoin" in str(genfleet(api, *words, "--json").json["warnings"])


def test_a_refused_request_names_each_field(api: httpx.Client) -> None:
    """TS-146: exit status 2, and every field that is to blame on a line of its own, under its dotted path."""
    options = ("--priority", 9, "--data", '{"duration": 99}', "--callback-url", "ftp://example.com")

    done = genfleet(api, "submit", "generate_video", *options)

    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[0] == "error: Invalid task data"
    assert "  priority: Priority must be 1 (high), 2 (normal) or 3 (low)" in done.err.splitlines()
    assert "  task_data.duration: Duration must be between 1 and 30 seconds" in done.err.splitlines()
    assert "  callback_url: " in done.err


# -- waiting -------------------------------------------------------------------------------------------------------------


def test_waiting_shows_each_step_and_then_the_result(api: httpx.Client, worker: None) -> None:
    """TS-165: elsewhere than on a terminal a line for each change, on stderr; the result's address is not broken."""
    words = ("submit", "generate_image", "--data", '{"seconds": 3}', "--wait")

    done = genfleet(api, *words)

    assert done.status == 0, done.err
    task_id = done.err.splitlines()[0].removeprefix("task ")
    assert done.err.splitlines()[-3:] == ["processing: first half", "processing: second half", "completed"]
    fields = dict(line.split(maxsplit=1) for line in done.out.splitlines() if len(line.split()) > 1)
    assert (fields["task_id"], fields["status"]) == (task_id, "completed")
    assert task_id in fields["media_url"]
    assert fields["media_url"].endswith(".txt")


def test_a_failed_task_is_status_1_and_json_is_all_of_stdout(api: httpx.Client, worker: None) -> None:
    """TS-162: for scripts the last status of the task is the only thing on stdout, failed or not."""
    data = '{"fail": "ValueError", "message": "scene [bold] is empty"}'

    done = genfleet(api, "submit", "generate_image", "--data", data, "--wait", "--json")

    assert done.status == 1
    assert done.json["status"] == "failed"
    assert "scene [bold] is empty" in done.json["error"]
    assert done.err.splitlines()[-1] == "failed"

    full = genfleet(api, "status", done.json["task_id"], "--full")
    assert full.status == 0
    assert "Traceback (most recent call last):" in full.out
    assert "scene [bold] is empty" in full.out


def test_a_cancelled_task_is_status_3(api: httpx.Client, worker: None, tmp_path: Path) -> None:
    """TS-042, TS-162: whoever waits for it is told; whoever cancels it reads the documented message."""
    task_id = genfleet(api, "submit", "generate_image", "-d", '{"seconds": 60}', "--json").json["task_id"]
    with started(api, tmp_path, "status", task_id, "--wait") as waiting:
        waiting.wait_for("processing")
        cancelled = genfleet(api, "cancel", task_id)
        done = waiting.done()

    assert (cancelled.status, cancelled.out) == (0, "Task was running and has been terminated\n")
    assert done.status == 3
    assert done.err.splitlines()[-1] == "cancelled"


def test_waiting_ends_at_its_timeout_and_the_task_goes_on(api: httpx.Client, store: SyncStore) -> None:
    """TS-162: exit status 7, after the time that was given, and how to go on is said."""
    done = genfleet(api, "submit", "generate_video", "--timeout", 0.3)

    task_id = done.err.splitlines()[0].removeprefix("task ")
    assert (done.status, done.out) == (7, "")
    assert f"Task timeout after 0.3 seconds; the task goes on: genfleet status {task_id}" in done.err
    assert record(store, task_id).state is State.QUEUED


def test_ctrl_c_stops_waiting_and_not_the_task(api: httpx.Client, store: SyncStore, tmp_path: Path) -> None:
    """Exit status 130, as in a shell, and the two commands that may be wanted next."""
    task_id = submitted(store, kind="generate_video")
    with started(api, tmp_path, "status", task_id, "--wait") as waiting:
        waiting.wait_for("queued")
        done = waiting.interrupt()

    assert done.status == 130
    assert f"genfleet status {task_id} --wait, or genfleet cancel {task_id}" in done.err
    assert record(store, task_id).state is State.QUEUED


def test_on_a_terminal_a_bar_moves(api: httpx.Client, worker: None) -> None:
    """TS-165: progress and step move in one line; afterwards the result is there and the bar is not in the way."""
    with terminal(api, "submit", "generate_image", "-d", '{"seconds": 1}', "--wait") as screen:
        wait_for("the bar shows the step", lambda: screen.shows("processing: first half ━"), within=20)
        wait_for("the result", lambda: screen.shows("media_url"), within=20)
        assert screen.process.wait(20) == 0

    assert "%" in screen.text
    assert max(len(line) for line in screen.text.splitlines() if "media_url" not in line) <= COLUMNS


# -- status, ls, cancel, retry -------------------------------------------------------------------------------------------


def test_status_is_the_documented_body(api: httpx.Client, store: SyncStore) -> None:
    """TS-021, NS-001: --json is the body of the API as it is, --full the one with all that is kept."""
    task_id = submitted(store, kind="generate_video", prompt="a red fox")

    assert genfleet(api, "status", task_id, "--json").json == api.get(f"/api/v1/tasks/{task_id}/status").json()
    assert genfleet(api, "status", task_id, "--full", "--json").json == api.get(f"/api/v1/tasks/{task_id}").json()


def test_status_of_a_task_that_does_not_wait(api: httpx.Client, store: SyncStore) -> None:
    """TS-021: one at work and one that has ended have nothing to wait for, and are shown like any other."""
    lease = running(store, kind="generate_video")
    assert ["status", "processing"] in [
        line.split() for line in genfleet(api, "status", lease.task_id).out.splitlines()
    ]
    store.run(steps.complete(lease.task_id, lease.token, b"{}"))
    assert ["status", "completed"] in [line.split() for line in genfleet(api, "status", lease.task_id).out.splitlines()]


def test_a_log_is_shown(api: httpx.Client, store: SyncStore) -> None:
    """What the engine said so far, a line each, with its time and level; for scripts the answer of the API."""
    lease = running(store, kind="generate_video")
    store.run(steps.log(lease.task_id, lease.token, 1, [("info", "3 shots"), ("warning", "one picture is [left] out")]))

    done, told = genfleet(api, "logs", lease.task_id), genfleet(api, "logs", lease.task_id, "--json").json

    times = [line["at"][11:-1] for line in told["logs"]]
    assert (done.status, done.err) == (0, "")
    assert [line.split(maxsplit=2) for line in done.out.splitlines()] == [
        [times[0], "info", "3 shots"],
        [times[1], "warning", "one picture is [left] out"],
    ]


def test_a_log_is_followed_to_the_end(api: httpx.Client, store: SyncStore, tmp_path: Path) -> None:
    """A line is there when it is said, and the command ends with the task."""
    lease = running(store, kind="generate_video")  # for a queue that the worker of other tests does not serve
    with started(api, tmp_path, "logs", lease.task_id, "--follow") as following:
        store.run(steps.log(lease.task_id, lease.token, 1, [("info", "first")]))
        following.wait_for("first")
        store.run(steps.log(lease.task_id, lease.token, 2, [("info", "second")]))
        store.run(steps.complete(lease.task_id, lease.token, b"{}"))
        done = following.done()
    assert (done.status, [line.split()[-1] for line in done.out.splitlines()]) == (0, ["first", "second"])


def test_an_unknown_task_is_status_6(api: httpx.Client) -> None:
    """TS-145: with the id that was not found."""
    done = genfleet(api, "status", "abc?123")

    assert (done.status, done.out) == (6, "")
    assert done.err == "error: Task with ID 'abc?123' not found\n"


def test_a_wrong_key_is_status_5(api: httpx.Client) -> None:
    """TS-144: and where a key comes from is said, without the key."""
    done = genfleet(api, "ls", GENFLEET_API_KEY="wrong-key")

    assert (done.status, done.out) == (5, "")
    assert "Invalid or missing API key" in done.err
    assert "set GENFLEET_API_KEY" in done.err
    assert "wrong-key" not in done.err


def test_a_key_for_other_projects_is_told_what_to_change(api: httpx.Client) -> None:
    """NS-012: the key is good, so that another one is not the first remedy."""
    key = genfleet(api, "keys", "create", "theirs", "--project", "theirs")

    done = genfleet(api, "ls", "ours", GENFLEET_API_KEY=key.out.strip())

    assert done.status == 5
    assert "may not use project 'ours'\n  give a project that the key may use with --project" in done.err


def test_a_list_fits_a_terminal_and_keeps_its_ids_whole(api: httpx.Client, store: SyncStore) -> None:
    """TS-035: newest first, in 80 columns, with ids that can be copied, also where the list has more pages."""
    ids = [genfleet_id(store, number) for number in range(3)]

    done = genfleet(api, "ls", "p", "--limit", 2)

    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ids[:0:-1]
    assert lines[3] == "page 1 of 2, 3 tasks; more with --page 2"
    assert max(map(len, lines)) <= COLUMNS
    assert genfleet(api, "ls", "empty").out == "no such tasks in project empty\n"


def genfleet_id(store: SyncStore, number: int) -> str:
    """The id, as long as a real one, of a submitted task of the type with the longest name."""
    return submitted(store, f"{number:08}-0000-0000-0000-000000000000", kind="generate_character_voice")


def test_a_list_is_filtered(api: httpx.Client, store: SyncStore) -> None:
    """TS-030: each filter of the API has its option, they combine, and --json is the API's page."""
    for name in ("a", "b", "c"):
        store.run(steps.cancel(submitted(store, name, kind="generate_video")))
    submitted(store, "d", kind="generate_video")
    store.run(steps.cancel(submitted(store, "e", kind="generate_character_voice")))

    filters = ("--status", "cancelled", "--type", "generate_video", "--page", 2, "--limit", 2)
    page = genfleet(api, "ls", "p", *filters, "--json").json
    assert [task["task_id"] for task in page["tasks"]] == ["a"]
    assert page["pagination"] == {"page": 2, "limit": 2, "total": 3, "total_pages": 2}
    assert genfleet(api, "ls", "p", "--since", "2999-01-01", "--json").json["tasks"] == []


def test_what_is_over_is_not_cancelled_and_what_is_cancelled_is_retried(api: httpx.Client, store: SyncStore) -> None:
    """TS-041, TS-045, TS-053: each answer is the documented one; a refusal is exit status 2."""
    task_id = submitted(store, kind="generate_video")
    refused = genfleet(api, "retry", task_id)
    assert (refused.status, refused.err) == (
        2,
        "error: Only a failed or cancelled task can be retried; this one is queued\n",
    )

    assert genfleet(api, "cancel", task_id).out == "Task was queued and has been revoked\n"
    assert genfleet(api, "cancel", task_id, "--json").json["message"] == "Task was already cancelled"
    answer = genfleet(api, "retry", task_id, "--json").json
    again = record(store, answer["new_task_id"])
    assert (again.retry_of, again.state) == (task_id, State.QUEUED)


def test_a_delayed_task_is_not_taken_for_a_retry(api: httpx.Client, store: SyncStore, tmp_path: Path) -> None:
    """It has not been tried yet: when it gets in line is told."""
    task_id = genfleet(api, "submit", "generate_video", "--delay", 600, "--json").json["task_id"]
    with started(api, tmp_path, "status", task_id, "--wait") as waiting:
        waiting.wait_for("scheduled: gets in line at 20")


def test_a_queued_task_says_why_it_waits(api: httpx.Client, store: SyncStore) -> None:
    """TS-177: "stuck in queued" is answered where people look first."""
    done = genfleet(api, "status", submitted(store, kind="generate_video"))

    assert "waits  No worker serves queue gpu_heavy, and no fleet controller reports." in done.out.splitlines()


@pytest.mark.parametrize(("written", "place"), [("{}\n\n{}\n", "line 3"), ("[{}, {}]", "task 2")])
def test_a_file_may_hold_many_tasks(api: httpx.Client, tmp_path: Path, written: str, place: str) -> None:
    """JSON lines or an array: the ids of those accepted, each refusal with its place and its fields, and exit status 2."""
    good = {"project_id": "p", "task_type": "generate_video", "task_data": {}}
    (tmp_path / "tasks").write_text(written.format(json.dumps(good), json.dumps(good | {"priority": 9})))

    done = genfleet(api, "submit", "--file", tmp_path / "tasks", "--project", "mine")

    assert done.status == 2
    assert len(done.out.splitlines()) == 1
    assert f"error: {place}: Invalid task data" in done.err
    assert "priority: Priority must be 1 (high), 2 (normal) or 3 (low)" in done.err
    assert genfleet(api, "status", done.out.strip(), "--json").json["project_id"] == "mine"


@pytest.mark.parametrize(
    ("written", "words", "said"),
    [
        ('{"task_type": "test_prompt"}\n\n{"task_type": \n', [], "--file: line 3: not valid JSON: Expecting value"),
        ('{"task_type": "test_prompt"}\n3\n', [], "--file: line 2: must be a JSON object"),
        ('[{"task_type": "test_prompt"}, 3]', [], "--file: task 2: must be a JSON object"),
        ('{\n  "task_type": 3,\n}', [], "--file: not valid JSON: Expecting property name"),
        (
            '{"task_type": "test_prompt"}',
            ["generate_image"],
            "the file says test_prompt, the command generate_image: give one",
        ),
        (
            '{"task_data": {}}\n{"task_type": "test_prompt"}',
            ["generate_image"],
            "the file says test_prompt, the command generate_image: give one",
        ),
    ],
    ids=["half a line", "no object", "no object in an array", "one body", "another type", "another type in a line"],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(
    tmp_path: Path, written: str, words: list[str], said: str
) -> None:
    """Exit status 2, before anything is sent: there is no service here."""
    (tmp_path / "tasks").write_text(written)

    done = genfleet(None, "submit", *words, "--file", tmp_path / "tasks")

    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_a_wait_for_a_limit_is_told_and_can_be_given_up(front: Front, tmp_path: Path) -> None:
    """TS-154: nobody looks at a command that says nothing for half a minute."""
    front.tricks = [over_the_limit(30)]
    with httpx.Client(base_url=front.url) as api, started(api, tmp_path, "queues") as waiting:
        waiting.wait_for("a limit of this key or project is reached: waiting 30 s (ctrl-C gives up)")
        assert waiting.interrupt().status == 130


def test_what_a_limit_keeps_out_of_a_file_is_status_8(front: Front, tmp_path: Path) -> None:
    """TS-154: another exit status than that of wrong requests, because the same lines may do better later."""
    good = json.dumps({"project_id": "p", "task_type": "generate_video", "task_data": {}})
    (tmp_path / "tasks").write_text(f"{good}\n{good}\n")
    front.tricks = [limits_batches_to(1, retry_after=300)]

    done = genfleet(None, "submit", "--file", tmp_path / "tasks", GENFLEET_URL=front.url, GENFLEET_API_KEY=KEY)

    assert (done.status, len(done.out.splitlines())) == (8, 1)
    assert "Too many" in done.err


def test_all_of_a_project_is_cancelled_and_submitted_again(api: httpx.Client, store: SyncStore) -> None:
    """TS-041, TS-052: counted first, then done; and a second time nothing is done twice."""
    made = {submitted(store, name, kind="generate_video") for name in ("a", "b", "c")}

    assert genfleet(api, "cancel-all", "p", "--dry-run").out == "3 would be cancelled: nothing was done\n"
    assert genfleet(api, "cancel-all", "p", "--type", "generate_image").out == "0 cancelled\n"
    assert genfleet(api, "cancel-all", "p", "--json").json["done"] == 3
    assert {record(store, task_id).state for task_id in made} == {State.CANCELLED}
    assert genfleet(api, "retry-all", "p", "--status", "cancelled").out == "3 submitted again\n"
    assert genfleet(api, "retry-all", "p", "--status", "cancelled").out == "0 submitted again\n"
    assert genfleet(api, "retry-all", "p", "--status", "queued").status == 2


def test_what_stops_a_retry_of_all_is_told(api: httpx.Client, store: SyncStore) -> None:
    """TS-154: how far it came, and the limit that it ran into, as exit status 8."""
    for name in ("a", "b", "c"):
        store.run(steps.cancel(submitted(store, name, kind="generate_video")))
    key = genfleet(api, "keys", "create", "small", "--project-tasks", 2).out.strip()

    done = genfleet(api, "retry-all", "p", "--status", "cancelled", GENFLEET_API_KEY=key)

    assert (done.status, done.out) == (8, "2 submitted again, 1 left\n")
    assert "Project 'p' may have 2 tasks queued or running" in done.err


def test_what_a_project_used_is_shown(api: httpx.Client, store: SyncStore) -> None:
    """A row for each type and the total, in 80 columns; for scripts the answer of the API."""
    lease = running(store, kind="generate_video")
    store.run(steps.complete(lease.task_id, lease.token, b"{}"))

    done = genfleet(api, "usage", "p")

    rows = [line.split()[:5] for line in done.out.splitlines()]
    assert rows[1:3] == [["generate_video", "1", "0", "0", "1"], ["total", "1", "0", "0", "1"]]
    assert max(map(len, done.out.splitlines())) <= COLUMNS
    assert genfleet(api, "usage", "p", "--json").json == api.get("/api/v1/projects/p/usage").json()
    assert genfleet(api, "usage", "p", "--from", "2026-01-02", "--to", "2026-01-01").status == 2


def test_a_webhook_that_did_not_get_through_is_told(front: Front, store: SyncStore) -> None:
    """TS-132: with the status, which is where people look, and attempt by attempt where they ask for it."""
    task_id = submitted(store, kind="generate_video")
    store.run(steps.cancel(task_id))
    attempts = [
        {"at": "2026-01-31T10:00:00+00:00", "status_code": 500, "error": None, "duration_ms": 3, "response": ""},
        {
            "at": "2026-01-31T10:01:00+00:00",
            "status_code": None,
            "error": "timeout",
            "duration_ms": 9,
            "response": None,
        },
    ]
    lost = {
        "task_id": task_id,
        "status": "failed",
        "callback_url": "https://example.com/done",
        "next_attempt_at": None,
        "attempts": attempts,
    }
    trick = answers(200, json.dumps({"deliveries": [lost]}))
    api = httpx.Client(base_url=front.url)

    front.tricks = [passes_on, trick]
    told = genfleet(api, "status", task_id).out.splitlines()[-1]
    assert told == f"webhook  failed 2 times: timeout; again: genfleet resend {task_id}"
    front.tricks = [trick]
    assert [line.split()[-1] for line in genfleet(api, "deliveries", task_id).out.splitlines()] == [
        "https://example.com/done",
        "500",
        "timeout",
    ]


def test_a_task_without_a_webhook_says_so(api: httpx.Client, store: SyncStore) -> None:
    """TS-132: rather than nothing; and there is none to send again."""
    task_id = submitted(store, kind="generate_video")

    assert genfleet(api, "deliveries", task_id).out.startswith("no webhook: ")
    assert genfleet(api, "deliveries", task_id, "--json").json == {"deliveries": []}
    assert genfleet(api, "resend", task_id).status in (2, 6)


def test_what_was_accepted_is_told_though_the_rest_is_not_answered(front: Front, tmp_path: Path) -> None:
    """Nobody has to guess which of many tasks were made before the service went away."""
    good = json.dumps({"project_id": "p", "task_type": "generate_video", "task_data": {}})
    (tmp_path / "tasks").write_text(f"{good}\n" * 101)
    front.tricks = [
        limits_batches_to(1, retry_after=300),
        answers(500, '{"error": "internal_error", "message": "Something broke"}'),
    ]

    done = genfleet(httpx.Client(base_url=front.url), "submit", "--file", tmp_path / "tasks")

    assert (done.status, len(done.out.split())) == (4, 1)
    assert "Something broke" in done.err


# -- queues --------------------------------------------------------------------------------------------------------------


def test_queues_fit_a_terminal_with_the_reason_below(api: httpx.Client, store: SyncStore) -> None:
    """TS-177: a row for each queue, whole in 80 columns; below it each priority that waits, and why the fleet has its size."""
    for priority in (1, 3):
        submitted(store, kind="generate_video", priority=priority)
    store.run(capacity.report("gpu_heavy", orjson.dumps(FLEET)))

    lines = genfleet(api, "queues").out.splitlines()

    assert [line.split()[0] for line in lines[:5]] == ["queue", "gpu_heavy", "gpu_medium", "cpu_intensive", "default"]
    row = lines[1].split()
    assert int(row.pop(4)) <= 10  # seconds that the oldest has waited
    assert row == ["gpu_heavy", "2", "0", "0", "s", "1/2", "of", "3", "DemandRose"]
    below = " ".join(" ".join(lines[5:]).split())
    assert below == f"gpu_heavy waiting: 1 high, 0 normal, 1 low gpu_heavy 1 starting. {FLEET['explanation']}"
    assert max(map(len, lines)) <= COLUMNS


def test_queues_for_scripts_are_the_answer_of_the_api(api: httpx.Client, store: SyncStore) -> None:
    """NS-008: with --json nothing is left out and nothing is added."""
    submitted(store, kind="generate_video")

    rows = genfleet(api, "queues", "--json").json["queues"]

    assert [(row["queue"], row["waiting"]) for row in rows if row["waiting"]] == [("gpu_heavy", 1)]
    assert set(rows[0]) >= {"queue", "waiting", "running", "scheduled", "workers", "fleet"}


def test_a_queue_is_paused_and_resumed(api: httpx.Client) -> None:
    """What was done is said, with the way back; the queues show since when and why."""
    done = genfleet(api, "pause", "gpu_heavy", "--reason", "new model")
    assert (done.status, done.out) == (0, "gpu_heavy is paused; go on with: genfleet resume gpu_heavy\n")
    assert "new model" in genfleet(api, "queues").out
    assert genfleet(api, "resume", "gpu_heavy", "--json").json == {"queue": "gpu_heavy", "paused": None}
    assert genfleet(api, "pause", "gpu_large").status == 6


def test_queues_are_watched_until_ctrl_c(api: httpx.Client, store: SyncStore, tmp_path: Path) -> None:
    """A picture at once and one for each change; ctrl-C is the way to end it, so its exit status is 0."""
    with started(api, tmp_path, "queues", "--watch") as watching:
        watching.wait_for("gpu_heavy")
        store.run(capacity.report("gpu_medium", orjson.dumps(FLEET)))
        watching.wait_for("DemandRose")
        done = watching.interrupt()

    assert (done.status, done.err) == (0, "")
    assert done.out.count("queue  ") == 2


def test_queues_move_in_place_on_a_terminal(api: httpx.Client, store: SyncStore) -> None:
    """The picture is drawn over itself, twice a second."""
    with terminal(api, "queues", "--watch") as screen:
        wait_for("the first picture", lambda: screen.shows("cpu_intensive"), within=20)
        store.run(capacity.report("gpu_medium", orjson.dumps(FLEET)))
        wait_for("the next one", lambda: screen.shows("DemandRose"), within=20)
        screen.process.send_signal(2)
        assert screen.process.wait(20) == 0


# -- the command itself --------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_exit_status() -> None:
    """Also `up`, which another package brings; without arguments the help is shown, too."""
    done = genfleet(None, "--help")

    for command in ("submit", "status", "ls", "cancel", "retry", "queues", "pause", "resume", "up"):
        assert f"│ {command} " in done.out
    assert "7 it took too long" in " ".join(done.out.split())
    assert max(map(len, done.out.splitlines())) <= COLUMNS


def test_up_says_which_packages_it_needs(tmp_path: Path) -> None:
    """Where only the client is installed `up` names the remedy, and every other command works."""
    (tmp_path / "yaml.py").write_text("raise ModuleNotFoundError(\"No module named 'yaml'\")")

    done = genfleet(None, "up", PYTHONPATH=str(tmp_path))
    assert done.status == 2
    assert "install the extra `local` of this package" in done.err
    shown = genfleet(None, "--help", PYTHONPATH=str(tmp_path))
    assert (shown.status, "│ up " in shown.out) == (0, False)
