"""What is made of a message before kombu sees it: the whole ones made anew, the others with their reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from genfleet.contract.task_types import TASK_TYPES
from genfleet.store.client import SyncStore
from genfleet_workers import messages
from genfleet_workers.messages import DEEPEST, LARGEST, LONGEST_NAME, Unfit, Whole
from tests.support.bad_messages import Message, bytes_of, changed, good, mutations, packed, the_seventeen
from tests.support.servers import Redis
from tests.support.tasks import submitted

NOW = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)


def judge(raw: bytes) -> Whole:
    """As a worker of gpu_medium does it."""
    return messages.judge(raw, "gpu_medium", 2, TASK_TYPES, NOW)


def refused(change: Callable[[Message], object]) -> str:
    """Why a message with one thing wrong is set aside."""
    with pytest.raises(Unfit) as caught:
        judge(changed("a", change))
    return caught.value.reason


def body_of(whole: Whole) -> list[Any]:
    """Arguments, keywords, and the rest."""
    body: list[Any] = json.loads(base64.b64decode(json.loads(whole.message)["body"]))
    return body


@pytest.mark.parametrize("name", the_seventeen())
def test_what_ends_a_stock_worker_is_not_passed_on(name: str) -> None:
    """T15, M8: each of the 17 has its reason, a sentence for people."""
    with pytest.raises(Unfit) as caught:
        judge(the_seventeen()[name])
    assert caught.value.reason[0].isupper() or caught.value.reason.startswith(("headers", "properties"))


def test_our_own_message_is_whole(store: SyncStore, redis_server: Redis) -> None:
    """Id, token and delivery tag, by which a task is claimed and its message forgotten, go through as they are."""
    submitted(store, "a")
    raw = redis_server.client.rpop("gpu_medium\x06\x162")
    assert isinstance(raw, bytes)
    passed_on = json.loads(judge(raw).message)

    assert (passed_on["headers"]["id"], passed_on["headers"]["token"]) == ("a", 1)
    assert passed_on["properties"]["delivery_tag"] == "a.1"
    assert judge(judge(raw).message) == judge(raw)


def test_another_producers_arguments_go_through() -> None:
    """An old producer's task keeps its arguments, its limits and its times."""
    message = good("old", seconds=3)
    message["headers"] |= {
        "timelimit": [600, 540.5],
        "eta": "2025-01-15T11:00:00+00:00",
        "expires": "2025-01-16T10:00:00",
    }
    passed_on = json.loads(judge(bytes_of(message)).message)

    assert body_of(judge(bytes_of(message)))[1]["seconds"] == 3
    kept = {name: passed_on["headers"][name] for name in ("timelimit", "eta", "expires")}
    assert kept == {name: message["headers"][name] for name in kept}


def test_canvas_is_ignored() -> None:
    """S8: the task itself is run; whatever it would have had the worker send afterwards is left out, and named."""
    more = {"task": "evil", "args": [], "kwargs": {}, "options": {}}
    message = good("a")
    message["body"] = packed([[], {}, {"callbacks": [more], "errbacks": [more], "chain": [more], "chord": more}])
    message["headers"]["group"] = "g"
    whole = judge(bytes_of(message))

    assert whole.ignored == ("callbacks", "errbacks", "chain", "chord", "group")
    assert b"evil" not in base64.b64decode(json.loads(whole.message)["body"])
    assert body_of(whole)[2] == {}
    assert "group" not in json.loads(whole.message)["headers"]


def test_a_message_goes_back_to_where_it_came_from() -> None:
    """F9: an exchange that this Redis does not know would lose it when kombu puts it back."""
    message = good("a")
    message["properties"] |= {"delivery_info": {"exchange": "celery", "routing_key": "elsewhere"}, "priority": 9}
    properties = json.loads(judge(bytes_of(message)).message)["properties"]

    assert properties["delivery_info"] == {"exchange": "", "routing_key": "gpu_medium"}
    assert properties["priority"] == 2


