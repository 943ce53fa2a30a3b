"""Webhooks on real sockets: what receivers get, what happens when they misbehave, and what people see of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from genfleet.contract.keys import key
from genfleet.contract.states import State
from genfleet.egress import AsyncSafeTransport
from genfleet.store.records import TaskRecord
from genfleet_service.webhooks import payload, signature
from genfleet_service.webhooks.attempt import Answered, NotAnswered, post
from tests.service.acts import PROJECT, VIDEO_RESULT, look, settled, started, submission
from tests.service.acts import post as submit
from tests.service.conftest import Calling
from tests.support.receivers import Answer, Received, break_off, drip, hang, receiving, status
from tests.support.servers import ROOT
from tests.support.waiting import wait_for

METADATA = {"userId": "user-123", "testResultId": "result-456", "sessionId": "session-789"}


def ended(calling: Calling, url: str, state: State = State.COMPLETED) -> str:
    """The id of a task that has just ended, and asked to be told at `url`."""
    return settled(calling.api, calling.store, state, callback_url=url, metadata=METADATA)


def verified(received: Received, *secrets: str) -> list[bool]:
    """For each secret, whether the request is signed with it: worked out here once more, by the standard's words."""
    head = received.headers
    content = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + received.body
    digests = [hmac.new(base64.b64decode(secret[6:]), content, hashlib.sha256).digest() for secret in secrets]
    signatures = head["webhook-signature"].split(" ")
    return [f"v1,{base64.b64encode(digest).decode()}" in signatures for digest in digests]


def lines(calling: Calling, task_id: str) -> list[str]:
    """What the log says of a task's webhook, without time and program."""
    said = calling.log.read_text().splitlines()
    return [re.sub(r"^\S+ | program=api$", "", line) for line in said if task_id in line and "ebhook" in line]


def names(task_id: str) -> str:
    """What ends each of these lines: whose webhook it is."""
    return f"task_id={task_id} project_id={PROJECT} task_type=generate_image"


# -- what receivers get --------------------------------------------------------------------------------------------------


def test_a_completed_task(calling: Calling) -> None:
    """TS-122, TS-124, TS-128, PI-017, PR-015: one POST with the documented fields in their order, and no others."""
    with receiving() as receiver:
        task_id = ended(calling, receiver.url)
        found = calling.over(task_id)
        (received,) = receiver.received
    task = look(calling.api, task_id)
    assert list(received.document.items()) == [
        ("task_id", task_id),
        ("project_id", task["project_id"]),
        ("status", "completed"),
        ("result", VIDEO_RESULT),
        ("processing_time", task["processing_time"]),
        ("completed_at", task["completed_at"]),
        ("metadata", METADATA),
    ]
    assert (found["status"], found["attempts"][0]["status_code"]) == ("delivered", 200)
    assert found["attempts"][0]["response"] == '{"received":true}'


def test_a_failed_task(calling: Calling) -> None:
    """TS-125, TS-126, PR-013: the documented fields, and the error in `result` as well for the first edition."""
    error = "Task execution failed: no face in the picture"
    with receiving() as receiver:
        task_id = ended(calling, receiver.url, State.FAILED)
        calling.over(task_id)
        (received,) = receiver.received
    task = look(calling.api, task_id)
    assert list(received.document.items()) == [
        ("task_id", task_id),
        ("project_id", task["project_id"]),
        ("status", "failed"),
        ("error", error),
        ("traceback", "Traceback (most recent call last): …"),
        ("failed_at", task["completed_at"]),
        ("metadata", METADATA),
        ("result", {"error": error}),
    ]


def test_the_headers(calling: Calling) -> None:
    """NS-003, NS-004: JSON, a user agent, and a signature by Standard Webhooks with the secret of the submitting key."""
    secret = calling.api.get("/api/v1/webhooks/secret").json()["secret"]
    with receiving() as receiver:
        calling.over(ended(calling, receiver.url))
        (received,) = receiver.received
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["User-Agent"].startswith("genfleet/")
    assert verified(received, secret, signature.new_secret()) == [True, False]


