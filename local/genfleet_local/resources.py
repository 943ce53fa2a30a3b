"""Reads the queue resources of a folder: the same documents that `kubectl apply` takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from genfleet.contract.queue import GenerationQueue
from genfleet.contract.task_types import QUEUES
from genfleet.errors import ConfigurationError


def load(folder: Path) -> tuple[GenerationQueue, ...]:
    """Every queue of a folder's YAML files. Raises ConfigurationError that names file, field and remedy."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder; see deploy/local for queue resources")
    files = sorted((*folder.glob("*.yaml"), *folder.glob("*.yml")))
    if not files:
        raise ConfigurationError(f"{folder}: no queue resources (*.yaml) here; see deploy/local for examples")
    found = [(file, queue) for file in files for queue in _of_file(file)]
    _refuse_twins(found)
    return tuple(queue for _, queue in found)


def _of_file(file: Path) -> list[GenerationQueue]:
    try:
        documents = [document for document in yaml.safe_load_all(file.read_text()) if document is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: not valid YAML: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    queues = [GenerationQueue.parse(document, source=str(file)) for document in documents]
    for queue in queues:
        if queue.spec.queue not in QUEUES:
            raise ConfigurationError(
                f"{file}: spec.queue: no task type is routed to '{queue.spec.queue}'; use one of {', '.join(QUEUES)}"
            )
    return queues


def _refuse_twins(found: Iterable[tuple[Path, GenerationQueue]]) -> None:
    """Two fleets on one queue would work against each other."""
    served: dict[str, Path] = {}
    for file, queue in found:
        name = queue.spec.queue
        if name in served:
            raise ConfigurationError(
                f"{file}: spec.queue: '{name}' has a resource in {served[name]}: remove one of them"
            )
        served[name] = file
