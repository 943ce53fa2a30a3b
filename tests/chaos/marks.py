"""What engines really did: the file in which each attempt notes its start, its stop and its end (`tests/support/engines.py`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Marks:
    """The file; `task_data` names it as `marks`."""

    file: Path

    def count(self, what: str) -> Counter[str]:
        """How often each task did so: `start`, `stop` or `end`."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return Counter(words[1] for words in map(str.split, lines) if words[0] == what)

    def beyond_one(self, what: str, ids: Sequence[str]) -> int:
        """How often these tasks did so again, though once was enough."""
        counted = self.count(what)
        return sum(max(0, counted[task_id] - 1) for task_id in ids)
