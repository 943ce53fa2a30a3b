"""When the Python client sends a request again: a decision, case by case."""

from __future__ import annotations

import httpx
import pytest

from genfleet_client import calls
from genfleet_client.retries import Answer, Lost, Retries

READ = calls.status("t")
ONCE = calls.create_key("auto-movie")
BATCH = calls.submit_batch([])
SENT = Lost(httpx.ReadTimeout("no answer"))
NOT_SENT = Lost(httpx.ConnectError("refused"))


def answer(status: int, content: str = "", **headers: str) -> Answer:
    """An answer of which only this counts."""
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, content.encode())


def parts(*errors: str) -> Answer:
    """An answer to a batch."""
    return answer(200, '{"results": [' + ", ".join(f'{{"error": {error}}}' for error in errors) + "]}")


@pytest.mark.parametrize(
    ("call", "reply", "pause"),
    [
        pytest.param(READ, answer(200), None, id="it was answered"),
        pytest.param(READ, answer(400), None, id="it is wrong"),
        pytest.param(READ, answer(404), None, id="it is not there"),
        pytest.param(READ, answer(500), None, id="the service is broken: again it would be, too"),
        pytest.param(READ, answer(503), 0.25, id="a proxy has nobody behind it"),
        pytest.param(READ, answer(503, retry_after="5"), 5.25, id="Redis is away"),
        pytest.param(READ, answer(503, retry_after="soon"), 0.25, id="no number"),
        pytest.param(READ, answer(503, retry_after="300"), None, id="longer than anybody waits"),
        pytest.param(READ, answer(429, retry_after="7"), 7.25, id="over a limit"),
        pytest.param(BATCH, parts("null", '{"status": 400}'), None, id="a part is wrong"),
        pytest.param(BATCH, parts('{"retry_after": 9}', "null", '{"retry_after": 7}'), 7.25, id="parts over a limit"),
        pytest.param(BATCH, parts('{"retry_after": 91}'), None, id="parts over a limit for longer than anybody waits"),
        pytest.param(BATCH, answer(200, "<html>"), None, id="no answer to a batch"),
        pytest.param(READ, NOT_SENT, 0.25, id="nobody there"),
        pytest.param(READ, SENT, 0.25, id="no answer"),
        pytest.param(ONCE, NOT_SENT, 0.25, id="nobody there; it was not done"),
        pytest.param(ONCE, SENT, None, id="no answer; it may have been done"),
        pytest.param(ONCE, answer(503, retry_after="5"), None, id="unavailable; it may have been done"),
        pytest.param(ONCE, answer(429, retry_after="7"), 7.25, id="over a limit; it was not done"),
    ],
)
def test_what_may_be_sent_again_and_when(call: calls.Call[object], reply: Answer | Lost, pause: float | None) -> None:
    """TS-147, TS-153, TS-154: limits and outages pass, wrong requests do not; what may have been done is not done twice."""
    assert Retries().pause(call, reply, attempt=1, waited=0, chance=1) == pause


def test_pauses_grow_and_end() -> None:
    """TS-153: each is about twice the one before, spread by chance, and there are as many as attempts allow."""
    pauses = [Retries(attempts=5).pause(READ, NOT_SENT, attempt, 0, chance=1) for attempt in range(1, 6)]
    assert pauses == [0.25, 0.5, 1.0, 2.0, None]
    assert Retries().pause(READ, NOT_SENT, attempt=3, waited=0, chance=0) == 0.5


def test_a_limit_is_waited_for_longer_than_an_outage() -> None:
    """TS-150, TS-151: limits count by the minute, so that more tries than five may be needed, in 90 s at the most."""
    limited = answer(429, retry_after="2")
    assert Retries().pause(READ, limited, attempt=20, waited=60, chance=1) == 10.0
    assert Retries().pause(READ, limited, attempt=20, waited=85, chance=1) is None
    assert Retries().pause(READ, NOT_SENT, attempt=2, waited=30, chance=1) is None


def test_a_submission_may_be_sent_twice() -> None:
    """NS-005: because it carries a key of its own, under which the service answers as it did the first time."""
    submissions = [calls.submit("p", "generate_image", {}), calls.submit("p", "generate_image", {})]
    keys = {call.headers["Idempotency-Key"] for call in submissions}
    assert len(keys) == 2
    assert all(call.repeatable for call in submissions)
    assert calls.submit("p", "t", {}, idempotency_key="mine").headers == {"Idempotency-Key": "mine"}
