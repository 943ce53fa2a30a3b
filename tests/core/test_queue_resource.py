"""The GenerationQueue resource: what may be written, what it means, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from genfleet.contract.queue import API_VERSION, KIND, GenerationQueue
from genfleet.errors import ConfigurationError
from genfleet.scaling.policy import Policy, TasksPerWorker, WaitTarget
from genfleet.scaling.schedule import Window

LAPTOP = Path(__file__).parents[2] / "deploy" / "local"


def document(**spec: Any) -> dict[str, Any]:
    """The least that declares a queue, and what a test adds to its spec."""
    metadata = {"name": "gpu-heavy"}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {"queue": "gpu_heavy"} | spec}


def parsed(**spec: Any) -> GenerationQueue:
    """The queue of that document."""
    return GenerationQueue.parse(document(**spec), source="queue.yaml")


def faults(wrong: object) -> list[str]:
    """The lines that are said of a document, without the source."""
    with pytest.raises(ConfigurationError) as caught:
        GenerationQueue.parse(wrong, source="queue.yaml")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("queue.yaml: ") for line in lines)
    return [line.removeprefix("queue.yaml: ") for line in lines]


def test_a_queue_needs_a_name_and_its_broker_name_only() -> None:
    """All the rest has a default: from zero to ten workers, a minute's wait, one pool without wishes."""
    spec = parsed().spec
    assert (spec.concurrency, spec.paused) == (1, False)
    assert (spec.scaling.min_replicas, spec.scaling.max_replicas, spec.scaling.cooldown_seconds) == (0, 10, 120)
    assert spec.scaling.target.wait_seconds == 60
    assert [(pool.name, pool.worker_class, pool.gpu_count) for pool in spec.pools] == [("default", "cpu", 0)]


