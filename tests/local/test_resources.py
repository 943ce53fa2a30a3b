"""A folder of queue resources: what is read, and what is refused with a sentence that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from genfleet.contract.task_types import QUEUES
from genfleet.errors import ConfigurationError
from genfleet_local import resources
from tests.local.installation import RESOURCE, write_resource
from tests.support.servers import ROOT


def refusal(folder: Path) -> str:
    """What is said of a folder that is refused."""
    with pytest.raises(ConfigurationError) as refused:
        resources.load(folder)
    return str(refused.value)


def test_the_shipped_resources_serve_every_queue_from_zero() -> None:
    """Each queue of the task table has a resource, and none keeps a worker without work."""
    shipped = resources.load(ROOT / "deploy" / "local")

    assert {queue.spec.queue for queue in shipped} == set(QUEUES)
    assert {queue.spec.scaling.min_replicas for queue in shipped} == {0}


def test_one_file_may_hold_several(tmp_path: Path) -> None:
    """Documents are separated by `---`, as for kubectl; empty ones and other files are passed over."""
    fields = {"minimum": 0, "maximum": 1, "concurrency": 1}
    medium = RESOURCE.format(name="medium", **fields)
    heavy = RESOURCE.format(name="heavy", **fields).replace("gpu_medium", "gpu_heavy")
    (tmp_path / "both.yml").write_text(f"---\n{medium}---\n---\n{heavy}")
    (tmp_path / "README.md").write_text("not a resource")

    assert [queue.metadata.name for queue in resources.load(tmp_path)] == ["medium", "heavy"]


def test_a_minimum_above_the_maximum_is_refused(tmp_path: Path) -> None:
    """The message names the file, the field with its number, and the remedy."""
    said = refusal(write_resource(tmp_path, minimum=3, maximum=2))

    assert f"{tmp_path}/gpu-medium.yaml: spec.scaling.minReplicas (3)" in said
    assert "spec.scaling.maxReplicas (2): lower it or raise maxReplicas" in said


def test_a_queue_that_gets_no_work_is_refused(tmp_path: Path) -> None:
    """A typing error in the name of the queue would be a fleet that never starts; those that exist are listed."""
    write_resource(tmp_path)
    file = tmp_path / "gpu-medium.yaml"
    file.write_text(file.read_text().replace("gpu_medium", "gpu_medum"))

    said = refusal(tmp_path)

    assert f"{file}: spec.queue: no task type is routed to 'gpu_medum'" in said
    assert "use one of gpu_heavy, gpu_medium" in said


@pytest.mark.parametrize("name", ["other", "gpu-medium"])
def test_a_queue_has_one_resource(tmp_path: Path, name: str) -> None:
    """The second is refused, whatever its name, and told where the first is: a copy of a file is soon made."""
    write_resource(tmp_path)
    (tmp_path / "z.yaml").write_text((tmp_path / "gpu-medium.yaml").read_text().replace("gpu-medium", name))

    said = refusal(tmp_path)

    assert said.startswith(f"{tmp_path}/z.yaml: spec.queue: 'gpu_medium' has a resource in {tmp_path}/gpu-medium.yaml")
    assert "remove one" in said


def test_what_is_not_yaml_is_refused(tmp_path: Path) -> None:
    """With the file, and the line and column where reading ended."""
    (tmp_path / "broken.yaml").write_text("spec: {queue: gpu_medium")

    said = refusal(tmp_path)

    assert said.startswith(f"{tmp_path}/broken.yaml: not valid YAML")
    assert "line 1, column" in said


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    """A file that is no text at all is told by its name, too."""
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\xff\xfe")

    assert refusal(tmp_path).startswith(f"{tmp_path}/picture.yaml: not valid YAML")


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    """A misspelt field is not passed over; the right spelling is offered."""
    write_resource(tmp_path)
    file = tmp_path / "gpu-medium.yaml"
    file.write_text(file.read_text().replace("maxReplicas", "maxReplica"))

    assert "spec.scaling.maxReplica: unknown field; did you mean 'maxReplicas'?" in refusal(tmp_path)


def test_a_folder_without_resources_is_refused(tmp_path: Path) -> None:
    """The message says what belongs there, and where there is an example."""
    folder = tmp_path / "queues"
    assert refusal(folder) == f"{folder}: there is no such folder; see deploy/local for queue resources"

    folder.mkdir()
    assert refusal(folder) == f"{folder}: no queue resources (*.yaml) here; see deploy/local for examples"