def test_the_signature_is_that_of_the_standard() -> None:
    """NS-003: the example that the standard's own libraries are tested with."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = signature.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret])
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_a_secret_is_changed_both_sign(calling: Calling) -> None:
    """NS-003: a receiver that knows either secret verifies; with a grace of 0 the old one ends at once."""
    api = calling.api
    before = api.get("/api/v1/webhooks/secret").json()
    assert before["previous_valid_until"] is None
    after = api.post("/api/v1/webhooks/secret/rotate").json()
    assert (after["secret"] != before["secret"], after["previous_valid_until"] is not None) == (True, True)
    with receiving() as receiver:
        calling.over(ended(calling, receiver.url))
        assert verified(receiver.received[0], before["secret"], after["secret"]) == [True, True]
        last = api.post("/api/v1/webhooks/secret/rotate", json={"grace_seconds": 0}).json()
        calling.over(ended(calling, receiver.url))
        assert verified(receiver.received[1], after["secret"], last["secret"]) == [False, True]
    assert api.post("/api/v1/webhooks/secret/rotate", json={"grace_seconds": -1}).status_code == 400
    assert api.get("/api/v1/webhooks/secret").json() == last
    assert before["secret"] not in calling.log.read_text()


# -- receivers that misbehave --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        pytest.param(status(500), "The receiver answered 500", id="500"),
        pytest.param(status(404), "The receiver answered 404", id="404"),
        pytest.param(status(203), "The receiver answered 203", id="another 2xx"),
        pytest.param(hang, "Connection timeout: no complete answer within 1.5 seconds", id="hangs"),
        pytest.param(drip, "Connection timeout: no complete answer within 1.5 seconds", id="drips"),
        pytest.param(break_off, "No complete answer: ", id="closes in mid-answer"),
    ],
)
def test_a_receiver_that_fails_and_then_works(calling: Calling, bad: Answer, error: str) -> None:
    """TS-129, TS-130, TS-131, TS-133: it is sent again, and is the same; the status of the task waits for nothing."""
    with receiving(bad, status(204)) as receiver:
        task_id = ended(calling, receiver.url)
        assert look(calling.api, task_id)["status"] == "completed"
        found = calling.over(task_id)
        first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == found["webhook_id"]
    assert found["status"] == "delivered"
    assert found["attempts"][0]["error"].startswith(error)
    assert [attempt["status_code"] for attempt in found["attempts"]][1:] == [204]
    told = f"callback_url={receiver.url} error={found['attempts'][0]['error']} attempt=1 {names(task_id)}"
    assert lines(calling, task_id) == [
        f"WARNING: Webhook request failed {told}",
        f"INFO: Webhook sent successfully callback_url={receiver.url} status_code=204 {names(task_id)}",
    ]


@pytest.mark.parametrize("code", [200, 201, 202, 204])
def test_the_four_good_answers(calling: Calling, code: int) -> None:
    """TS-130: each of them ends the delivery."""
    with receiving(status(code, b"x" * 100_000)) as receiver:
        found = calling.over(ended(calling, receiver.url))
        assert len(receiver.received) == 1
    (attempt,) = found["attempts"]
    assert (attempt["status_code"], len(attempt["response"])) == (code, 0 if code == 204 else 1024)


def test_a_receiver_that_never_works(calling: Calling) -> None:
    """TS-129, TS-132, TS-140, TS-185, TS-028, PR-014, PI-014: four attempts with growing pauses; then the log says so, and nothing else changes."""
    with receiving(status(500)) as receiver:
        task_id = ended(calling, f"{receiver.url}?token=hunter2")
        before = look(calling.api, task_id)
        found = calling.over(task_id)
        times = [received.at for received in receiver.received]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) == 4
    assert all(pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.4), strict=True))
    assert (found["status"], len(found["attempts"]), found["next_attempt_at"]) == ("failed", 4, None)
    assert look(calling.api, task_id) == before
    url = f"{receiver.url}?[hidden]"
    told = f"callback_url={url} error=The receiver answered 500 attempt={{}} {names(task_id)}"
    assert lines(calling, task_id) == [
        *(f"WARNING: Webhook request failed {told.format(attempt)}" for attempt in (1, 2, 3, 4)),
        f"ERROR: Failed to send webhook after all retries callback_url={url} {names(task_id)}",
    ]
    assert "hunter2" not in calling.log.read_text()


def test_a_redirect_is_a_failure(calling: Calling) -> None:
    """TS-130: nobody sends our request on to a place inside."""
    with receiving() as inside, receiving(status(307, Location=inside.url)) as receiver:
        found = calling.over(ended(calling, receiver.url))
        assert (len(receiver.received), inside.received) == (4, [])
    assert found["status"] == "failed"
    assert found["attempts"][0]["error"] == "The receiver answered 307; redirects are not followed"


def test_a_receiver_that_hangs_holds_up_nobody(calling: Calling) -> None:
    """TS-143: neither other receivers nor the worker's slot wait for it, however many deliveries it has coming."""
    with receiving(hang) as slow, receiving() as quick:
        for _ in range(10):
            ended(calling, slow.url)
        # Another name for this machine, so another host.
        task_id = ended(calling, quick.url.replace("127.0.0.1", "localhost"))
        wait_for("the quick receiver is told", lambda: quick.received, within=1.4)
        assert calling.over(task_id)["status"] == "delivered"
        assert len(slow.received) <= 4
        assert calling.redis.client.zcard(key("leases", "gpu_medium")) == 0


