"""Submission: what is accepted, what is answered, and what is stored of it."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from genfleet.contract.keys import key
from tests.service.acts import EVALUATION, PROJECT, in_line, look, moment_of, post, submission, submitted
from tests.support.servers import Redis, Site

DOCUMENTED = {
    "project_id": PROJECT,
    "task_type": "generate_video",
    "task_data": {
        "storyboard_images": ["url1", "url2"],
        "scene_description": "Detective enters the dark alley",
        "camera_angle": "wide_shot",
        "lighting": "noir_dramatic",
        "duration": 7,
    },
    "priority": 1,
    "callback_url": "https://auto-movie.ft.tc/api/webhooks/task-complete",
    "metadata": {"user_id": "user123", "agent_id": "video_generation_agent", "session_id": "session456"},
}
VIDEO = submission(
    task_type="generate_video",
    task_data={
        "storyboard_images": ["https://media.ft.tc/storyboard1.jpg"],
        "scene_description": "Detective walks through rain-soaked alley",
        "camera_angle": "wide_shot",
        "lighting": "dramatic_noir",
        "character_positions": [
            {"character_id": "detective_jones", "position": "center_frame", "action": "walking_slowly"}
        ],
        "duration": 7,
        "fps": 24,
        "resolution": "1920x1080",
    },
)
IMAGE = submission(
    task_data={
        "prompt": "1920s detective in film noir style, wearing trench coat",
        "style_guide": "https://media.ft.tc/style_guide.jpg",
        "reference_images": ["https://media.ft.tc/ref1.jpg"],
        "character_id": "detective_jones",
        "pose": "standing_confident",
        "lighting": "dramatic_shadow",
        "resolution": "1024x1024",
        "quality": "high",
    },
)
WITH_CALLBACK = submission(
    task_type="generate_video",
    task_data={"scene_description": "A detective walks into a bar", "duration": 7},
    callback_url="https://your-app.com/api/webhooks/task-complete",
    metadata={"userId": "user-123", "testResultId": "result-456", "sessionId": "session-789"},
)


def test_the_answer_is_the_documented_one(api: httpx.Client, redis_server: Redis) -> None:
    """TS-008, TS-014, TS-015, TS-007: 200 with exactly six fields, a new id, and times in UTC with whole seconds."""
    answer = post(api, DOCUMENTED)
    body = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert body == {
        "task_id": str(uuid.UUID(body["task_id"])),
        "status": "queued",
        "project_id": PROJECT,
        "estimated_duration": 300,
        "queue_position": 1,
        "created_at": moment_of(redis_server, body["task_id"], "created"),
    }


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(DOCUMENTED, id="TS-009 the example of the endpoint"),
        pytest.param(VIDEO, id="TS-080 a video with every argument"),
        pytest.param(IMAGE, id="TS-083 an image with every argument"),
        pytest.param(EVALUATION, id="TS-089 the example of an evaluation"),
        pytest.param(WITH_CALLBACK, id="TS-123 the webhook example, metadata in camel case"),
        pytest.param(submission(task_type="generate_video"), id="PI-023 a video without any argument"),
    ],
)
def test_the_documents_own_payloads_are_kept_as_they_were_sent(api: httpx.Client, sent: dict[str, Any]) -> None:
    """TS-009, TS-080, TS-083, TS-089, TS-123, PI-023: each is accepted, and every field is stored unchanged."""
    stored = look(api, post(api, sent).json()["task_id"])
    assert {name: stored[name] for name in sent} == sent


def test_what_is_left_out_has_a_default(api: httpx.Client) -> None:
    """TS-011: without them priority is 2, there is no callback and metadata is empty."""
    stored = look(api, submitted(api))
    assert (stored["priority"], stored["callback_url"], stored["metadata"]) == (2, None, {})


@pytest.mark.parametrize("optional", ["callback_url", "metadata"])
def test_null_is_the_same_as_left_out(api: httpx.Client, optional: str) -> None:
    """TS-011: clients that send null for an optional field get its default."""
    assert look(api, submitted(api, **{optional: None}))[optional] == look(api, submitted(api))[optional]


def test_metadata_comes_back_untouched(api: httpx.Client) -> None:
    """TS-019: no key is renamed, dropped, reordered or checked, however it is written and whatever it holds."""
    metadata = {
        "userId": "u1",
        "user_id": "u2",
        "workflow_step": None,
        "ui_context": {"Deep": [{"a b": [1, 2.5, True, "ümlaut 🎬"]}]},
        "": "an empty key",
    }
    stored = look(api, submitted(api, metadata=metadata))["metadata"]
    assert stored == metadata
    assert list(stored) == list(metadata)


def test_unlisted_arguments_are_kept(api: httpx.Client) -> None:
    """PI-023: keys of `task_data` that no document names are passed on to the engine."""
    assert look(api, submitted(api, task_data={"negative_prompt": "rain"}))["task_data"] == {"negative_prompt": "rain"}


def test_the_record_is_there_before_any_worker(api: httpx.Client, redis_server: Redis) -> None:
    """TS-016: with no worker anywhere the record is in Redis and can be looked at, and its message waits."""
    task_id = submitted(api)
    assert redis_server.client.exists(key("task", task_id)) == 1
    assert api.get(f"/api/v1/tasks/{task_id}/status").json()["status"] == "queued"
    assert in_line(redis_server) == 1


@pytest.mark.parametrize(
    ("priority", "position"),
    [
        pytest.param(1, 2, id="high comes after the high one that waits"),
        pytest.param(2, 3, id="normal comes after high and normal"),
        pytest.param(3, 4, id="low comes after all"),
    ],
)
def test_the_queue_position_counts_by_priority(api: httpx.Client, priority: int, position: int) -> None:
    """NS-016, TS-012: 1 is next; only what has the same or a higher priority stands before a new task."""
    for other in sorted((1, 2, 3), key=lambda other: other != priority):
        submitted(api, priority=other)
    assert post(api, submission(priority=priority)).json()["queue_position"] == position


def test_each_priority_has_a_list_of_its_own(api: httpx.Client, redis_server: Redis) -> None:
    """TS-013: 1, 2 and 3 never share a list, so they are really ordered."""
    for priority in (1, 2, 3):
        submitted(api, priority=priority)
    assert [in_line(redis_server, priority=priority) for priority in (1, 2, 3)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("task_type", "queue", "estimate"),
    [("generate_video", "gpu_heavy", 300), ("generate_image", "gpu_medium", 45)],
)
def test_the_type_decides_the_queue(
    api: httpx.Client, redis_server: Redis, task_type: str, queue: str, estimate: int
) -> None:
    """TS-104, TS-014: each type goes to its queue and tells its own estimate."""
    assert post(api, submission(task_type=task_type)).json()["estimated_duration"] == estimate
    assert in_line(redis_server, queue) == 1


def test_two_submissions_are_two_tasks(api: httpx.Client) -> None:
    """TS-008: the same body twice is two tasks; nothing is guessed to be a repetition."""
    assert submitted(api) != submitted(api)


def test_http_callbacks_are_allowed_by_a_setting(site: Site) -> None:
    """TS-137: a development setting lets `callback_url` be http://, and still nothing else."""
    with site.api(GENFLEET_ALLOW_HTTP_CALLBACKS="true", GENFLEET_ALLOW_PRIVATE_CALLBACKS="true") as api:
        task_id = submitted(api, callback_url="http://localhost:3010/hook")
        assert look(api, task_id)["callback_url"] == "http://localhost:3010/hook"
        refused = post(api, submission(callback_url="ftp://localhost/hook")).json()
        words = "Callback URL must begin with http:// or https:// and name a host"
        assert refused["details"] == {"callback_url": words}