def test_the_example_of_the_design_is_read_as_written() -> None:
    """Every field of the documented example is known and comes out as it went in."""
    spec = {
        "queue": "gpu_heavy",
        "concurrency": 2,
        "scaling": {
            "minReplicas": 0,
            "maxReplicas": 20,
            "target": {"waitSeconds": 60},
            "cooldownSeconds": 120,
            "schedule": [{"cron": "0 8 * * 1-5", "duration": "10h", "minReplicas": 2, "timeZone": "UTC"}],
        },
        "pools": [
            {
                "name": "spot",
                "class": "gpu",
                "maxReplicas": 16,
                "gpus": 1,
                "nodeSelector": {"pool": "gpu-spot"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "resources": {"requests": {"cpu": 2, "memory": "16Gi"}},
            },
            {"name": "on-demand", "class": "gpu", "spilloverAfterSeconds": 90, "template": {"spec": {"hostIPC": True}}},
        ],
        "paused": False,
    }
    queue = parsed(**spec)
    assert queue.spec.pools[1].gpu_count == 1
    spec["pools"][0]["resources"]["requests"]["cpu"] = "2"  # type: ignore[index]
    assert queue.model_dump(mode="json", exclude_unset=True)["spec"] == spec


def test_what_a_cluster_adds_is_let_through() -> None:
    """An object that comes from the API server carries more metadata and a status."""
    full = document() | {"status": {"waiting": 3, "conditions": []}}
    full["metadata"] |= {"uid": "1", "generation": 4, "labels": {"team": "film"}, "managedFields": []}
    assert GenerationQueue.parse(full, source="cluster").metadata.labels == {"team": "film"}


def test_the_policy_of_a_queue() -> None:
    """The resource becomes the rules that the decision knows."""
    entry = {"cron": "0 8 * * 1-5", "duration": "1h30m", "minReplicas": 2, "timeZone": "Europe/Berlin"}
    scaling = {"minReplicas": 1, "maxReplicas": 7, "target": {"tasksPerWorker": 4}, "cooldownSeconds": 9}
    assert Policy.of(parsed(concurrency=3, paused=True, scaling=scaling | {"schedule": [entry]})) == Policy(
        min_replicas=1,
        max_replicas=7,
        concurrency=3,
        target=TasksPerWorker(4),
        cooldown=9,
        floors=(Window("0 8 * * 1-5", 5400, 2, "Europe/Berlin"),),
        paused=True,
    )
    assert Policy.of(parsed()).target == WaitTarget(60)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        pytest.param(
            {"pools": [{"name": "a", "resources": {"request": {}}}]},
            "spec.pools[0].resources.request: unknown field; did you mean 'requests'?",
            id="a slip of the pen deep down",
        ),
        pytest.param(
            {"min_replicas": 3},
            "spec.min_replicas: unknown field; known here: queue, concurrency, scaling, pools, paused",
            id="a field that is at home elsewhere",
        ),
        pytest.param(
            {"scaling": {"cooldownSeconds": -1}},
            "spec.scaling.cooldownSeconds: should be greater than or equal to 0, not -1",
            id="a number out of bounds",
        ),
        pytest.param(
            {"pools": [{"name": "a", "resources": {"limits": {"cpu": 0.5}}}]},
            "spec.pools[0].resources.limits.cpu: should be text (a number in quotes), not 0.5",
            id="an amount that the API server would refuse",
        ),
        pytest.param(
            {"pools": [{"name": "a", "nodeSelector": {"zone": "z" * 64}}]},
            f"spec.pools[0].nodeSelector.zone: '{'z' * 64}' does not fit.",
            id="a label that no node can have",
        ),
    ],
)
def test_what_is_said_of_a_mistake(spec: dict[str, Any], line: str) -> None:
    """Each mistake is told by the path of the field, what is wrong, and what to do. More are in `tests/support`."""
    assert faults(document(**spec)) == [line]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        pytest.param("cron", "0 0 8 * * *", "is not a cron expression: write five fields", id="a field for seconds"),
        pytest.param("cron", "0 0 30 2 *", "is not a cron expression: write five fields", id="a day that is none"),
        pytest.param("duration", "0h", "must be longer than nothing and at most 31 days", id="no time"),
        pytest.param("duration", "32d", "must be longer than nothing and at most 31 days", id="too much time"),
        pytest.param("timeZone", "Mars/Base", "is no time zone: write an IANA name", id="a zone that is none"),
    ],
)
def test_what_is_said_of_a_wrong_window(field: str, value: str, said: str) -> None:
    """A schedule that could not work is refused before it is relied upon."""
    entry = {"cron": "0 8 * * *", "duration": "1h", "minReplicas": 1} | {field: value}
    [line] = faults(document(scaling={"schedule": [entry]}))
    assert line.startswith(f"spec.scaling.schedule[0].{field}: {value!r} {said}")


def test_every_fault_has_its_line() -> None:
    """Three mistakes are told at once, not one after the other."""
    wrong = document(queue=None, concurrency=0, paus=True)
    assert [line.split(":")[0] for line in faults(wrong)] == ["spec.queue", "spec.concurrency", "spec.paus"]


@pytest.mark.parametrize("nothing", [None, [], "queue"])
def test_a_document_that_is_no_mapping(nothing: object) -> None:
    """An empty file, a list or a word is told to be no mapping."""
    assert faults(nothing) == [f"should be a mapping of fields, not {nothing!r}"]


def test_another_kind_of_document() -> None:
    """A document of another kind is told by what it should be."""
    assert faults(document() | {"kind": "Pod"}) == ["kind: should be 'GenerationQueue', not 'Pod'"]


@pytest.mark.parametrize(
    ("name", "concurrency", "most"),
    [("gpu_heavy", 2, 2), ("gpu_medium", 4, 3), ("cpu_intensive", 4, 2), ("default", 8, 1)],
)
def test_the_queues_of_a_laptop(name: str, concurrency: int, most: int) -> None:
    """The four queues of the documents start from zero, fit a laptop and ask for no GPU (TS-100 to TS-103)."""
    path = LAPTOP / f"{name.replace('_', '-')}.yaml"
    spec = GenerationQueue.parse(yaml.safe_load(path.read_text()), source=path.name).spec
    assert (spec.queue, spec.concurrency, spec.scaling.max_replicas) == (name, concurrency, most)
    assert (spec.scaling.min_replicas, spec.scaling.cooldown_seconds) == (0, 30)
    assert [pool.gpu_count for pool in spec.pools] == [0]