# -- where webhooks do not go --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://your-app.com/hook", "must begin with https:// and name a host"),
        ("https:///hook", "must begin with https:// and name a host"),
        ("https://[::1/hook", "is not a URL"),
        ("https://your-app.com:port/hook", "is not a URL"),
        ("https://your-app.com/a b", "must not contain spaces or control characters"),
        ("https://your-app.com/\nINFO: forged", "must not contain spaces or control characters"),
        ("https://me:pw@your-app.com/", "must not contain a user name or password"),
        ("https://127.0.0.1/hook", "must lead to a public address"),
        ("https://[::ffff:10.0.0.1]/hook", "must lead to a public address"),
        ("https://169.254.169.254/latest", "must lead to a public address"),
        ("https://localhost/hook", "must lead to a public address"),
        (f"https://your-app.com/{'x' * 2_000}", "must have at most 2000 characters"),
    ],
)
def test_a_callback_url_that_cannot_be(api: httpx.Client, url: str, fault: str) -> None:
    """TS-137, TS-138: what can be seen without a look-up is refused at submission, with the remedy."""
    answer = submit(api, submission(callback_url=url))
    assert answer.status_code == 400
    assert answer.json()["details"]["callback_url"].startswith(f"Callback URL {fault}")


def sent(url: str, transport: AsyncSafeTransport, *, allow_http: bool = True) -> Any:
    """What comes of one attempt, sent with this transport."""

    async def attempt() -> Any:
        try:
            return await post(transport, url, b"{}", {}, 2.0, allow_http=allow_http)
        finally:
            await transport.aclose()

    return asyncio.run(attempt())


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (
            "http://localhost:1/",
            "Refused: localhost is not a public address; private networks are not reached from here",
        ),
        ("http://2130706433/", "Refused: 2130706433 is not a public address"),
        ("http://exa\tmple/", "Not a URL: "),
    ],
)
def test_a_name_that_leads_inside_is_refused_when_it_is_called(url: str, error: str) -> None:
    """TS-138: for good, with the reason: the address is checked where the connection is made."""
    outcome = sent(url, AsyncSafeTransport())
    assert isinstance(outcome, NotAnswered)
    assert (outcome.error.startswith(error), outcome.final) == (True, True)