def test_a_body_of_exactly_the_limit_is_taken(api: httpx.Client) -> None:
    """NS-006: 4 MiB are allowed to the last byte."""
    frame = b'{"project_id":"p","task_type":"generate_image","task_data":{},"metadata":{"filler":"%s"}}'
    body = frame % (b"x" * (4 * 1024 * 1024 - len(frame) + 2))
    assert len(body) == 4 * 1024 * 1024
    assert api.post("/api/v1/tasks/submit", content=body).status_code == 200


def test_a_picture_inside_the_request_may_be_as_large_as_documented(api: httpx.Client) -> None:
    """NS-006: a `data:` URI of 2 MB is taken; one character more is refused by the name of its field, not for the body."""
    most = "data:image/png;base64,".ljust(2_000_000, "A")
    assert post(api, submission(task_data={"reference_images": [most]})).status_code == 200
    answer = post(api, submission(task_data={"reference_images": [most + "A"]}))
    assert (answer.status_code, list(answer.json()["details"])) == (400, ["task_data.reference_images.0"])


def test_a_key_that_is_almost_a_known_one_is_told(api: httpx.Client) -> None:
    """TS-086, TS-011: any key is allowed and kept, but a misspelt one is not passed over in silence."""
    body = {
        "project_id": "p",
        "task_type": "generate_image",
        "task_data": {"promt": "x", "workflow_step": 1},
        "priorty": 1,
    }
    answer = api.post("/api/v1/tasks/submit", json=body)

    assert answer.status_code == httpx.codes.OK
    assert answer.json()["warnings"] == [
        "priorty is not known; did you mean 'priority'?",
        "task_data.promt is not known; did you mean 'prompt'?",
    ]