class Exploding:
    """What a pickle would do when it is opened."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("it was opened",))


def test_a_pickle_is_not_opened() -> None:
    """S8: its content type is enough to refuse it."""
    import pickle

    body = base64.b64encode(pickle.dumps(Exploding())).decode()
    for content_type in ("application/x-python-serialize", "application/x-yaml", None, 7):
        reason = refused(lambda m, kind=content_type: m.update({"content-type": kind, "body": body}))  # type: ignore[misc]
        assert "was not opened" in reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m["headers"].update(id=7), "headers.id must be a text, not a number"),
        (lambda m: m["headers"].update(id=""), "headers.id must be a text"),
        (lambda m: m["headers"].update(id="x" * (LONGEST_NAME + 1)), "headers.id has 256 characters"),
        (lambda m: m["headers"].update(task=None), "headers.task must be a text, not nothing"),
        (lambda m: m["headers"].update(timelimit=[1]), "headers.timelimit must be two numbers"),
        (lambda m: m["headers"].update(timelimit=[True, -1]), "numbers of seconds above 0"),
        (lambda m: m["headers"].update(token="1"), "headers.token must be a whole number, not a text"),
        (lambda m: m["headers"].update(eta=1736937000), "headers.eta must be a time in ISO 8601"),
        (lambda m: m["headers"].update(eta=(NOW + timedelta(days=31)).isoformat()), "at most 30 days ahead"),
        (
            lambda m: m["headers"].update(expires="soon"),
            "headers.expires must be a time in ISO 8601, or null, not soon",
        ),
        (lambda m: m["headers"].update(compression="application/x-gzip"), "Its body is compressed"),
        (lambda m: m.update(headers=[]), "headers must be a JSON object, not a list"),
        (lambda m: m.update(body=None), "Its body must be a text, not nothing"),
        (lambda m: m.update(body=packed([[], {}])), "Its body must be a list of three"),
        (lambda m: m.update(body=packed([{}, {}, {}])), "Its arguments must be a list, not an object"),
        (lambda m: m.update(body=packed([[], [], {}])), "Its keywords must be a JSON object, not a list"),
        (lambda m: m.update(body=packed([[], {}, "x"])), "The third part of its body must be a JSON object"),
        (lambda m: m.update(body=packed([[json.loads("[" * 100 + "]" * 100)], {}, {}])), "deeper than 100 levels"),
        (
            lambda m: m.update(body=packed([[], {"at": {"__type__": "datetime", "__value__": "never"}}, {}])),
            "Its arguments cannot be read: ValueError",
        ),
        (lambda m: m["properties"].pop("delivery_tag"), "properties.delivery_tag must be a text, not nothing"),
    ],
)
def test_each_fault_has_its_reason(change: Callable[[Message], object], reason: str) -> None:
    """T15: what is wrong, and with which field."""
    assert reason in refused(change)


def test_what_could_be_read_goes_along() -> None:
    """Whose message it was, as far as it says so: for people, and so that a task of ours is found."""
    for change, known in (
        (lambda m: m["headers"].update(task="nope.x"), ("a", "nope.x")),
        (lambda m: m["headers"].update(id={}), ("", "generate_image")),
        (lambda m: m.update(headers=7), ("", "")),
    ):
        with pytest.raises(Unfit) as caught:
            judge(changed("a", change))
        assert (caught.value.task_id, caught.value.task_type) == known


def test_sizes_and_depths_have_limits() -> None:
    """S15: just within is taken, just beyond is not; the message is not even parsed then."""
    deep = json.loads("[" * (DEEPEST - 2) + "]" * (DEEPEST - 2))
    assert judge(changed("a", lambda m: m.update(body=packed([[deep], {}, {}])))).task_id == "a"

    with pytest.raises(Unfit, match="at most 8388608 are taken"):
        judge(b" " * (LARGEST + 1))


def test_whatever_comes_is_judged() -> None:
    """T15: 3,000 mutations of a good message, each whole or unfit; what is whole stays as it is when it is judged again."""
    unfit = 0
    for raw in mutations(seed=15, number=3_000):
        try:
            whole = judge(raw)
        except Unfit:
            unfit += 1
        else:
            assert judge(whole.message).message == whole.message
    assert 1_000 < unfit < 2_900
