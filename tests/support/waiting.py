"""Waiting, as every test here does it: a predicate, a deadline and a message. Never a sleep for luck."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T | None], *, within: float = 10.0) -> T:
    """The first truthy value of `look`. Fails with the message, and what was seen last, at the deadline (seconds)."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"waited {within:g} s for: {what}; last seen: {seen!r}"
        time.sleep(0.02)


def comes_true(look: Callable[[], object], *, within: float) -> bool:
    """Whether it becomes true within so many seconds, where either answer is a result."""
    try:
        wait_for("", look, within=within)
    except AssertionError:
        return False
    return True


@contextmanager
def every(seconds: float, act: Callable[[], object], *, despite: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Do this again and again, in a thread, for the first time after so many seconds. `despite`: what may go wrong."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(seconds):
            with suppress(*despite):
                act()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)