def test_plain_http_is_refused_by_a_process_that_does_not_allow_it() -> None:
    """TS-137: also where the task was submitted when it was allowed."""
    outcome = sent("http://your-app.com/", AsyncSafeTransport(), allow_http=False)
    assert outcome == NotAnswered("Only https:// URLs are called", final=True)


def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """TS-138: a host that is public when it is looked up and private a moment later is called where it was public."""
    answers = iter([["127.0.0.2"], ["127.0.0.1"]])
    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "rebinding.test")
        outcome = sent(url, AsyncSafeTransport(allow_private=True, resolve=lambda *_: next(answers)))
        assert receiver.received == []
    assert isinstance(outcome, NotAnswered)
    assert next(answers) == ["127.0.0.1"], "the name was looked up twice"


def certificate(folder: Path) -> Path:
    """A key and a certificate for localhost that nobody else has signed, in one file."""
    made, command = folder / "localhost.pem", ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *names, "-keyout", made, "-out", folder / "cert"], check=True, capture_output=True)
    made.write_text(made.read_text() + (folder / "cert").read_text())
    return made


@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl on the PATH to make a certificate with"
)
@pytest.mark.parametrize("trusted", [True, False])
def test_a_receiver_proves_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    """TS-137: over TLS to a checked address, with the certificate of the URL's name; SSL_CERT_FILE may add an authority."""
    made = certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(made))
    with receiving(certificate=made) as receiver:
        url = receiver.url.replace("127.0.0.1", "localhost")
        outcome = sent(url, AsyncSafeTransport(allow_private=True), allow_http=False)
        assert len(receiver.received) == trusted
    assert outcome == Answered(200, '{"received":true}') if trusted else "CERTIFICATE_VERIFY_FAILED" in outcome.error


# -- what people see -----------------------------------------------------------------------------------------------------


def test_a_failed_delivery_is_found_and_sent_again(calling: Calling) -> None:
    """TS-132: listed as failed; a resend has the same body and id, is signed anew, and ends the failure."""
    with receiving(*[status(500)] * 4, status(200)) as receiver:
        task_id = ended(calling, receiver.url)
        calling.over(task_id)
        other = ended(calling, receiver.url)
        calling.over(other)
        listed = calling.api.get("/api/v1/webhooks/deliveries", params={"status": "failed"}).json()
        assert [found["task_id"] for found in listed["deliveries"]] == [task_id]
        assert listed["pagination"] == {"page": 1, "limit": 20, "total": 1, "total_pages": 1}

        answer = calling.api.post(f"/api/v1/tasks/{task_id}/deliveries/resend")
        assert (answer.status_code, answer.json()["status"]) == (200, "pending")
        found = calling.over(task_id)
        first, again = receiver.received[0], receiver.received[-1]
    assert (found["status"], len(found["attempts"])) == ("delivered", 5)
    assert (again.body, again.headers["webhook-id"]) == (first.body, first.headers["webhook-id"])
    assert calling.api.get("/api/v1/webhooks/deliveries", params={"status": "failed"}).json()["deliveries"] == []
    assert len(calling.api.get("/api/v1/webhooks/deliveries").json()["deliveries"]) == 2


def test_tasks_without_a_webhook(calling: Calling) -> None:
    """NS-002: an empty list, and a sentence for who wants it sent again; an unknown task is 404."""
    running = started(calling.api, calling.store, callback_url="https://your-app.com/hook")
    cancelled = ended(calling, "https://your-app.com/hook", State.CANCELLED)
    for task_id in (running, cancelled):
        assert calling.deliveries(task_id) == []
        answer = calling.api.post(f"/api/v1/tasks/{task_id}/deliveries/resend")
        assert (answer.status_code, answer.json()["error"]) == (400, "validation_error")
    assert calling.api.get("/api/v1/tasks/unknown/deliveries").status_code == 404
    assert calling.api.post("/api/v1/tasks/unknown/deliveries/resend").status_code == 404
    assert calling.api.get("/api/v1/webhooks/deliveries", params={"status": "lost"}).status_code == 400


