"""Traces across the programs, as a collector of OpenTelemetry's own protocol sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from structlog.testing import capture_logs

from genfleet import traces
from genfleet.contract.keys import key
from genfleet.store import steps
from genfleet.store.client import SyncStore
from tests.support.receivers import Receiver, receiving, status
from tests.support.servers import Site, free_port
from tests.support.tasks import record
from tests.support.waiting import wait_for

TRACE, CLIENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{CLIENT}-01", f"00-{TRACE}-{CLIENT}-00"
WORDS = "a detective that nobody else should read of"


@dataclass(frozen=True)
class Seen:
    """A span as a collector has it."""

    service: str
    span: Span

    @property
    def name(self) -> str:
        """What it is of."""
        return self.span.name

    @property
    def about(self) -> dict[str, Any]:
        """Its attributes."""
        return _plain(self.span.attributes)


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def spans(collector: Receiver) -> list[Seen]:
    """All that have come so far."""
    found = []
    for received in list(collector.received):
        assert (received.path, received.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
        for resource in ExportTraceServiceRequest.FromString(received.body).resource_spans:
            service = _plain(resource.resource.attributes)["service.name"]
            found += [Seen(service, span) for scope in resource.scope_spans for span in scope.spans]
    return found


def collected_at(url: str) -> dict[str, Any]:
    """The environment of programs that send their traces there, soon."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url.removesuffix("/hook"), "OTEL_BSP_SCHEDULE_DELAY": "50"}


def submitted(api: httpx.Client, traceparent: str = "", path: str = "submit", **data: Any) -> str:
    """The id of a task, submitted by a client that is traced itself if it has a `traceparent`."""
    callback = {"callback_url": data.pop("callback_url")} if "callback_url" in data else {}
    body: dict[str, Any] = {"project_id": "p", "task_type": "generate_image", "task_data": data, **callback}
    headers = {"traceparent": traceparent} if traceparent else {}
    told = api.post(
        f"/api/v1/tasks/{path}", json={"tasks": [body]} if path == "batch" else body, headers=headers
    ).json()
    task_id: str = told["results"][0]["task"]["task_id"] if path == "batch" else told["task_id"]
    return task_id


def test_one_trace_goes_from_the_client_to_the_receiver(site: Site) -> None:
    """Submission, wait, attempt and webhook are in the trace of the client, and what an engine traces is in the attempt.

    The receiver is told which span to join. No span of ours says more of the task than which it is.
    """
    open_gates = {"GENFLEET_ALLOW_HTTP_CALLBACKS": "true", "GENFLEET_ALLOW_PRIVATE_CALLBACKS": "true"}
    with receiving(status(200)) as collector, receiving(status(200)) as receiver:
        there = collected_at(collector.url)
        with site.api(**there, **open_gates) as api, site.worker(**there):
            task_id = submitted(api, SAMPLED, callback_url=receiver.url, prompt=WORDS, traced="inference")
            wait_for("the spans are there", lambda: len(spans(collector)) >= 5, within=20)
        seen = {each.name: each for each in spans(collector)}

    assert len(seen) == len(spans(collector)) == 5
    assert {name: each.span.trace_id.hex() for name, each in seen.items()} == dict.fromkeys(seen, TRACE)
    submit = seen["submit"].span
    assert submit.parent_span_id.hex() == CLIENT
    assert {seen[name].span.parent_span_id for name in ("wait", "attempt", "webhook")} == {submit.span_id}
    assert seen["inference"].span.parent_span_id == seen["attempt"].span.span_id
    assert {name: (each.service, each.span.kind) for name, each in seen.items()} == {
        "submit": ("genfleet-api", Span.SPAN_KIND_SERVER),
        "wait": ("genfleet-worker", Span.SPAN_KIND_INTERNAL),
        "attempt": ("genfleet-worker", Span.SPAN_KIND_CONSUMER),
        "webhook": ("genfleet-api", Span.SPAN_KIND_CLIENT),
        "inference": ("genfleet-worker", Span.SPAN_KIND_INTERNAL),
    }
    (called,) = receiver.received
    assert called.headers["traceparent"] == f"00-{TRACE}-{seen['webhook'].span.span_id.hex()}-01"

    whose = {"genfleet.task_id": task_id, "genfleet.project_id": "p", "genfleet.task_type": "generate_image"}
    attempt = whose | {"genfleet.attempt": 1, "genfleet.queue": "gpu_medium"}
    replayed = {"genfleet.queue": "gpu_medium", "genfleet.replayed": False}
    assert {name: each.about for name, each in seen.items()} == {
        "submit": whose | replayed,
        "inference": {},
        "wait": attempt,
        "attempt": attempt | {"genfleet.outcome": "completed"},
        "webhook": whose | {"genfleet.attempt": 1, "genfleet.status_code": 200},
    }
    assert not [each for each in collector.received if WORDS.encode() in each.body]
    waited = seen["wait"].span
    assert waited.end_time_unix_nano - waited.start_time_unix_nano >= 0
    log = (site.folder / "worker.log").read_text()
    assert all(f"trace_id={TRACE}" in line for line in log.splitlines() if f"task_id={task_id}" in line)


