"""What is refused, and in which words: every body here is documented, so whole answers are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from genfleet.contract.keys import key
from genfleet.contract.task_types import TASK_TYPES
from tests.service.acts import UNAUTHORIZED, UNKNOWN_TASK, post, submission
from tests.support.servers import Redis, Site
from tests.support.waiting import wait_for

MIB = 1024 * 1024
TOO_LARGE = {
    "error": "payload_too_large",
    "message": f"The request body may have at most {4 * MIB} bytes; put large files where an https:// URL leads to them "
    "(GENFLEET_BODY_LIMIT of the service raises the limit)",
}
BROKEN = {"error": "internal_error", "message": "Something went wrong on our side; the log of the service says what"}
PRIORITIES = "Priority must be 1 (high), 2 (normal) or 3 (low)"
RESOLUTIONS = "Resolution must be <width>x<height>, each side 16 to 4096, such as 1024x1024"
DURATIONS = "Duration must be between 1 and 30 seconds"
HTTPS = "Callback URL must begin with https:// and name a host"


def refused(details: dict[str, str], message: str = "Invalid task data") -> dict[str, Any]:
    """The documented body of a 400."""
    return {"error": "validation_error", "message": message, "details": details}


def nothing_was_stored(redis_server: Redis) -> bool:
    """Whether a refused submission left no trace."""
    return not list(redis_server.client.scan_iter(key("task", "*")))


def without(field: str) -> dict[str, Any]:
    """A submission that lacks a field."""
    return {name: value for name, value in submission().items() if name != field}


def test_the_documented_refusal_word_by_word(api: httpx.Client) -> None:
    """TS-146, TS-010: no project and a wrong duration are both named in one answer, exactly as documented."""
    answer = post(api, {"task_type": "generate_video", "task_data": {"duration": 0}})
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "validation_error",
        "message": "Invalid task data",
        "details": {
            "project_id": "Project ID is required",
            "task_data.duration": "Duration must be between 1 and 30 seconds",
        },
    }


@pytest.mark.parametrize(
    ("sent", "details"),
    [
        pytest.param(without("project_id"), {"project_id": "Project ID is required"}, id="TS-010 no project"),
        pytest.param(submission(project_id=""), {"project_id": "Project ID is required"}, id="TS-010 an empty project"),
        pytest.param(
            submission(project_id="x" * 300),
            {"project_id": "Project ID must have at most 255 characters"},
            id="a project id of 300 characters",
        ),
        pytest.param(without("task_type"), {"task_type": "Task type is required"}, id="TS-010 no type"),
        pytest.param(without("task_data"), {"task_data": "Task data is required"}, id="TS-010 no task data"),
        pytest.param(submission(priority=9), {"priority": PRIORITIES}, id="TS-012 priority 9"),
        pytest.param(submission(priority=0), {"priority": PRIORITIES}, id="TS-012 priority 0"),
        pytest.param(submission(priority="1"), {"priority": PRIORITIES}, id="TS-012 a text"),
        pytest.param(submission(priority=True), {"priority": PRIORITIES}, id="TS-012 true"),
        pytest.param(
            submission(task_data=[]),
            {"task_data": 'Must be a JSON object, such as {"prompt": "a red fox"}'},
            id="data is a list",
        ),
        pytest.param(
            submission(metadata=[]),
            {"metadata": 'Must be a JSON object, such as {"user_id": "user123"}'},
            id="metadata is a list",
        ),
        pytest.param(submission(callback_url="http://a.example/hook"), {"callback_url": HTTPS}, id="TS-137 plain http"),
        pytest.param(submission(callback_url="a.example/hook"), {"callback_url": HTTPS}, id="TS-137 no scheme"),
        pytest.param(
            submission(task_data={"resolution": "huge"}),
            {"task_data.resolution": RESOLUTIONS},
            id="no resolution at all",
        ),
        pytest.param(
            submission(task_data={"resolution": "8x8"}), {"task_data.resolution": RESOLUTIONS}, id="too few pixels"
        ),
        pytest.param(
            submission(task_type="generate_video", task_data={"duration": 0}),
            {"task_data.duration": DURATIONS},
            id="TS-081, TS-146 a video of 0 seconds",
        ),
        pytest.param(
            submission(task_type="generate_video", task_data={"duration": 31}),
            {"task_data.duration": DURATIONS},
            id="TS-081, TS-146 a video of 31 seconds",
        ),
        pytest.param(
            submission(task_type="generate_video", task_data={"duration": "7"}),
            {"task_data.duration": DURATIONS},
            id="TS-081, TS-146 a duration in quotes",
        ),
        pytest.param(
            submission(
                task_type="process_audio",
                task_data={
                    "inputs": ["https://media.ft.tc/a.wav", {"source": "https://media.ft.tc/b.wav", "gain": 99}],
                    "operations": [
                        {"type": "trim", "start": -1},
                        {"type": "reverb"},
                        {"type": "trim", "start": 5, "end": 2},
                    ],
                },
            ),
            {
                "task_data.inputs.1.gain": "Input should be less than or equal to 30",
                "task_data.operations.0.start": "Input should be greater than or equal to 0",
                "task_data.operations.1": "Must be an object whose type is one of "
                "mix, trim, fade_in, fade_out, gain, denoise, loudness, speed, convert",
                "task_data.operations.2": "The end must be later than the start",
            },
            id="TS-086 operations that cannot be done",
        ),
        pytest.param(
            submission(
                task_type="render_animation",
                task_data={
                    "duration": 31,
                    "characters": [
                        {"keyframes": [{"time": 31}, {"position": {"x": 9}}, {"time": 1, "easing": "elastic"}]}
                    ],
                },
            ),
            {
                "task_data.duration": DURATIONS,
                "task_data.characters.0.keyframes.0.time": "Input should be less than or equal to 30",
                "task_data.characters.0.keyframes.1.time": "Time is required",
                "task_data.characters.0.keyframes.1.position.x": "Input should be less than or equal to 2",
                "task_data.characters.0.keyframes.2.easing": "Input should be 'smooth', 'linear', 'ease_in', "
                "'ease_out', 'ease_in_out' or 'hold'",
            },
            id="TS-086 keyframes that cannot be",
        ),
        pytest.param(
            submission(task_type="generate_character_voice", task_data={"output_format": "aiff", "sample_rate": 1}),
            {
                "task_data.output_format": "Must be one of mp3, wav, ogg, flac",
                "task_data.sample_rate": "Input should be greater than or equal to 8000",
            },
            id="TS-087 a voice in a format that is not made",
        ),
        pytest.param(
            submission(priority=9, callback_url="http://a.example", task_data={"resolution": "8x8"}),
            {"priority": PRIORITIES, "callback_url": HTTPS, "task_data.resolution": RESOLUTIONS},
            id="TS-146 all faults at once",
        ),
    ],
)
def test_wrong_fields_are_named(
    api: httpx.Client, redis_server: Redis, sent: dict[str, Any], details: dict[str, str]
) -> None:
    """TS-146, TS-010, TS-012, TS-137: 400 with each wrong field by its dotted path and a sentence; nothing is stored."""
    answer = post(api, sent)
    assert (answer.status_code, answer.json()) == (400, refused(details))
    assert nothing_was_stored(redis_server)


def test_of_very_many_faults_the_first_are_named(api: httpx.Client) -> None:
    """TS-146: the answer to a large body of mistakes is no larger than what was sent."""
    answer = api.post("/api/v1/tasks/batch", json={"tasks": [{}]} | {f"k{number}": 1 for number in range(1_000)})
    assert (answer.status_code, len(answer.json()["details"])) == (400, 200)


def test_an_unknown_type_is_told_which_there_are(api: httpx.Client) -> None:
    """TS-018, TS-017: 400 with `details.task_type`, which lists the eight types that are known."""
    answer = post(api, submission(task_type="make_coffee"))
    known = ", ".join(TASK_TYPES)
    assert answer.json() == refused({"task_type": f"Unknown task type 'make_coffee': use one of {known}"})
    assert len(TASK_TYPES) == 8


@pytest.mark.parametrize(
    ("sent", "message", "said"),
    [
        pytest.param(b'{"project_id": ', "The request body is not valid JSON", "Not valid JSON: ", id="cut off"),
        pytest.param(b"", "The request body is not valid JSON", "Not valid JSON: ", id="nothing at all"),
        pytest.param(b"\xff\xfe", "The request body is not valid JSON", "Not valid JSON: ", id="not even text"),
        pytest.param(
            b'{"a":' * 2000 + b"1" + b"}" * 2000, "The request body is not valid JSON", "Not valid JSON: ", id="a tower"
        ),
        pytest.param(b"[]", "The request body is not a JSON object", "Must be a JSON object", id="a list"),
        pytest.param(b"null", "The request body is not a JSON object", "Must be a JSON object", id="null"),
    ],
)
def test_a_body_that_is_no_json_object(api: httpx.Client, sent: bytes, message: str, said: str) -> None:
    """TS-146, TS-006: 400 in the documented shape, with what is wrong under `details.body`."""
    answer = api.post("/api/v1/tasks/submit", content=sent)
    assert answer.status_code == 400
    details = answer.json()["details"]
    assert details["body"].startswith(said)
    assert answer.json() == refused(details, message)


@pytest.mark.parametrize("field", ["task_data", "metadata"])
def test_nesting_that_could_not_be_repeated_is_refused(api: httpx.Client, field: str) -> None:
    """TS-146, NS-006: 250 levels go in and come out again, in lists as well; 251 are refused."""
    taken = submission(**{field: tower(250)})
    task_id = post(api, taken).json()["task_id"]
    assert api.get(f"/api/v1/tasks/{task_id}").json()[field] == taken[field]
    assert api.get(f"/api/v1/projects/{taken['project_id']}/tasks").status_code == 200
    answer = post(api, submission(**{field: tower(251)}))
    assert (answer.status_code, answer.json()) == (400, refused({field: "Must not be nested deeper than 250 levels"}))


def tower(levels: int) -> dict[str, Any]:
    """An object in an object in an object …"""
    built: dict[str, Any] = {}
    for _ in range(levels - 1):
        built = {"a": built}
    return built


@pytest.mark.parametrize(
    "announced", [pytest.param(True, id="announced by its length"), pytest.param(False, id="in chunks, unannounced")]
)
def test_a_body_over_the_limit(api: httpx.Client, redis_server: Redis, announced: bool) -> None:
    """NS-006: 10 MB are refused with 413, also when the size shows only while they arrive; the service goes on."""
    answer = api.post("/api/v1/tasks/submit", content=bytes(10 * MIB) if announced else in_chunks(10 * MIB))
    assert (answer.status_code, answer.json()) == (413, TOO_LARGE)
    assert nothing_was_stored(redis_server)
    assert post(api, submission()).status_code == 200


def in_chunks(size: int) -> Iterator[bytes]:
    """A body without a length."""
    for _ in range(size // 65536):
        yield bytes(65536)


PROTECTED = [
    pytest.param("POST", "/api/v1/tasks/submit", id="submit"),
    pytest.param("GET", "/api/v1/tasks/abc123/status", id="status"),
    pytest.param("GET", "/api/v1/tasks/abc123", id="the full record"),
    pytest.param("DELETE", "/api/v1/tasks/abc123", id="cancel"),
    pytest.param("DELETE", "/api/v1/tasks/abc123/cancel", id="cancel by the old path"),
    pytest.param("POST", "/api/v1/tasks/abc123/retry", id="retry"),
    pytest.param("GET", "/api/v1/projects/p/tasks", id="a project's tasks"),
    pytest.param("GET", "/api/v1/tasks/metrics", id="metrics"),
    pytest.param("GET", "/api/v1/tasks/health", id="queue health"),
    pytest.param("GET", "/api/v1/queues", id="queues"),
    pytest.param("GET", "/api/v1/workers", id="workers"),
    pytest.param("GET", "/api/v1/nothing-here", id="a path that does not exist"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize(
    "key_sent", [pytest.param({}, id="no key"), pytest.param({"X-API-Key": "wrong"}, id="wrong key")]
)
def test_without_a_valid_key_nothing_is_told(
    api: httpx.Client, method: str, path: str, key_sent: dict[str, str]
) -> None:
    """TS-003, TS-144: 401 with the documented body everywhere under /api/v1, before anything else is looked at."""
    answer = httpx.request(method, api.base_url.join(path), headers=key_sent, trust_env=False)
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/api/v1/tasks/abc123/status", id="status"),
        pytest.param("GET", "/api/v1/tasks/abc123", id="the full record"),
        pytest.param("DELETE", "/api/v1/tasks/abc123", id="cancel"),
        pytest.param("DELETE", "/api/v1/tasks/abc123/cancel", id="cancel by the old path"),
        pytest.param("POST", "/api/v1/tasks/abc123/retry", id="retry"),
    ],
)
def test_an_unknown_task(api: httpx.Client, method: str, path: str) -> None:
    """TS-145, TS-027, TS-050, TS-055: 404 with the documented body, which carries the id."""
    answer = api.request(method, path)
    assert (answer.status_code, answer.json()) == (404, UNKNOWN_TASK)


@pytest.mark.parametrize("path", ["/", "/api/v1/nothing-here", "/api/v1/tasks/abc123/status/"])
def test_an_unknown_path(api: httpx.Client, path: str) -> None:
    """TS-149: 404 in the common shape, with the path and where the right ones are listed."""
    answer = api.get(path)
    message = f"There is nothing at {path}; see /docs"
    assert (answer.status_code, answer.json()) == (404, {"error": "not_found", "message": message})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        pytest.param("PUT", "/api/v1/tasks/submit", {"POST"}, id="PUT on submit"),
        pytest.param("POST", "/api/v1/tasks/metrics", {"GET"}, id="POST on metrics"),
        pytest.param("POST", "/api/v1/tasks/abc123/status", {"GET"}, id="POST on a status"),
        pytest.param("PUT", "/api/v1/tasks/abc123", {"GET", "DELETE"}, id="PUT on a task"),
    ],
)
def test_a_method_that_a_path_does_not_take(api: httpx.Client, method: str, path: str, allowed: set[str]) -> None:
    """TS-149, TS-069: 405 in the common shape, with the methods of this very path in `Allow`."""
    answer = api.request(method, path)
    message = f"{path} does not take {method}; see /docs"
    assert (answer.status_code, answer.json()) == (405, {"error": "method_not_allowed", "message": message})
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/api/v1/tasks/broken/status", id="in the express lane"),
        pytest.param("GET", "/api/v1/tasks/broken", id="in a route"),
        pytest.param("DELETE", "/api/v1/tasks/broken", id="in a script"),
        pytest.param("POST", "/api/v1/tasks/broken/retry", id="between two steps"),
    ],
)
def test_an_unexpected_failure(api: httpx.Client, redis_server: Redis, method: str, path: str) -> None:
    """TS-149: a record that is not one at all gives 500 in the common shape without a traceback, and the API goes on."""
    redis_server.client.lpush(key("task", "broken"), "this is a list, not a record")
    answer = api.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
    assert answer.json() == BROKEN
    assert api.get("/api/v1/health").status_code == 200


def test_an_unexpected_failure_is_in_the_log(site: Site, redis_server: Redis) -> None:
    """TS-149: what the caller is not told, the log tells once, with its traceback."""
    redis_server.client.lpush(key("task", "broken"), "this is a list, not a record")
    with site.api() as api:
        assert api.get("/api/v1/tasks/broken").status_code == 500
        log = wait_for("the log tells", lambda: told(site.folder / "api.log", "WRONGTYPE"))
    assert log.count("unexpected") == 1
    assert "Traceback" in log


def told(log: Path, word: str) -> str:
    """The log, once it holds the word: it is written after the answer."""
    text = log.read_text()
    return text if word in text else ""
