"""What media engines take from a task, its arguments, its seed and its words, and how they hand over what they made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from genfleet_workers.engines.base import Job, Product

Data = TypeVar("Data", bound=BaseModel)

MODEL = "genfleet-procedural-1"
"""What `metadata.generation_model` says. Raised when the same input would give another picture."""


def arguments(job: Job, model: type[Data]) -> Data:
    """The validated arguments of a job. Raises `TypeError` when it was given to the engine of another task type."""
    if not isinstance(job.data, model):
        raise TypeError(f"This engine takes {model.__name__}, not {type(job.data).__name__}")
    return job.data


def seed_of(data: BaseModel) -> int:
    """The seed that was asked for; without one, a number made from everything else: same input, same picture."""
    asked = getattr(data, "seed", None)
    if asked is not None:
        return int(asked)
    content = json.dumps(data.model_dump(mode="json", exclude={"seed"}), sort_keys=True)
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big")


def product(job: Job, file: Path, told: Mapping[str, Any], warnings: Sequence[str]) -> Product:
    """What was made. What was left out, or done in another way, is said to those who follow and to those who come later."""
    for warning in warnings:
        job.log(warning, "warning")
    return Product(file, {**told, **({"warnings": list(warnings)} if warnings else {})})


def joined(*parts: Any) -> str:
    """The texts among `parts`, as one."""
    return " ".join(part for part in parts if isinstance(part, str) and part)
