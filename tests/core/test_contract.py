"""The contract: the table of task types, the names on the wire, and the message that Celery reads."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.transport.redis import Channel
from pydantic import ValidationError

from genfleet.contract.keys import LIST_SEPARATOR, PREFIX, PRIORITY_STEPS, broker_list
from genfleet.contract.task_data import GenerateVideo
from genfleet.contract.task_types import QUEUES, TASK_TYPES, broker_queues
from genfleet.store import steps
from genfleet.store.client import SyncStore
from genfleet.store.scripts import LUA
from tests.support.servers import ROOT, Redis
from tests.support.tasks import new_task, submitted


def test_the_eight_task_types_are_as_documented() -> None:
    """TS-017, TS-104 to TS-107, TS-173: queue, soft and hard limit, and estimate of each type, in seconds."""
    table = {
        row.name: (row.queue, row.soft_limit.total_seconds(), row.hard_limit.total_seconds(), row.estimate.seconds)
        for row in TASK_TYPES.values()
    }

    assert table == {
        "generate_video": ("gpu_heavy", 540, 600, 300),
        "render_animation": ("gpu_heavy", 540, 600, 300),
        "generate_image": ("gpu_medium", 270, 300, 45),
        "generate_character_voice": ("cpu_intensive", 108, 120, 20),
        "process_audio": ("cpu_intensive", 540, 600, 22),
        "evaluate_department": ("cpu_intensive", 270, 300, 90),
        "automated_gather_creation": ("cpu_intensive", 540, 600, 240),
        "test_prompt": ("default", 54, 60, 10),
    }


@pytest.mark.parametrize("name", [name for name in TASK_TYPES if name != "test_prompt"])
def test_retries_follow_the_documented_schedule(name: str) -> None:
    """TS-110, PI-002: one first run and three retries after 60, 120 and 240 seconds."""
    assert TASK_TYPES[name].retry_delays == (60, 120, 240)
    assert TASK_TYPES[name].max_attempts == 4


def test_the_page_of_task_types_has_their_limits() -> None:
    """TS-106, TS-110, TS-173: the one table for people says what the code says, of every type."""
    numbers = " ".join([r"\| (\d+)"] * 4)
    page = (ROOT / "docs" / "task-types.md").read_text()
    told = {
        name: (queue, *map(int, limits))
        for name, queue, *limits in re.findall(rf"^\| `(\w+)` \| `(\w+)` {numbers} \|$", page, re.MULTILINE)
    }
    assert told == {
        row.name: (row.queue, row.estimate.seconds, row.soft_limit.seconds, row.hard_limit.seconds, row.max_attempts)
        for row in TASK_TYPES.values()
    }


def test_the_light_queue_is_celery_in_redis() -> None:
    """XC-007: `default` in the API is the list `celery`; its workers listen to a list called `default` as well."""
    assert broker_queues("default") == ("celery", "default")
    assert [broker_queues(queue) for queue in QUEUES if queue != "default"] == [
        (queue,) for queue in QUEUES if queue != "default"
    ]


def test_a_priority_has_a_list_of_its_own() -> None:
    """TS-013, RF-001, RF-002: 1, 2 and 3 are three lists, named as kombu names them."""
    names = [broker_list("gpu_heavy", step) for step in (0, 1, 2, 3)]

    assert names == ["gpu_heavy", "gpu_heavy\x06\x161", "gpu_heavy\x06\x162", "gpu_heavy\x06\x163"]


def test_every_list_of_a_producer_with_default_options_is_read() -> None:
    """Whatever its priority, a message of Celery lies where our workers look."""
    assert {*Channel.priority_steps} <= {*PRIORITY_STEPS}
    assert Channel.sep == LIST_SEPARATOR
    assert list(PRIORITY_STEPS) == sorted(PRIORITY_STEPS), "kombu finds a step by bisection"


def test_our_message_is_what_celery_and_kombu_would_have_published(store: SyncStore, redis_server: Redis) -> None:
    """Any Celery worker reads it: it differs from a published one in its token and its delivery tag, no more."""
    submitted(store, "same-id", priority=1)
    ours = _only_message(redis_server, broker_list("gpu_medium", 1))
    app = Celery("peer", broker=redis_server.url, set_as_current=False)
    app.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS)}
    redis_server.client.flushall()
    app.send_task(
        "generate_image",
        task_id="same-id",
        priority=1,
        queue=Queue("gpu_medium", Exchange(""), routing_key="gpu_medium"),
        ignore_result=True,
    )
    (name,) = [str(name, "utf-8") for name in redis_server.client.keys("gpu_medium*") if isinstance(name, bytes)]
    theirs = _only_message(redis_server, name)

    assert name == broker_list("gpu_medium", 1)
    assert ours["headers"].pop("token") == 1
    assert ours["properties"].pop("delivery_tag") == "same-id.1"
    for message in (ours, theirs):
        message["properties"].pop("delivery_tag", None)
        message["properties"].pop("reply_to")  # where answers would go: Celery's is its own process
        message["headers"].pop("origin")  # who published it
    assert ours == theirs


@pytest.mark.parametrize("odd", ['quote"d', "back\\slash", "new\nline", "ünï", "per%cent"])
def test_ids_of_other_producers_make_whole_messages(store: SyncStore, redis_server: Redis, odd: str) -> None:
    """An id that an old producer chose may hold anything; the message that is made for it is still JSON."""
    store.run(steps.submit(new_task(odd)))

    assert _only_message(redis_server, broker_list("gpu_medium", 2))["headers"]["id"] == odd


def test_scripts_name_keys_through_the_contract() -> None:
    """No Lua file spells a key: a name is changed in one place or nowhere."""
    files = sorted(LUA.glob("*.lua"))
    assert len(files) > 15
    for file in files:
        assert PREFIX not in file.read_text(), file.name


def _only_message(redis_server: Redis, name: str) -> dict[str, Any]:
    text = redis_server.client.lindex(name, 0)
    assert isinstance(text, bytes)
    message: dict[str, Any] = json.loads(text)
    return message


@pytest.mark.parametrize("resolution", ["101x100", "100x101"])
def test_a_video_with_an_odd_side_is_refused_when_it_is_submitted(resolution: str) -> None:
    """TS-087: an MP4 as players show it has even sides; better told at once than after the wait in the queue."""
    with pytest.raises(ValidationError, match="Both sides of a video's resolution must be even"):
        GenerateVideo(resolution=resolution)
