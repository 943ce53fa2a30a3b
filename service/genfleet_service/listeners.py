"""How many answers go on at a time: event streams, and requests that wait for the end of a task.

Each costs a connection, and a process has only so many of them. So a key may have no more than its part, in each process
of the API. Used by the routes of events and by `prefer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from genfleet_service import replies


class Listeners:
    """Those of each key, in this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        """Of one key. 0: as many as it likes."""
        self._open = Counter[str]()

    def is_full(self, key_id: str) -> bool:
        """Whether this key has as many as it may."""
        return 0 < self._most <= self._open[key_id]

    @contextmanager
    def place(self, key_id: str) -> Iterator[None]:
        """For as long as it goes on. Raises Refusal if the key has no place left."""
        if self.is_full(key_id):
            raise replies.too_many_listeners(self._most)
        self._open[key_id] += 1
        try:
            yield
        finally:
            self._open[key_id] -= 1
            if not self._open[key_id]:
                del self._open[key_id]
