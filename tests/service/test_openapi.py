"""The document that describes the API, which monitoring compares and clients are made from."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types of its own

from genfleet.errors import ConfigurationError
from genfleet_service import app
from genfleet_service.routes import fleet
from tools.document import build

ROUTES = {
    ("get", "/health"),
    ("get", "/metrics"),
    ("get", "/api/v1/health"),
    ("post", "/api/v1/tasks/submit"),
    ("post", "/api/v1/tasks/batch"),
    ("get", "/api/v1/tasks/{task_id}/status"),
    ("get", "/api/v1/tasks/{task_id}"),
    ("get", "/api/v1/tasks/{task_id}/events"),
    ("get", "/api/v1/tasks/{task_id}/logs"),
    ("delete", "/api/v1/tasks/{task_id}"),
    ("delete", "/api/v1/tasks/{task_id}/cancel"),
    ("post", "/api/v1/tasks/{task_id}/retry"),
    ("get", "/api/v1/tasks/metrics"),
    ("get", "/api/v1/tasks/health"),
    ("get", "/api/v1/projects/{project_id}/tasks"),
    ("get", "/api/v1/projects/{project_id}/usage"),
    ("post", "/api/v1/projects/{project_id}/tasks/cancel"),
    ("post", "/api/v1/projects/{project_id}/tasks/retry"),
    ("get", "/api/v1/queues"),
    ("post", "/api/v1/queues/{queue}/pause"),
    ("post", "/api/v1/queues/{queue}/resume"),
    ("get", "/api/v1/workers"),
    ("get", "/api/v1/doctor"),
    ("get", "/api/v1/webhooks"),
    ("get", "/api/v1/webhooks/deliveries"),
    ("get", "/api/v1/webhooks/secret"),
    ("post", "/api/v1/webhooks/secret/rotate"),
    ("get", "/api/v1/tasks/{task_id}/deliveries"),
    ("post", "/api/v1/tasks/{task_id}/deliveries/resend"),
    ("delete", "/api/v1/dead-letters/{letter_id}"),
    ("delete", "/api/v1/quarantine/{task_id}"),
    ("get", "/api/v1/audit"),
    ("get", "/api/v1/dead-letters"),
    ("get", "/api/v1/dead-letters/{letter_id}"),
    ("get", "/api/v1/quarantine"),
    ("post", "/api/v1/dead-letters/remove"),
    ("post", "/api/v1/dead-letters/resend"),
    ("post", "/api/v1/dead-letters/{letter_id}/resend"),
    ("post", "/api/v1/quarantine/retry"),
    ("get", "/api/v1/keys"),
    ("post", "/api/v1/keys"),
    ("post", "/api/v1/keys/{key_id}/rotate"),
    ("delete", "/api/v1/keys/{key_id}"),
}


@pytest.fixture
def document(api: httpx.Client) -> dict[str, Any]:
    """The document as anybody gets it: without a key."""
    answer = httpx.get(api.base_url.join("/openapi.json"), trust_env=False)
    assert answer.status_code == 200
    return cast(dict[str, Any], answer.json())


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """What the document says of each method of each path."""
    return {(method, path): said for path, methods in document["paths"].items() for method, said in methods.items()}


def test_every_path_is_listed(document: dict[str, Any]) -> None:
    """TS-175, TS-004: the document is open, and lists every expected path with its method, and nothing else."""
    assert operations(document).keys() == ROUTES


def test_what_is_listed_is_really_there(api: httpx.Client, document: dict[str, Any]) -> None:
    """TS-175: no listed path is answered with "there is nothing", and none with "not this method"."""
    for method, path in operations(document):
        answer = api.request(
            method, path.format(task_id="abc123", project_id="p", queue="default", key_id="k", letter_id=1)
        )
        assert answer.status_code != 405, path
        assert '"not_found"' not in answer.text, path


def test_a_router_that_is_forgotten_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """TS-175: every module of routes is served, or the API does not start, and says which one is missing."""
    monkeypatch.setattr(app, "ROUTERS", tuple(router for router in app.ROUTERS if router is not fleet.router))
    build.cache_clear()

    with pytest.raises(ConfigurationError, match=r"genfleet_service\.routes\.fleet: has routes that are not served"):
        build()


def test_operation_ids_are_subject_and_function(document: dict[str, Any]) -> None:
    """TS-175: clients name their functions after them, so they are plain, unique, and do not move with a path."""
    names = {way: said["operationId"] for way, said in operations(document).items()}
    assert len(set(names.values())) == len(names)
    assert names["post", "/api/v1/tasks/submit"] == "tasks-submit"
    assert names["get", "/api/v1/projects/{project_id}/tasks"] == "projects-list_tasks"


def test_every_operation_and_parameter_is_described(document: dict[str, Any]) -> None:
    """TS-175: a generated client has words for each function and each of its arguments."""
    undescribed = [
        (said["operationId"], part.get("name", "itself"))
        for said in operations(document).values()
        for part in (said, *said.get("parameters", ()))
        if not part.get("description")
    ]
    assert undescribed == []


def test_every_answer_has_an_example_that_fits(document: dict[str, Any]) -> None:
    """TS-175, TS-144 to TS-147: each body, of a success or an error, shows one that its own schema allows."""
    looked_at = 0
    for said in operations(document).values():
        bodies = {"request": said["requestBody"]} if "requestBody" in said else {}
        for name, part in {**bodies, **said["responses"]}.items():
            content = part.get("content", {}).get("application/json")
            if content is None:  # a stream, or an answer without a body
                continue
            where = f"{said['operationId']} {name}"
            assert content["schema"], where
            schema = content["schema"] | {"components": document["components"]}
            assert "example" in content, f"{where}: add one to genfleet_service/examples.py, under its schema's name"
            Draft202012Validator(schema).validate(content["example"])
            looked_at += 1
    assert looked_at > len(ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        pytest.param(
            "post", "/api/v1/tasks/submit", {"200", "400", "401", "403", "413", "422", "429", "503"}, id="submit"
        ),
        pytest.param("get", "/api/v1/tasks/{task_id}/status", {"200", "401", "403", "404", "429", "503"}, id="status"),
        pytest.param("delete", "/api/v1/tasks/{task_id}", {"200", "400", "401", "403", "404", "503"}, id="cancel"),
        pytest.param(
            "post",
            "/api/v1/tasks/{task_id}/retry",
            {"200", "400", "401", "403", "404", "422", "429", "503"},
            id="retry",
        ),
        pytest.param("get", "/api/v1/projects/{project_id}/tasks", {"200", "400", "401", "403", "503"}, id="list"),
    ],
)
def test_errors_are_documented(document: dict[str, Any], method: str, path: str, statuses: set[str]) -> None:
    """TS-175, TS-144 to TS-147: each route names its errors, all of one shape, and 422 only where somebody gets it."""
    responses = operations(document)[method, path]["responses"]
    assert responses.keys() == statuses
    for status in statuses - {"200"}:
        schema = responses[status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/ErrorBody"}


def test_the_body_of_a_submission_is_described(document: dict[str, Any]) -> None:
    """TS-009, TS-010, TS-017: the documented six fields and ours, three of them required, and the eight types by name."""
    body = operations(document)["post", "/api/v1/tasks/submit"]["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Submission"}
    schema = document["components"]["schemas"]["Submission"]
    assert list(schema["properties"]) == [
        "project_id",
        "task_type",
        "task_data",
        "priority",
        "callback_url",
        "metadata",
        "delay_seconds",
        "run_at",
        "deadline_seconds",
        "deadline",
    ]
    assert schema["required"] == ["project_id", "task_type", "task_data"]
    assert len(schema["properties"]["task_type"]["enum"]) == 8


@pytest.mark.parametrize("way", [("post", "/api/v1/tasks/submit"), ("get", "/api/v1/tasks/{task_id}/status")])
def test_the_wait_for_an_end_is_described(document: dict[str, Any], way: tuple[str, str]) -> None:
    """TS-175, TS-153: both requests that `Prefer: wait` may hold back name the header, and the one that says so."""
    said = operations(document)[way]
    (prefer,) = (parameter for parameter in said["parameters"] if parameter["name"] == "Prefer")
    assert (prefer["in"], prefer.get("required", False), prefer["example"]) == ("header", False, "wait=30")
    assert said["responses"]["200"]["headers"].keys() == {"Preference-Applied"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """TS-175: generators of clients stop at a reference that leads nowhere."""
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known


def references(part: object) -> set[str]:
    """Every `$ref` in a part of the document."""
    if isinstance(part, list):
        return set().union(*map(references, part))
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references, part.values()))
    return set()


def test_the_key_is_described(document: dict[str, Any]) -> None:
    """TS-003, PI-008: generated clients know which header to send, and which two paths do without."""
    assert document["security"] == [{"ApiKey": []}]
    own = {path: said["security"] for (_, path), said in operations(document).items() if "security" in said}
    assert own == {"/health": [], "/metrics": [], "/api/v1/health": [{}, {"ApiKey": []}]}
    assert document["components"]["securitySchemes"] == {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    }


def test_there_is_a_page_for_people(api: httpx.Client) -> None:
    """TS-175: `/docs` is where the messages of unknown paths point to, so it is there, without a key."""
    answer = httpx.get(api.base_url.join("/docs"), trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