def test_the_documents_own_submission(api: httpx.Client) -> None:
    """TS-123: their example is accepted as it is, and its callback kept."""
    body = {
        "project_id": "detective_series_001",
        "task_type": "generate_video",
        "callback_url": "https://your-app.com/api/webhooks/task-complete",
        "task_data": {"scene_description": "Detective enters dark alley", "duration": 7},
        "metadata": METADATA,
    }
    task = look(api, submit(api, body).json()["task_id"])
    assert {name: task[name] for name in body} == body


def test_the_page_shows_what_is_sent() -> None:
    """TS-124, TS-125, TS-135, TS-136, TS-139, TS-140, TS-141, TS-142: the documents' examples, their bodies and lines, word for word."""
    page = (ROOT / "docs" / "webhook-callbacks.md").read_text()
    shown = [orjson.loads(block) for block in re.findall(r"^ {4}\{\n(?: {4}.*\n)+? {4}\}$", page, re.MULTILINE)]
    common = {b"project": b"detective_series_001", b"metadata": orjson.dumps(METADATA), b"finished": b"1736937330000"}
    result = {
        "media_url": "https://media.ft.tc/detective_001/video_001.mp4",
        "payload_media_id": "64f1b2c3a8d9e0f1",
        "metadata": {"duration": 7.0, "resolution": "1920x1080", "file_size": 15728640},
    }
    completed = {b"state": b"completed", b"started": b"1736937015000", b"result": orjson.dumps(result)}
    error, trace = b"Invalid scene description format", b"Traceback (most recent call last):\n  File ..."
    records = (completed, {b"state": b"failed", b"error": error, b"trace": trace})
    tasks = [TaskRecord.read("abc123-def456-ghi789", common | record) for record in records]
    assert shown == [orjson.loads(payload.body(task)) for task in tasks if task]
    for words in (
        "INFO: Webhook sent successfully callback_url=https://... status_code=200 task_id=abc123",
        "WARNING: Webhook request failed callback_url=https://... error=Connection timeout attempt=1",
        "ERROR: Failed to send webhook after all retries callback_url=https://... task_id=abc123",
        "examples/mock_webhook_server.py",
        "GENFLEET_WEBHOOK_ADDRESSES",
        "ngrok http 3010",
        "**Acknowledge first, work later.**",
        "**Be idempotent.**",
        "| duplicates | an answer came too late",
        "| 403 from the receiver |",
    ):
        assert words in page
    assert (ROOT / "docs" / "system-integration.md").exists()


def test_a_key_for_some_projects_sees_their_webhooks_alone(calling: Calling) -> None:
    """Others' deliveries are not there for it: it can neither read them nor send them again, and a list needs a project."""
    asked = {"name": "other", "projects": ["other"]}
    headers = {"X-API-Key": calling.api.post("/api/v1/keys", json=asked).json()["api_key"]}
    with receiving() as receiver:
        task_id = ended(calling, receiver.url)
        calling.over(task_id)

    def status_of(method: str, path: str) -> int:
        return calling.api.request(method, f"/api/v1/{path}", headers=headers).status_code

    wait_for("the key is known", lambda: status_of("GET", "webhooks") == 200)
    assert status_of("GET", f"tasks/{task_id}/deliveries") == 404
    assert status_of("POST", f"tasks/{task_id}/deliveries/resend") == 404
    assert status_of("GET", "webhooks/deliveries") == 403
    assert status_of("GET", "webhooks/deliveries?project_id=") == 400
    assert status_of("GET", f"webhooks/deliveries?project_id={PROJECT}") == 403
    assert status_of("GET", "webhooks/deliveries?project_id=other") == 200


def test_the_rules_are_published(api: httpx.Client) -> None:
    """TS-129, TS-130, TS-131, TS-136: the defaults are the documented numbers."""
    assert api.get("/api/v1/webhooks").json() == {
        "addresses": [],
        "attempts": 4,
        "retry_delays_seconds": [1, 2, 4],
        "timeout_seconds": 30,
        "success_codes": [200, 201, 202, 204],
    }