def test_each_attempt_is_a_span_whatever_becomes_of_it(site: Site, store: SyncStore) -> None:
    """Also of a process that died, or was killed: its worker tells. An error is a word, not what it says."""
    with receiving(status(200)) as collector:
        there = collected_at(collector.url)
        limits = '{"generate_image": [1, 2]}'
        with (
            site.api(**there, GENFLEET_WEBHOOK_CONCURRENCY="0") as api,
            site.worker(**there, GENFLEET_TIME_LIMITS=limits),
        ):
            ids = {
                "failed": submitted(api, fail="ValueError", message=WORDS),
                "retried": submitted(api, fail="ConnectionError", message=WORDS),
                "died": submitted(api, die=True),
                "killed": submitted(api, seconds=60, stubborn=True),
            }
            expected = {"failed": 1, "retried": 1, "died": 3, "killed": 1}
            wait_for("the attempts are told", lambda: len(attempts(collector)) == sum(expected.values()), within=30)
        told = attempts(collector)

    names = {task_id: name for name, task_id in ids.items()}
    found = {
        (names[each.about["genfleet.task_id"]], each.about["genfleet.outcome"], each.about["error.type"])
        for each in told
    }
    assert found == {
        ("failed", "failed", "engine"),
        ("retried", "retried", "connection"),
        ("died", "lost", "lost"),
        ("killed", "failed", "timeout"),
    }
    assert {each.span.status.code for each in told} == {Status.STATUS_CODE_ERROR}
    assert len({each.span.trace_id for each in told}) == len(ids)
    assert not [each for each in collector.received if WORDS.encode() in each.body]


def attempts(collector: Receiver) -> list[Seen]:
    """Those spans that are of attempts."""
    return [each for each in spans(collector) if each.name == "attempt"]


def test_without_a_collector_nothing_is_written_down(site: Site, store: SyncStore, api: httpx.Client) -> None:
    """Off is off: whatever a client sends, its task has no field more, and its claim no answer more."""
    task_id = submitted(api, SAMPLED)
    assert b"traceparent" not in site.redis.client.hgetall(key("task", task_id))
    lease = store.run(steps.claim(task_id, "1", "w", "n")).lease
    assert lease is not None
    assert lease.trace is None


def test_a_client_that_does_not_sample_is_followed(site: Site) -> None:
    """Its trace is kept by nobody, so ours is not either; other tasks are, those of a batch and what is tried again too."""
    with receiving(status(200)) as collector:
        there = collected_at(collector.url)
        with site.api(**there, GENFLEET_WEBHOOK_CONCURRENCY="0") as api:
            left_out, joined, odd = (submitted(api, parent) for parent in (UNSAMPLED, SAMPLED, "no traceparent at all"))
            batched = submitted(api, SAMPLED, "batch")
            assert api.delete(f"/api/v1/tasks/{odd}").is_success
            again = api.post(f"/api/v1/tasks/{odd}/retry", headers={"traceparent": SAMPLED}).json()["new_task_id"]
            wait_for("the others are there", lambda: len(spans(collector)) >= 4)
        found = [each for each in spans(collector) if each.name == "submit"]
    seen = {each.about.get("genfleet.task_id"): each.span for each in found}
    assert seen.keys() == {joined, odd, again, None}
    assert {name: span.trace_id.hex() == TRACE for name, span in seen.items()} == {
        joined: True,
        odd: False,
        again: True,
        None: True,
    }
    kept = {
        name: site.redis.client.hget(key("task", name), "traceparent")
        for name in (left_out, joined, odd, batched, again)
    }
    assert kept.pop(left_out) is None
    assert kept == {
        name: f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01".encode()
        for name, span in {**seen, batched: seen[None]}.items()
        if name
    }


def test_a_collector_that_is_away_is_a_line_in_the_log(site: Site, store: SyncStore) -> None:
    """Tasks are submitted, run and told of as ever; programs end as soon as ever."""
    there = collected_at(f"http://127.0.0.1:{free_port()}")
    with site.api(**there, GENFLEET_WEBHOOK_CONCURRENCY="0") as api, site.worker(**there) as worker:
        ids = [submitted(api) for _ in range(5)]
        for task_id in ids:
            wait_for("it ends", lambda: record(store, task_id).finished_ms)  # noqa: B023
        for log in ("api.log", "worker.log"):
            wait_for(f"{log} has its line", lambda: "127.0.0.1" in _told(site, log))  # noqa: B023
        worker.terminate()
        assert worker.wait(15) == 0
    for log in ("api.log", "worker.log"):
        said = [line for line in _told(site, log).splitlines() if "v1/traces" in line]
        assert len(said) <= 4, said
        assert "Traceback" not in _told(site, log)


def _told(site: Site, log: str) -> str:
    return (site.folder / log).read_text()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
    ],
)
def test_what_switches_traces_off(environment: dict[str, str], said: str | None) -> None:
    """A protocol that is not spoken is told with its remedy; what was switched off on purpose is not."""
    with capture_logs() as lines:
        traces.set_up("api", environment)
    assert not traces.is_on()
    assert traces.start("submit", "server", SAMPLED).context == ""
    assert [said in line["remedy"] for line in lines] == ([True] if said else [])
