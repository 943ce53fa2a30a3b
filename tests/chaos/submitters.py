"""Clients that submit without a pause, and remember what they were promised: an id counts when its answer has come."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Submit = Callable[[str], bool]
"""Given an id of its own, whether it was accepted. Raises, or says no, when it was not, or nobody knows."""


@dataclass(slots=True)
class Submitters:
    """What they know."""

    accepted: dict[str, float] = field(default_factory=dict)
    """When (monotonic) each was accepted."""
    unknown: int = 0
    """Attempts without an answer, or with a refusal."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def last(self) -> float:
        """When the latest was accepted."""
        with self.lock:
            return max(self.accepted.values(), default=0.0)


@contextmanager
def submitting(submit: Submit, *, clients: int = 4, pause: float = 0.0) -> Iterator[Submitters]:
    """Some that go on until the end of the block."""
    made, over = Submitters(), threading.Event()

    def client() -> None:
        while not over.is_set():
            name = str(uuid.uuid4())
            try:
                was_accepted = submit(name)
            except Exception:  # noqa: BLE001  whatever it is, nobody was promised anything
                was_accepted = False
            with made.lock:
                if was_accepted:
                    made.accepted[name] = time.monotonic()
                else:
                    made.unknown += 1
            if pause or not was_accepted:
                over.wait(pause if was_accepted else 0.02)

    threads = [threading.Thread(target=client, name=f"submitter-{number}") for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
